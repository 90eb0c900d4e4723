"""Fit a regression of quality on one's own scored pictures and keep it for predict_quality.py."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import numpy as np
from Evaluation.few_labels.protocol.blocks import add_feature_arguments, load_blocks
from Evaluation.few_labels.protocol.labelled_set import CACHE, labelled_features, load_rated

from configs import FewLabels
from datasets.rated.sets import RATED_SETS
from Evaluation.few_labels.regressor import check_place, fit_regressor, write_regressor
from Evaluation.grepq import add_encoder_arguments
from Evaluation.metrics import plcc, srcc
from utils.cli import CommandLine


def main() -> int:
    """Exit status: 0 all done, 1 a picture is left out, 2 bad input, 130 interrupted."""
    parser, default = CommandLine(__doc__), FewLabels()
    add = parser.add_argument
    add("--scores", help="CSV with the columns image and mos")
    add("--dataset", help=f"instead: rated set in its native layout: {', '.join(RATED_SETS)}")
    add("--img_dir", help="folder of the table's pictures, or of the set")
    add("--output", type=Path, required=True, help="the regressor, a new .safetensors file")
    add_feature_arguments(parser)
    add("--alpha", type=float, nargs="+", default=default.alphas,
        help="ridge penalties to choose from by leave-one-out; one alone is fixed; 0.1 1 10 100")  # fmt: skip
    add("--standardise", action="store_true", help="divide each feature by its deviation")
    add_encoder_arguments(parser)
    add("--cache", type=Path, default=CACHE, help="folder of features for the next run; %(default)s")
    args = parser.parse_args()
    say = partial(print, file=sys.stderr)
    try:
        check_place(args.output)
        settings = FewLabels(alphas=tuple(args.alpha), standardise=args.standardise)
        rated = load_rated(args.dataset, args.scores, args.img_dir, say)
        encoders, blocks = load_blocks(args, say)
        data = labelled_features(rated, blocks, args.cache, say)
        regressor, ridge = fit_regressor(rated, data, blocks, settings.alphas, settings.standardise)
        write_regressor(args.output, regressor)
    except (ValueError, OSError) as error:
        say(f"{Path(__file__).name}: {error}")
        return 2
    except KeyboardInterrupt as stop:
        say(f"Interrupted: {stop}" if str(stop) else "Interrupted.")
        return 130
    print(f"{args.output}: {regressor.line()}; {encoders.line()}.")
    for alpha, deviation in ridge.errors.items():
        chosen = "  (chosen)" if alpha == ridge.alpha else ""
        print(f"alpha {alpha:<6g} leave-one-out RMSE {deviation:.4g}{chosen}")
    figures = "no agreement, because all scores are equal"
    if np.ptp(data.mos) > 0 and np.ptp(ridge.left_out) > 0:
        figures = f"SRCC {srcc(ridge.left_out, data.mos):.4f}, PLCC, raw {plcc(ridge.left_out, data.mos):.4f}"
    print(f"Leave-one-out on its own {len(data.mos)} pictures: {figures}")
    return 1 if data.failed else 0


if __name__ == "__main__":
    sys.exit(main())
