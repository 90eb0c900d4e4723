"""Statistics of the pristine patches of a folder of photographs, for the weights that are to use them."""

from __future__ import annotations

import os
import sys
from functools import partial
from pathlib import Path

from configs import Settings
from Evaluation.pristine import pristine_of_folder
from Evaluation.pristine_files import statistics_beside, write_statistics
from models.device import choose_device
from models.weights.low_level import load_low_level
from utils.cli import CommandLine


def main() -> int:
    """Run it; 0 is success, 2 wrong input, 130 interrupted."""
    parser = CommandLine(__doc__)
    add = parser.add_argument
    add("--pristine_img_dir", type=Path, required=True, help="sharp, undistorted photographs")
    add("--ll_model_weights_path", required=True, help="the weights that are to use them")
    add("--short_sides", type=int, nargs="+", default=(0,), metavar="PIXELS",
        help="sizes of the photographs that patches are taken of; 0, the default, is their own")  # fmt: skip
    add("--output", type=Path, help="default: beside the weights, where the scores look for it")
    add("--patches", action="store_true", help="also write the patches here, as the authors' HDF5")
    add("--patch_size", type=int, default=Settings.patch_size, help="side in pixels, %(default)s")
    add("--sharpness_param", type=float, default=Settings.sharpness, help="share, %(default)s")
    add("--colorfulness_param", type=float, default=Settings.colorfulness, help="share, %(default)s")
    add("--device", default="auto", help="auto, cpu, cuda, cuda:1; auto takes a GPU when there is one")
    args = parser.parse_args()
    say = partial(print, file=sys.stderr)
    try:
        settings = Settings(args.patch_size, args.sharpness_param, args.colorfulness_param)
        weights = load_low_level(args.ll_model_weights_path)
        output = args.output or statistics_beside(weights.path)
        if not os.access(output.parent, os.W_OK):
            raise PermissionError(f"{output}: cannot be written; name another place with --output.")
        weights.model.to(choose_device(args.device))
        patches = Path.cwd() / settings.patches_file if args.patches else None
        pristine = pristine_of_folder(
            weights, settings, args.pristine_img_dir, patches, say, args.short_sides
        )
        write_statistics(output, pristine)
    except (ValueError, OSError) as error:
        say(f"{Path(__file__).name}: {error}")
        return 2
    except KeyboardInterrupt:
        say("Interrupted; nothing was written.")
        return 130
    print(f"{output}: {pristine.statistics.count} patches of {len(pristine.photographs)} photographs.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
