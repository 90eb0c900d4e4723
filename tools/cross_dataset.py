"""Ridge regression trained on one rated set and tested on another: a matrix over all sets that are named."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

from Evaluation.few_labels.protocol.blocks import add_feature_arguments, load_blocks
from Evaluation.few_labels.protocol.cross_dataset import (
    FOLDER,
    KIND,
    evaluate,
    load_sets,
    matrix_lines,
    protocol_line,
    settings_of,
    write_matrix,
)
from Evaluation.few_labels.protocol.labelled_set import CACHE, labelled_features

from configs import FewLabels
from Evaluation.grepq import add_encoder_arguments
from Evaluation.reports.tables import check_folder
from utils.cli import CommandLine


def main() -> int:
    """Exit status: 0 all done, 1 a picture is left out, 2 bad input, 130 interrupted."""
    parser, default = CommandLine(__doc__), FewLabels()
    add = parser.add_argument
    add("--sets", nargs="+", required=True, metavar="NAME=PATH",
        help="CLIVE=FOLDER of a rated set, or mine=FILE.csv with the columns image and mos")  # fmt: skip
    add_feature_arguments(parser)
    add("--alpha", type=float, nargs="+", default=default.alphas,
        help="ridge penalties to choose from on the training set; one alone is fixed")  # fmt: skip
    add("--standardise", action="store_true", help="divide each feature by its deviation in training")
    add_encoder_arguments(parser)
    add("--output", type=Path, help="folder of the result; default: Results/cross_dataset/SETS_FEATURES")
    add("--cache", type=Path, default=CACHE, help="folder of features for the next run; %(default)s")
    args = parser.parse_args()
    say = partial(print, file=sys.stderr)
    try:
        settings = FewLabels(alphas=tuple(args.alpha), standardise=args.standardise)
        sets = load_sets(args.sets, say)
        encoders, blocks = load_blocks(args, say)
        features = "+".join(args.features or [block.name for block in blocks])
        folder = args.output or FOLDER / f"{'+'.join(sets)}_{features}"
        known = settings_of(sets, blocks, settings.alphas, settings.standardise)
        check_folder(folder, KIND, known)
        data = {name: labelled_features(rated, blocks, args.cache, say) for name, rated in sets.items()}
        rows = evaluate(data, settings.alphas, settings.standardise)
        line = protocol_line(data, blocks, settings.alphas, settings.standardise, encoders.line())
        print(*matrix_lines(rows), line, sep="\n")  # first: a full disk must not cost the figures
        write_matrix(folder, rows, line, known)
    except (ValueError, OSError) as error:
        say(f"{Path(__file__).name}: {error}")
        return 2
    except KeyboardInterrupt as stop:
        say(f"Interrupted: {stop}" if str(stop) else "Interrupted.")
        return 130
    print(f"{folder}: {KIND}.json, {KIND}.csv")
    return 1 if any(one.failed for one in data.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
