"""Draw the scored sample pictures, best first, into samples/sheet/scores.webp: the picture of README.md.

make demo && python -m benchmarks.sample_sheet
"""

from __future__ import annotations

import csv
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

ROOT = Path(__file__).resolve().parent.parent
SCORES = ROOT / "demo_scores.csv"
SHEET = ROOT / "samples" / "sheet" / "scores.webp"
COLUMNS, TILE, CAPTION = 4, (300, 200), 40


def main() -> None:
    """Read the scores of `make demo` and draw."""
    with SCORES.open(newline="", encoding="utf-8") as file:
        rows = sorted(csv.DictReader(file), key=lambda row: -float(row["q_low"]))
    lines = -(-len(rows) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * TILE[0], lines * (TILE[1] + CAPTION)), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(13)
    for place, row in enumerate(rows):
        left, top = place % COLUMNS * TILE[0], place // COLUMNS * (TILE[1] + CAPTION)
        with Image.open(ROOT / "samples" / row["image"]) as picture:
            picture.thumbnail((TILE[0] - 8, TILE[1] - 8))
            sheet.paste(picture, (left + 4, top + 4))
        name = Path(row["image"]).stem.replace("_", " ", 1)
        draw.text((left + 6, top + TILE[1]), f"{float(row['q_low']):.4f}   {name}", "black", font)
    SHEET.parent.mkdir(exist_ok=True)
    sheet.save(SHEET, quality=80)
    print(f"{SHEET.relative_to(ROOT)}: {len(rows)} pictures")


if __name__ == "__main__":
    main()
