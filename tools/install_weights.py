"""Make trained weights the default: float16, with their own pristine statistics and their own score."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from configs import Settings
from utils.cli import command, make_parser, say


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: 0 installed, 2 bad input, 130 interrupted; the default is then what it was."""
    parser = make_parser(__doc__, __file__)
    add = parser.add_argument
    add("--ll_model_weights_path", type=Path, required=True, help="final.safetensors of a run")
    add("--pristine_img_dir", type=Path, required=True, help="sharp, undistorted images")
    add("--short_sides", type=int, nargs="+", default=(0,), metavar="PIXELS",
        help="sizes of the images that patches are taken of; 0, the default, is their own")  # fmt: skip
    add("--output", type=Path, help="default: the shipped weights, which it replaces")
    add("--device", default="auto", help="auto, cpu, cuda, cuda:1; auto takes a GPU when there is one")
    args = parser.parse_args(argv)

    # Only now: --help does not wait for torch.
    from Evaluation.extended.install import install
    from models.weights.low_level import DEFAULT_LOW_LEVEL

    output = args.output or DEFAULT_LOW_LEVEL
    settings = Settings(branch="low", device=args.device)
    pristine, score = install(
        args.ll_model_weights_path, args.pristine_img_dir, args.short_sides, output, settings, say
    )
    print(f"{output}: sha256 {pristine.weights_sha256}")
    print(f"{pristine.statistics.count} patches of {len(pristine.images)} images")
    print(f"Score of: {score.formula() if score else 'distance'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
