"""Makes a training set from plain photographs: one folder a photograph, the reference and distorted versions.

python synthesize_distortions.py --photos photos --output data/distorted
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from configs import SYNTHESIS_PRESETS
from datasets.distorted.synthesis import synthesize
from utils.cli import CommandLine
from utils.config_fields import override
from utils.errors import UserError


def parse() -> argparse.Namespace:
    """The command line."""
    parser = CommandLine(__doc__)
    add = parser.add_argument
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    add("--photos", nargs="+", type=Path, required=True, metavar="DIR", help="folders of good photographs")
    add("--output", type=Path, required=True, metavar="DIR", help="where the set is written")
    add("--preset", choices=sorted(SYNTHESIS_PRESETS), default="default", help="settings to begin with")
    add("--set", nargs="+", action="extend", default=[], metavar="FIELD=VALUE", help="fields of Synthesis")
    add("--workers", type=int, default=cores, help="processes (default: one a core)")
    return parser.parse_args()


def main() -> int:
    """Makes the set and says what was written; returns the exit status."""
    arguments = parse()
    try:
        config = override(SYNTHESIS_PRESETS[arguments.preset], arguments.set)
        summary = synthesize(arguments.photos, arguments.output, config, arguments.workers)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    except OSError as error:
        print(f"{error.filename or arguments.output}: {error.strerror or error}.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(
            "Interrupted: finished folders are kept, and the same command goes on from there.",
            file=sys.stderr,
        )
        return 130
    for failure in summary.failures:
        print(failure, file=sys.stderr)
    present = f" {summary.present} were there already." if summary.present else ""
    print(
        f"Folders written: {summary.folders}, with {summary.versions} pictures "
        f"({summary.bytes / 1e6:.1f} MB), in {arguments.output}.{present}"
    )
    if summary.folders or summary.present:
        print(f"Next: python train.py --set data={arguments.output}")
    return 1 if summary.failures else 0


if __name__ == "__main__":
    sys.exit(main())
