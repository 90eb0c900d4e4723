"""One self-contained HTML page from the .json results of runs: figures, scatter, disagreements."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from utils.cli import command, make_parser, say
from utils.errors import UserError


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: 0 the page is written, 2 bad input, 130 interrupted."""
    parser = make_parser(__doc__, __file__)
    add = parser.add_argument
    add("results", nargs="+", type=Path, metavar="RESULT.json", help="of test_zeroshot.py or few labels")
    add("--output", type=Path, required=True, help="the page, .html")
    add("--img_dir", type=Path, action="append", metavar="DIR",
        help="folder of the images, for thumbnails; once, or once a result in their order")  # fmt: skip
    args = parser.parse_args(argv)

    # Only now: --help does not wait for torch and matplotlib.
    from Evaluation.reports.page import page, shown_names
    from Evaluation.reports.results import read_result
    from Evaluation.reports.thumbnails import thumbnails
    from utils.files import write_text

    if args.output.suffix.lower() not in (".html", ".htm"):
        raise UserError(f"{args.output}: a page is written as .html; end the name so.")
    folders: list[Path | None] = args.img_dir or [None]
    if len(folders) not in (1, len(args.results)):
        raise UserError(f"--img_dir was given {len(folders)} times for {len(args.results)} results.")
    for folder in folders:
        if folder is not None and not folder.is_dir():
            raise UserError(f"{folder}: there is no such folder.")
    results = [read_result(path) for path in args.results]
    folders = folders * len(results) if len(folders) == 1 else folders
    images = [
        thumbnails(shown_names(result), folder) for result, folder in zip(results, folders, strict=True)
    ]
    # Names of files that are not UTF-8 are shown by their bytes.
    write_text(args.output, page(list(zip(results, images, strict=True))), errors="backslashreplace")
    missing = sum(isinstance(image, str) for found in images for image in found.values())
    if missing:
        say(f"{missing} of the images are not shown; the page says why in their places.")
    print(f"{args.output}: {len(results)} result(s), {args.output.stat().st_size / 1e6:.1f} MB.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
