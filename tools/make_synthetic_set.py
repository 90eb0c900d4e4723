"""Makes a rated set without human scores: photographs distorted at known strength, labelled with FSIMc.

python make_synthetic_set.py --photos photos --output data/synthetic
"""

from __future__ import annotations

import sys
from pathlib import Path

from utils.cli import CommandLine


def main() -> int:
    """Exit status: 0 all made, 1 a photograph was left out or a disk failed, 2 bad input, 130 interrupted."""
    parser = CommandLine(__doc__)
    add = parser.add_argument
    add("--photos", type=Path, required=True, metavar="DIR", help="folder of good photographs, taken whole")
    add("--output", type=Path, required=True, metavar="DIR", help="where the set is written")
    add("--limit", type=int, metavar="N", help="photographs to take, the first by name; default: all")
    arguments = parser.parse_args()
    # Imported after the arguments were read, so that --help does not wait for torch.
    from datasets.distorted.synthetic_set import IMAGES, SCORES, make_synthetic_set

    try:
        summary = make_synthetic_set(arguments.photos, arguments.output, arguments.limit)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    except OSError as error:
        print(f"{error.filename or arguments.output}: {error.strerror or error}.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Interrupted: pictures are kept, and the same command goes on from there.", file=sys.stderr)
        return 130
    for failure in summary.failures:
        print(failure, file=sys.stderr)
    if summary.versions:
        present = f" {summary.kept} were there already." if summary.kept else ""
        photographs = len({version.reference for version in summary.versions})
        counted = f"{len(summary.versions)} pictures of {photographs} photographs"
        print(f"{counted} are in {arguments.output}.{present}")
        table, images = arguments.output / SCORES, arguments.output / IMAGES
        print(f"Next: python test_zeroshot.py --scores {table} --img_dir {images}")
    return 1 if summary.failures else 0


if __name__ == "__main__":
    sys.exit(main())
