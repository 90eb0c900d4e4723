"""Draw scored images, best first, on one sheet.

make demo && python -m benchmarks.sample_sheet    # the image of README.md, samples/sheet/scores.webp
python -m benchmarks.sample_sheet scores.csv --img_dir DIR --output sheet.webp
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Sequence
from pathlib import Path

from utils.cli import ROOT, command, make_parser

COLUMNS, TILE, CAPTION = 4, (300, 200), 40


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: 0 drawn, 2 bad input, 130 interrupted."""
    parser = make_parser(__doc__, __file__)
    add = parser.add_argument
    add("scores", nargs="?", type=Path, default=ROOT / "demo_scores.csv", help="what make demo wrote")
    add("--img_dir", type=Path, default=ROOT / "samples", help="folder of the images, %(default)s")
    add("--output", type=Path, default=ROOT / "samples" / "sheet" / "scores.webp", help="%(default)s")
    args = parser.parse_args(argv)

    # Only now: --help does not wait for Pillow.
    from PIL import Image, ImageDraw, ImageFont

    with args.scores.open(newline="", encoding="utf-8") as file:
        scored = [row for row in csv.DictReader(file) if row["q_low"]]
    rows = sorted(scored, key=lambda row: -float(row["q_low"]))
    lines = -(-len(rows) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * TILE[0], lines * (TILE[1] + CAPTION)), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(13)
    for place, row in enumerate(rows):
        left, top = place % COLUMNS * TILE[0], place // COLUMNS * (TILE[1] + CAPTION)
        with Image.open(args.img_dir / row["image"]) as image:
            image.thumbnail((TILE[0] - 8, TILE[1] - 8))
            sheet.paste(image, (left + 4, top + 4))
        name = Path(row["image"]).stem.replace("_", " ", 1)
        draw.text((left + 6, top + TILE[1]), f"{float(row['q_low']):.4f}   {name}", "black", font)
    args.output.parent.mkdir(exist_ok=True)
    sheet.save(args.output, quality=80)
    print(f"{args.output}: {len(rows)} images")
    return 0


if __name__ == "__main__":
    sys.exit(main())
