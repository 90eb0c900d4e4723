"""Distort the sample images on purpose, to see what a score makes of each kind.

python -m benchmarks.distort_samples distorted_samples --kinds over_exposure colour_cast
python test_zeroshot.py --img_dir distorted_samples --output distorted_samples.csv
python -m benchmarks.sample_sheet distorted_samples.csv --img_dir distorted_samples --output sheet.webp
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from datasets.decoder import decode_pixels
from datasets.distorted.distortions import DISTORTIONS, apply
from utils.cli import make_parser

SAMPLES = Path(__file__).resolve().parent.parent / "samples"
PHOTOGRAPHS = ("chelsea", "coffee", "rocket")


def main() -> None:
    """Write OUTPUT/NAME.png and OUTPUT/NAME_KIND_LEVEL.png."""
    parser = make_parser(__doc__, __file__)
    add = parser.add_argument
    add("output", type=Path, help="folder for the images")
    add(
        "--kinds",
        nargs="+",
        choices=DISTORTIONS,
        default=list(DISTORTIONS),
        metavar="KIND",
        help="default: all",
    )
    add("--level", type=float, default=0.9, help="in [0, 1], %(default)s")
    args = parser.parse_args()
    if not 0 <= args.level <= 1:
        parser.error(f"a level lies between 0 and 1, not at {args.level:g}")
    args.output.mkdir(parents=True, exist_ok=True)
    for name in PHOTOGRAPHS:
        photograph = decode_pixels(SAMPLES / f"{name}.jpg")
        Image.fromarray(photograph).save(args.output / f"{name}.png")
        image = photograph.astype(np.float32) / 255
        for kind in args.kinds:
            distorted = apply(kind, image, args.level, np.random.default_rng(0))
            pixels = np.rint(distorted * 255).astype(np.uint8)
            Image.fromarray(pixels).save(args.output / f"{name}_{kind}_{args.level:.2f}.png")
    print(f"{args.output}: {len(PHOTOGRAPHS)} images, {len(args.kinds)} kinds")


if __name__ == "__main__":
    main()
