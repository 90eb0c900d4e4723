"""Statistics of the pristine patches of a folder of images, for the weights that are to use them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from configs import Settings
from utils.cli import SCORE_FLAGS, add_fields, command, make_parser, say, with_fields

# Of the flags of a score those that patches depend on.
PATCH_FLAGS = tuple(flag for flag in SCORE_FLAGS if flag[1] in ("patch_size", "sharpness", "colorfulness"))


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: 0 is written, 2 bad input, 130 interrupted and nothing written."""
    parser = make_parser(__doc__, __file__)
    add = parser.add_argument
    add("--pristine_img_dir", type=Path, required=True, help="sharp, undistorted images")
    add("--ll_model_weights_path", type=Path, required=True, help="the weights that are to use them")
    add("--short_sides", type=int, nargs="+", default=(0,), metavar="PIXELS",
        help="sizes of the images that patches are taken of; 0, the default, is their own")  # fmt: skip
    add("--output", type=Path, help="default: beside the weights, where the scores look for it")
    add("--overwrite", action="store_true", help="take the place of statistics that are there")
    add("--patches", action="store_true", help="also write the patches here, as the authors' HDF5")
    add("--device", default="auto", help="auto, cpu, cuda, cuda:1; auto takes a GPU when there is one")
    add_fields(parser, Settings(), PATCH_FLAGS)
    args = parser.parse_args(argv)
    settings = with_fields(Settings(), args)

    # Only now: --help does not wait for torch.
    from Evaluation.pristine import pristine_of_folder
    from Evaluation.pristine_files import check_place, statistics_beside, write_statistics
    from models.device import choose_device
    from models.weights.low_level import load_low_level

    output = args.output or statistics_beside(args.ll_model_weights_path)
    check_place(output, args.overwrite)
    weights = load_low_level(args.ll_model_weights_path)
    weights.model.to(choose_device(args.device))
    patches = Path.cwd() / settings.patches_file if args.patches else None
    pristine = pristine_of_folder(weights, settings, args.pristine_img_dir, patches, say, args.short_sides)
    write_statistics(output, pristine)
    print(f"{output}: {pristine.statistics.count} patches of {len(pristine.images)} images.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
