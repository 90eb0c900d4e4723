"""Make trained weights the default: float16 beside the model card, with their own pristine statistics."""

from __future__ import annotations

import sys
import tempfile
from functools import partial
from pathlib import Path

import torch

from command_line import CommandLine
from configs import ZeroShot
from Evaluation.pristine import pristine_of_folder
from Evaluation.pristine_files import statistics_beside, write_statistics
from models.low_level_weights import DEFAULT_LOW_LEVEL, load_low_level
from models.weight_files import save_tensors


def main() -> int:
    """Exit status: 0 installed, 2 bad input, 130 interrupted."""
    parser = CommandLine(__doc__)
    add = parser.add_argument
    add("--ll_model_weights_path", type=Path, required=True, help="final.safetensors of a run")
    add("--pristine_img_dir", type=Path, required=True, help="sharp, undistorted photographs")
    add("--output", type=Path, default=DEFAULT_LOW_LEVEL, help="default: %(default)s")
    args = parser.parse_args()
    say = partial(print, file=sys.stderr)
    try:
        trained = load_low_level(args.ll_model_weights_path)
        with tempfile.TemporaryDirectory(dir=args.output.parent) as folder:
            # The statistics are of the rounded weights, under their checksum; both take their
            # places only when both are there.
            rounded = Path(folder) / args.output.name
            save_tensors(trained.model, rounded, trained.metadata, torch.float16)
            weights = load_low_level(rounded)
            pristine = pristine_of_folder(weights, ZeroShot(), args.pristine_img_dir, None, say)
            write_statistics(statistics_beside(rounded), pristine)
            rounded.replace(args.output)
            statistics_beside(rounded).replace(statistics_beside(args.output))
    except (ValueError, OSError) as error:
        say(f"{Path(__file__).name}: {error}")
        return 2
    except KeyboardInterrupt:
        say("Interrupted; the default is what it was.")
        return 130
    print(f"{args.output}: sha256 {weights.sha256}")
    print(f"{statistics_beside(args.output)}: {pristine.statistics.count} patches")
    return 0


if __name__ == "__main__":
    sys.exit(main())
