"""Zero-shot quality of a photograph, a folder, a rated set or a table of scored pictures."""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path

from configs import Settings
from datasets.rated.sets import RATED_SETS, shortfall
from Evaluation.grepq import add_encoder_arguments
from Evaluation.protocol import load_pictures, prepare
from Evaluation.reports.text import check_output, collect, publish
from utils.cli import CommandLine


def parse() -> argparse.Namespace:
    """The command line."""
    parser = CommandLine(__doc__)
    add = parser.add_argument
    add("--eval_type", choices=("zeroshot", "zeroshot_single_img"), help="default: by --test_img_path")
    add("--test_img_path", help="the picture of zeroshot_single_img")
    add("--dataset", help=f"rated set in its native layout under --img_dir: {', '.join(RATED_SETS)}")
    add("--scores", help="CSV with the columns image and mos, instead of --dataset")
    add("--img_dir", help="folder of the set, or of the table's pictures; alone, its pictures are scored")
    add(
        "--pristine_img_dir",
        help="sharp, undistorted photographs; default: patches here, or shipped statistics",
    )
    add("--patch_size", type=int, default=Settings.patch_size, help="side in pixels, %(default)s")
    add("--sharpness_param", type=float, default=Settings.sharpness, help="share of sharpness, %(default)s")
    add(
        "--colorfulness_param", type=float, default=Settings.colorfulness, help="share of colour, %(default)s"
    )
    add("--prompts", nargs="+", default=Settings.prompts, metavar="PROMPT",
        help="good bad [good bad ...]: the mean over the pairs; default: %(default)s")  # fmt: skip
    add("--positions", choices=("none", "interpolate"), default=Settings.positions,
        help="positional embedding of CLIP's attention pool, %(default)s")  # fmt: skip
    add("--score", choices=("own", "paper"), default="own",
        help="low-level score: what the weights file asks for or the paper's, %(default)s")  # fmt: skip
    add_encoder_arguments(parser)
    add("--output", type=Path, help="table of scores, .csv or .json; default: printed")
    return parser.parse_args()


def main() -> int:
    """Run it: 0 is success, 1 a picture without a score, 2 wrong input, 130 interrupted."""
    args = parse()
    say = partial(print, file=sys.stderr)
    try:
        check_output(args.output)
        settings = Settings(
            args.patch_size, args.sharpness_param, args.colorfulness_param,
            prompts=tuple(args.prompts), positions=args.positions,
        )  # fmt: skip
        rated = load_pictures(args.eval_type, args.test_img_path, args.dataset, args.scores, args.img_dir)
        for sentence in (*rated.remarks, *shortfall(rated)):
            say(sentence)
        protocol = prepare(args, settings, say)
        rows, complete = collect(rated.images, protocol.low, protocol.high)
        return publish(rated, rows, complete, protocol, args.output, say)
    except (ValueError, OSError) as error:
        say(f"{Path(__file__).name}: {error}")
        return 2
    except KeyboardInterrupt:
        say("Interrupted.")
        return 130


if __name__ == "__main__":
    sys.exit(main())
