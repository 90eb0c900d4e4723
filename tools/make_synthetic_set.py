"""Make a rated set without human scores: images distorted at known strength, labelled with FSIMc."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from utils.cli import command, make_parser, say


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: 0 all made, 1 an image was left out, 2 bad input, 130 interrupted."""
    parser = make_parser(__doc__, __file__)
    add = parser.add_argument
    add("--photos", type=Path, required=True, metavar="DIR", help="folder of good images, taken whole")
    add("--output", type=Path, required=True, metavar="DIR", help="where the set is written")
    add("--limit", type=int, metavar="N", help="images to take, the first by name; default: all")
    args = parser.parse_args(argv)

    # Only now: --help does not wait for torch.
    from datasets.distorted.synthetic_set import IMAGES, SCORES, make_synthetic_set

    try:
        summary = make_synthetic_set(args.photos, args.output, args.limit)
    except KeyboardInterrupt:
        raise KeyboardInterrupt("images are kept, and the same command goes on.") from None
    for failure in summary.failures:
        say(failure)
    if summary.versions:
        present = f" {summary.kept} were there already." if summary.kept else ""
        references = len({version.reference for version in summary.versions})
        print(f"{len(summary.versions)} images of {references} references are in {args.output}.{present}")
        table, images = args.output / SCORES, args.output / IMAGES
        print(f"Next: python test_zeroshot.py --scores {table} --img_dir {images}")
    return 1 if summary.failures else 0


if __name__ == "__main__":
    sys.exit(main())
