"""Score images: files, folders with all below, archives, patterns and lists of them, into one table."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path

from configs import Settings
from utils.cli import MODEL_FLAGS, SCORE_FLAGS, add_fields, add_set, command, make_parser, say, with_fields


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: 0 all scored, 1 some could not be, 2 could not start, 130 interrupted."""
    parser = make_parser(__doc__, __file__)
    parser.usage = "%(prog)s PATH ... [options]"
    add = parser.add_argument
    add("paths", nargs="*", metavar="PATH", help="file, folder, .zip, .tar, or a pattern in quotes")
    add("--list", action="append", default=[], metavar="FILE",
        help="file of paths, one a line; - is standard input")  # fmt: skip
    add("--output", type=Path, help="table of all, .csv, .jsonl or .parquet; where it is there it is gone on "
        "with; default: rows are printed")  # fmt: skip
    add("--engine", choices=("local", "ray"), default="local", dest="runner",
        help="ray: by workers of Ray, --output is a folder of Parquet shards; default: local")  # fmt: skip
    add("--overwrite", action="store_true", help="begin the table anew")
    add("--top", type=int, metavar="N", help="print the N best")
    add("--bottom", type=int, metavar="N", help="print the N worst")
    add("--below", type=float, metavar="Q", help="print those with a score below Q")
    add("--sort", choices=("input", "name", "best", "worst"), default="input",
        help="order of the rows; default: as the images were named")  # fmt: skip
    add("--report", type=Path, metavar="FILE.html", help="a page: scores, best and worst, where they look "
        "distorted")  # fmt: skip
    add("--maps", type=Path, metavar="DIR", help="folder for quality maps of the images, or of "
        "those that are chosen")  # fmt: skip
    model = parser.add_argument_group("the model and its score, where the usual ones will not do")
    add_fields(model, Settings(), (*MODEL_FLAGS, *SCORE_FLAGS))
    add_set(model, "Settings")
    args = parser.parse_intermixed_args(argv)
    settings = with_fields(Settings(), args)
    _check(parser, args)

    # Only now: wrong arguments and --help do not wait for torch.
    if args.runner == "ray":
        from Evaluation.collection.by_ray import score_by_ray

        return score_by_ray(settings, args.paths, args.list, args.output, args.overwrite)
    from datasets.collection import find_images
    from Evaluation.collection.run import Wanted, score_collection
    from Evaluation.collection.table import check_not_named, check_output, check_page
    from Evaluation.grepq import GRepQ
    from Evaluation.ranks import helped_the_first

    if helped_the_first(settings):
        return 0
    if args.output is not None:
        check_output(args.output)
    if args.report is not None:
        check_page(args.report)
    found = find_images(args.paths, args.list)
    for sentence in found.sentences():
        say(sentence)
    check_not_named(args.output, [image.path for image in found.images])
    wanted = Wanted(
        args.output, args.overwrite, args.top, args.bottom, args.below, args.sort, args.report, args.maps
    )
    return score_collection(GRepQ(settings, say), found.images, wanted)


def _check(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Exit where flags want what cannot be done."""
    if not (args.paths or args.list):
        parser.error("name images: files, folders, archives, patterns, or a list of them with --list FILE.")
    for flag in ("top", "bottom"):
        if getattr(args, flag) is not None and getattr(args, flag) < 1:
            parser.error(f"--{flag} takes a number of 1 or more.")
    if args.below is not None and not math.isfinite(args.below):
        parser.error("--below takes a number.")
    chosen = (args.top, args.bottom, args.below, args.report, args.maps, args.sort)
    if args.runner == "ray" and chosen != (None, None, None, None, None, "input"):
        parser.error("--engine ray writes every row; --top, --report and the like do not go with it.")


if __name__ == "__main__":
    sys.exit(main())
