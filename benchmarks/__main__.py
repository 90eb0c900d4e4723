"""The figures of the documents: each work beside its reference, in one table.

python -m benchmarks [--only NAME ...] [--json FILE] [--img_dir ChallengeDB_release]
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from utils.cli import command, make_parser
from utils.files import write_text

# Each is a module with `rows(img_dir)`; in this order, the memory first, because a process reports at least
# the peak of the one that started it.
BENCHES = (
    "memory", "folder", "start", "scoring", "fsim", "attention_pool", "training_step", "data_wait",
    "few_labels", "onnx", "others",
)  # fmt: skip


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: 0 printed, 2 bad input, 130 interrupted."""
    parser = make_parser(__doc__, __file__)
    parser.add_argument("--only", nargs="+", choices=BENCHES, metavar="NAME", default=BENCHES,
                        help=f"benches to run: {', '.join(BENCHES)}")  # fmt: skip
    parser.add_argument("--json", type=Path, help="file for all single times")
    parser.add_argument("--img_dir", type=Path, help="CLIVE, for the correlations of the bench 'others'")
    args = parser.parse_args(argv)

    # Only now: --help does not wait for torch.
    from benchmarks.timing import machine

    on = machine()
    print(", ".join(f"{name} {value}" for name, value in on.items()))
    print("| bench | work | reference | here | ratio [lowest, highest] |\n| --- | --- | --- | --- | --- |")
    found = []
    for name in BENCHES:
        if name not in args.only:
            continue
        for row in importlib.import_module(f"benchmarks.{name}").rows(args.img_dir):
            print(f"| {name} | {' | '.join(row.cells())} |", flush=True)
            found.append({"bench": name, **dataclasses.asdict(row)})
            if args.json:
                write_text(args.json, json.dumps({"machine": on, "rows": found}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
