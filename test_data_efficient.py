"""Quality from few labels: ridge regression on the features of 50, 100 or 200 labelled images of a set."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from configs import FewLabels, Settings
from datasets.rated.layouts import RATED_SETS
from utils.cli import (
    FEATURE_CACHE,
    MODEL_FLAGS,
    REGRESSION_FLAGS,
    add_fields,
    add_scored_images,
    add_set,
    command,
    make_parser,
    say,
    with_fields,
)
from utils.errors import UserError

FLAGS = (
    ("--n_labels", "n_labels", "labelled images"),
    ("--splits", "splits", "random splits"),
    ("--protocol", "protocol", "published: labels from 80 % of the images, or contents, test on the others; "
        "rest: test on all that was not labelled; official: the set's own parts"),
    ("--seed", "seed", "of the splits"),
)  # fmt: skip


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: 0 all done, 1 an image is left out, 2 bad input, 130 interrupted."""
    parser = make_parser(__doc__, __file__)
    add_scored_images(parser, RATED_SETS)
    add_fields(parser, FewLabels(), (*FLAGS, *REGRESSION_FLAGS))
    add_set(parser, "FewLabels")
    add_fields(parser, Settings(), MODEL_FLAGS)
    add = parser.add_argument
    add("--split_file", type=Path, help="splits.json of another run: exactly its images")
    add("--output", type=Path, help="folder of the result; default: Results/few_labels/SET_FEATURES")
    add("--cache", type=Path, default=FEATURE_CACHE, help="folder of features for the next run")
    args = parser.parse_args(argv)
    settings = with_fields(FewLabels(), args)
    if args.split_file:
        for name in ("protocol", "seed"):
            if hasattr(args, name):
                raise UserError(f"--{name} does not go with --split_file, which decides it.")

    # Only now: wrong arguments and --help do not wait for torch.
    from Evaluation.few_labels.blocks import choose_blocks
    from Evaluation.few_labels.protocol import evaluate, labelled_features
    from Evaluation.few_labels.report import KIND, default_folder, protocol_line, publish, settings_of
    from Evaluation.few_labels.splits import choose_splits, read_splits, settings_for
    from Evaluation.protocol import load_scored_images
    from Evaluation.reports.tables import check_folder

    given = read_splits(args.split_file, getattr(args, "splits", None)) if args.split_file else None
    settings = settings_for(settings, given)
    rated = load_scored_images(args.dataset, args.scores, args.img_dir, args.image_column, args.mos_column)
    model, blocks = choose_blocks(with_fields(Settings(), args, sets=False), settings.features, say)
    folder = args.output or default_folder(rated, settings.features, blocks)
    known = settings_of(rated, blocks, settings, given)
    check_folder(folder, KIND, known)
    data = labelled_features(model, blocks, rated, args.cache, say)
    splits = choose_splits(rated.name, data.images, settings, given)
    outcomes = evaluate(data, splits.splits, settings)
    line = protocol_line(model, rated, len(data.images), blocks, settings, splits)
    publish(folder, outcomes, splits, line, known)
    return 1 if data.failed else 0


if __name__ == "__main__":
    sys.exit(main())
