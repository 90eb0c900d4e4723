"""Ridge regression trained on one rated set and tested on another: a matrix over all sets that are named."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from configs import FewLabels, Settings
from utils.cli import (
    FEATURE_CACHE,
    MODEL_FLAGS,
    REGRESSION_FLAGS,
    add_fields,
    command,
    make_parser,
    say,
    with_fields,
)


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: 0 all done, 1 an image is left out, 2 bad input, 130 interrupted."""
    parser = make_parser(__doc__, __file__)
    add = parser.add_argument
    add("--sets", nargs="+", required=True, metavar="NAME=PATH",
        help="CLIVE=FOLDER of a rated set, or mine=FILE.csv, a table of images and their scores")  # fmt: skip
    add_fields(parser, FewLabels(), REGRESSION_FLAGS)
    add_fields(parser, Settings(), MODEL_FLAGS)
    add("--output", type=Path, help="folder of the result; default: Results/cross_dataset/SETS_FEATURES")
    add("--cache", type=Path, default=FEATURE_CACHE, help="folder of features for the next run")
    args = parser.parse_args(argv)
    settings = with_fields(FewLabels(), args)

    # Only now: wrong arguments and --help do not wait for torch.
    from Evaluation.few_labels import cross_dataset as cross
    from Evaluation.few_labels.blocks import choose_blocks
    from Evaluation.few_labels.protocol import labelled_features
    from Evaluation.reports.tables import check_folder, write_result

    sets = cross.load_sets(args.sets)
    model, blocks = choose_blocks(with_fields(Settings(), args), settings.features, say)
    features = "+".join(settings.features or [block.name for block in blocks])
    folder = args.output or cross.FOLDER / f"{'+'.join(sets)}_{features}"
    known = cross.settings_of(sets, blocks, settings)
    check_folder(folder, cross.KIND, known)
    data = {name: labelled_features(model, blocks, rated, args.cache, say) for name, rated in sets.items()}
    rows = cross.evaluate(data, settings)
    line = cross.protocol_line(model, data, blocks, settings)
    print(*cross.matrix_lines(rows), line, sep="\n")  # first: a full disk must not cost the figures
    write_result(folder, cross.KIND, cross.CrossRow, rows, line, known)
    print(f"{folder}: {cross.KIND}.json, {cross.KIND}.csv")
    return 1 if any(one.failed for one in data.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
