"""Features of whole pictures by both encoders, high then low: what few-label regression is trained on."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

from Evaluation.few_labels.protocol.blocks import GROUPS, make_blocks
from Evaluation.few_labels.protocol.feature_table import (
    Store,
    check_place,
    check_store,
    table_of_features,
    write_array,
)

from configs import Settings
from datasets.rated.sets import RATED_SETS, shortfall
from Evaluation.grepq import add_encoder_arguments, load_encoders
from Evaluation.protocol import load_pictures
from utils.cli import CommandLine


def main() -> int:
    """Exit status: 0 all done, 1 a picture without features, 2 bad input, 130 interrupted."""
    parser = CommandLine(__doc__)
    add = parser.add_argument
    add(
        "--dataset",
        help=f"rated set in its native layout under --img_dir; default CLIVE: {', '.join(RATED_SETS)}",
    )
    add("--scores", help="CSV with the columns image and mos, instead of --dataset")
    add("--img_dir", help="folder of the set, or of the table's pictures; alone, its pictures are taken")
    add("--output", type=Path, help="default: Evaluation/NAME_features.npy; an .h5 file is written beside it")
    add_encoder_arguments(parser)
    args = parser.parse_args()
    say = partial(print, file=sys.stderr)
    try:
        dataset = args.dataset or (None if args.scores or args.img_dir else "CLIVE")
        rated = load_pictures(None, None, dataset, args.scores, args.img_dir)
        name = dataset or (Path(args.scores).stem if args.scores else Path(args.img_dir).resolve().name)
        output = args.output or Path(__file__).resolve().parent / "Evaluation" / f"{name}_features.npy"
        check_place(output)
        for sentence in (*rated.remarks, *shortfall(rated)):
            say(sentence)
        encoders = load_encoders(args, Settings(), say)
        blocks = tuple(make_blocks(encoders, GROUPS["both"], Settings()))
        store = Store(blocks, output.with_suffix(".h5"))
        check_store(store, rated.images)
        rows, complete = table_of_features(rated.images, [store])
        if not complete:
            say(f"Interrupted: {len(rows)} of {len(rated.images)} are kept; the same command goes on.")
            return 130
        write_array(output, rows)
    except (ValueError, OSError) as error:
        say(f"{Path(__file__).name}: {error}")
        return 2
    except KeyboardInterrupt:
        say("Interrupted.")
        return 130
    failed = [row for row in rows if not row.status.startswith("ok")]
    for row in failed:
        say(f"Without features (NaN): {row.image}: {row.status.rstrip('.')}.")
    columns = ", ".join(f"{block.length} {block.name}" for block in blocks)
    print(f"{output} and {output.with_suffix('.h5').name}: {len(rows)} images x ({columns})")
    print(f"{rated.name}; {encoders.line()}.")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
