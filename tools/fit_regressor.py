"""Fit a regression of quality on one's own scored images and keep it for tools.predict_quality."""

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
    command,
    make_parser,
    say,
    with_fields,
)


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: 0 all done, 1 an image is left out, 2 bad input, 130 interrupted."""
    parser = make_parser(__doc__, __file__)
    add_scored_images(parser, RATED_SETS)
    add = parser.add_argument
    add("--output", type=Path, required=True, help="the regressor, a new .safetensors file")
    add_fields(parser, FewLabels(), REGRESSION_FLAGS)
    add_fields(parser, Settings(), MODEL_FLAGS)
    add("--cache", type=Path, default=FEATURE_CACHE, help="folder of features for the next run")
    args = parser.parse_args(argv)
    settings = with_fields(FewLabels(), args)

    # Only now: wrong arguments and --help do not wait for torch.
    from Evaluation.few_labels.blocks import choose_blocks
    from Evaluation.few_labels.protocol import correlations, labelled_features
    from Evaluation.few_labels.regressor import check_place, fit_regressor, write_regressor
    from Evaluation.protocol import load_scored_images

    check_place(args.output)
    rated = load_scored_images(args.dataset, args.scores, args.img_dir, args.image_column, args.mos_column)
    model, blocks = choose_blocks(with_fields(Settings(), args), settings.features, say)
    data = labelled_features(model, blocks, rated, args.cache, say)
    regressor, ridge = fit_regressor(rated, data, blocks, settings)
    write_regressor(args.output, regressor)
    print(f"{args.output}: {regressor.line()}; {model.encoders.line()}.")
    for alpha, deviation in ridge.errors.items():
        chosen = "  (chosen)" if alpha == ridge.alpha else ""
        print(f"alpha {alpha:<6g} leave-one-out RMSE {deviation:.4g}{chosen}")
    srcc, plcc = correlations(ridge.left_out, data.mos)
    figures = "no agreement, because all scores are equal"
    if srcc is not None:
        figures = f"SRCC {srcc:.4f}, PLCC, raw {plcc:.4f}"
    print(f"Leave-one-out on its own {len(data.mos)} images: {figures}")
    return 1 if data.failed else 0


if __name__ == "__main__":
    sys.exit(main())
