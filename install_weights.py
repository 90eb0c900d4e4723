"""Make trained weights the default: float16 beside the model card, with their own pristine statistics."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch

from configs import ZeroShot
from Evaluation.pristine import pristine_of_folder
from Evaluation.pristine_files import statistics_beside, write_statistics
from models.weights import DEFAULT_LOW_LEVEL, load_low_level, save_low_level


def main() -> int:
    """Exit status: 0 installed, 2 bad input, 130 interrupted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--ll_model_weights_path", type=Path, required=True, help="final.safetensors of a run"
    )
    parser.add_argument("--pristine_img_dir", type=Path, required=True, help="sharp, undistorted photographs")
    parser.add_argument("--output", type=Path, default=DEFAULT_LOW_LEVEL, help="default: %(default)s")
    arguments = parser.parse_args()
    try:
        trained = load_low_level(arguments.ll_model_weights_path)
        save_low_level(trained.model, arguments.output, trained.metadata, torch.float16)
        # Read back, so that the statistics are of the rounded weights, under their checksum.
        installed = load_low_level(arguments.output)
        pristine = pristine_of_folder(
            installed, ZeroShot(), arguments.pristine_img_dir, None, lambda line: print(line, file=sys.stderr)
        )
        write_statistics(statistics_beside(installed.path), pristine)
    except (ValueError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("Interrupted; weights may be without statistics: run it again.", file=sys.stderr)
        return 130
    print(f"{installed.path}: sha256 {installed.sha256}")
    print(f"{statistics_beside(installed.path)}: {pristine.statistics.count} patches")
    return 0


if __name__ == "__main__":
    sys.exit(main())
