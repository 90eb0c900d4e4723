"""The rated sets: without a name their list, with a name and --img_dir whether a folder holds all of one."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from datasets.rated.layouts import RATED_SETS
from utils.cli import command, make_parser
from utils.errors import UserError

if TYPE_CHECKING:
    from datasets.rated.sets import RatedSet

SPLITS = {"image": "by image", "reference": "by reference content", "official": "official parts"}


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: 0 is listed or complete, 1 not complete, 2 wrong input, 130 interrupted."""
    parser = make_parser(__doc__, __file__)
    parser.add_argument("name", nargs="?", help=f"{', '.join(RATED_SETS)}, in any case")
    parser.add_argument("--img_dir", help="the set's root, its folder of images or a folder above")
    args = parser.parse_args(argv)
    if args.name is None and args.img_dir is None:
        print(*listing(), sep="\n")
        return 0
    if args.name is None or args.img_dir is None:
        raise UserError("To check a folder, give both: python -m tools.rated_sets NAME --img_dir DIR.")

    # Only now: --help does not wait for torch.
    from datasets.rated.sets import load_rated_set, shortfall

    rated = load_rated_set(args.name, args.img_dir)
    print(*check(rated, shortfall(rated)), sep="\n")
    return 1 if shortfall(rated) else 0


def listing() -> list[str]:
    """The table of rated sets as lines."""
    lines = [f"{'name':<10} {'images':>6}  {'kind':<4}  {'range':<13}  {'better':<6}  split"]
    for row in RATED_SETS.values():
        images = "any" if row.expected is None else str(row.expected)
        better = "higher" if row.kind == "MOS" else "lower"
        split = SPLITS[row.split]
        lines += [
            f"{row.name:<10} {images:>6}  {row.kind:<4}  {range_text(row.range):<13}  {better:<6}  {split}",
            f"    {row.citation}.",
            f"    Terms: {row.licence}.",
        ]
    return lines


def check(rated: RatedSet, missing: Sequence[str]) -> list[str]:
    """What was found of a set, and what is missing of it, as lines."""
    sign = 1 if rated.kind == "MOS" else -1
    scores = [sign * image.mos for image in rated.images if image.mos is not None]
    better = "higher" if rated.kind == "MOS" else "lower"
    there = len(rated.images) - len(rated.missing)
    parts = [image.split for image in rated.images if image.split]
    contents = {image.reference for image in rated.images if image.reference}
    lines = [
        f"{rated.name}: scores of {rated.scores}, images in {', '.join(map(str, rated.folders))}.",
        f"Images: {len(rated.images)} named, {there} there, {len(rated.missing)} missing.",
        f"Scores: {rated.kind} {min(scores):g} to {max(scores):g} ({better} is better; range "
        f"{range_text(rated.native_range)}).",
        f"Split: {SPLITS[rated.split_rule]}."
        + "".join(f" {part}: {parts.count(part)}." for part in dict.fromkeys(parts))
        + (f" {len(contents)} contents." if contents else ""),
        *rated.remarks,
        *missing,
    ]
    return [*lines, "Not complete." if missing else "Complete."]


def range_text(span: tuple[float, float] | None) -> str:
    """A range of scores in words."""
    return "any" if span is None else f"{span[0]:g} to {span[1]:g}"


if __name__ == "__main__":
    sys.exit(main())
