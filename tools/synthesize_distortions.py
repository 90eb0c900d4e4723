"""Make a training set of plain images: a folder for each, with the reference and distorted versions of it."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from configs import SYNTHESIS_PRESETS
from utils.cli import add_set, command, make_parser, say, with_fields


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: 0 all made, 1 an image was left out, 2 bad input, 130 interrupted."""
    parser = make_parser(__doc__, __file__)
    add = parser.add_argument
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    add("--photos", nargs="+", type=Path, required=True, metavar="DIR", help="folders of good images")
    add("--output", type=Path, required=True, metavar="DIR", help="where the set is written")
    add("--preset", choices=sorted(SYNTHESIS_PRESETS), default="default", help="settings to begin with")
    add("--workers", type=int, default=cores, help="processes; default: one a core")
    add_set(parser, "Synthesis")
    args = parser.parse_args(argv)
    config = with_fields(SYNTHESIS_PRESETS[args.preset], args)

    # Only now: --help does not wait for scipy.
    from datasets.distorted.synthesis import synthesize

    try:
        summary = synthesize(args.photos, args.output, config, args.workers)
    except KeyboardInterrupt:
        raise KeyboardInterrupt("finished folders are kept, and the same command goes on.") from None
    for failure in summary.failures:
        say(failure)
    present = f" {summary.present} were there already." if summary.present else ""
    print(
        f"Folders written: {summary.folders}, with {summary.versions} images "
        f"({summary.bytes / 1e6:.1f} MB), in {args.output}.{present}"
    )
    if summary.folders or summary.present:
        print(f"Next: python train.py --set data={args.output}")
    return 1 if summary.failures else 0


if __name__ == "__main__":
    sys.exit(main())
