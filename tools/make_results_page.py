"""One self-contained HTML page from the .json results of runs: figures, scatter, disagreements."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

from Evaluation.reports.page import page, shown_names
from Evaluation.reports.results import read_result
from Evaluation.reports.thumbnails import thumbnails
from utils.cli import CommandLine
from utils.errors import UserError
from utils.files import atomic_path


def main() -> int:
    """Exit status: 0 the page is written, 2 bad input."""
    parser = CommandLine(__doc__)
    add = parser.add_argument
    add("results", nargs="+", type=Path, metavar="RESULT.json", help="of test_zeroshot.py or few labels")
    add("--output", type=Path, required=True, help="the page, .html")
    add("--img_dir", type=Path, action="append", metavar="DIR",
        help="folder of the pictures, for thumbnails; once, or once a result in their order")  # fmt: skip
    args = parser.parse_args()
    say = partial(print, file=sys.stderr)
    try:
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
        pictures = [
            thumbnails(shown_names(result), folder) for result, folder in zip(results, folders, strict=True)
        ]
        text = page(list(zip(results, pictures, strict=True)))
        with atomic_path(args.output) as part:
            # Names of files that are not UTF-8 are shown by their bytes.
            part.write_text(text, encoding="utf-8", errors="backslashreplace", newline="")
    except (ValueError, OSError) as error:
        say(f"{Path(__file__).name}: {error}")
        return 2
    missing = sum(isinstance(picture, str) for found in pictures for picture in found.values())
    if missing:
        say(f"{missing} of the pictures are not shown; the page says why in their places.")
    print(f"{args.output}: {len(results)} result(s), {args.output.stat().st_size / 1e6:.1f} MB.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
