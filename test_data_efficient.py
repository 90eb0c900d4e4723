"""Quality from few labels: ridge regression on the features of 50, 100 or 200 labelled pictures of a set."""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path

from Evaluation.few_labels.protocol.blocks import add_feature_arguments, load_blocks
from Evaluation.few_labels.protocol.labelled_set import CACHE, labelled_features, load_rated
from Evaluation.few_labels.protocol.report import KIND, default_folder, protocol_line, publish, settings_of

from configs import FewLabels
from datasets.rated.sets import RATED_SETS
from Evaluation.few_labels.protocol import evaluate
from Evaluation.few_labels.splits import asked_for, choose_splits
from Evaluation.grepq import add_encoder_arguments
from Evaluation.reports.tables import check_folder
from utils.cli import CommandLine


def parse() -> argparse.Namespace:
    """The command line."""
    parser, default = CommandLine(__doc__), FewLabels()
    add = parser.add_argument
    add("--dataset", help=f"rated set in its native layout under --img_dir: {', '.join(RATED_SETS)}")
    add("--scores", help="CSV with the columns image and mos (reference, split), instead of --dataset")
    add("--img_dir", help="folder of the set, or of the table's pictures")
    add("--n_labels", type=int, nargs="+", default=default.n_labels, help="labelled pictures, 50 100 200")
    add("--splits", type=int, help=f"random splits, {default.splits}")
    add("--protocol", choices=("published", "rest", "official"),
        help="published (default): labels from 80 %% of the pictures, or contents, test on the others; "
        "rest: test on all that was not labelled; official: the set's own parts")  # fmt: skip
    add("--seed", type=int, help=f"of the splits, {default.seed}")
    add("--split_file", type=Path, help="splits.json of another run: exactly its pictures")
    add_feature_arguments(parser)
    add("--alpha", type=float, nargs="+", default=default.alphas,
        help="ridge penalties to choose from on the labels; a single one is fixed; 0.1 1 10 100")  # fmt: skip
    add("--standardise", action="store_true", help="divide each feature by its deviation over the labels")
    add_encoder_arguments(parser)
    add("--output", type=Path, help="folder of the result; default: Results/few_labels/SET_FEATURES")
    add("--cache", type=Path, default=CACHE, help="folder of features for the next run; %(default)s")
    return parser.parse_args()


def main() -> int:
    """Exit status: 0 all done, 1 a picture is left out, 2 bad input, 130 interrupted."""
    args = parse()
    say = partial(print, file=sys.stderr)
    try:
        settings, given = asked_for(args)
        rated = load_rated(args.dataset, args.scores, args.img_dir, say)
        encoders, blocks = load_blocks(args, say)
        folder = args.output or default_folder(rated, args.features, blocks)
        known = settings_of(rated, blocks, settings, given)
        check_folder(folder, KIND, known)
        data = labelled_features(rated, blocks, args.cache, say)
        splits = choose_splits(rated.name, data.images, settings, given)
        outcomes = evaluate(data, splits.splits, settings.n_labels, settings.alphas, settings.standardise)
        line = protocol_line(rated, len(data.images), blocks, settings, splits, encoders)
        publish(folder, outcomes, splits, line, known)
    except (ValueError, OSError) as error:
        say(f"{Path(__file__).name}: {error}")
        return 2
    except KeyboardInterrupt as stop:
        say(f"Interrupted: {stop}" if str(stop) else "Interrupted.")
        return 130
    return 1 if data.failed else 0


if __name__ == "__main__":
    sys.exit(main())
