"""Zero-shot quality of a photograph, a folder, a rated set or a table of scored pictures."""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path

from command_line import CommandLine
from configs import ZeroShot
from datasets.rated_sets import RATED_SETS, shortfall
from Evaluation.protocol import choose_branch, load_pictures, prepare
from Evaluation.report import check_output, collect, publish


def parse() -> argparse.Namespace:
    """The command line."""
    parser = CommandLine(__doc__)
    add = parser.add_argument
    add("--eval_type", choices=("zeroshot", "zeroshot_single_img"), help="default: by --test_img_path")
    add("--test_img_path", help="the picture of zeroshot_single_img")
    add("--dataset", help=f"rated set in its native layout under --img_dir: {', '.join(RATED_SETS)}")
    add("--scores", help="CSV with the columns image and mos, instead of --dataset")
    add("--img_dir", help="folder of the set, or of the table's pictures; alone, its pictures are scored")
    add("--branch", choices=("low", "high", "both", "available"), default="available", help="which scores")
    add("--ll_model_weights_path", help="low-level weights, ours or the authors' .tar; default: shipped")
    add("--hl_model_weights_path", help="not used: the high-level branch is not part of this version")
    add(
        "--pristine_img_dir",
        help="sharp, undistorted photographs; default: patches here, or shipped statistics",
    )
    add("--patch_size", type=int, default=ZeroShot.patch_size, help="side in pixels, %(default)s")
    add("--sharpness_param", type=float, default=ZeroShot.sharpness, help="share of sharpness, %(default)s")
    add(
        "--colorfulness_param", type=float, default=ZeroShot.colorfulness, help="share of colour, %(default)s"
    )
    add("--device", default="auto", help="auto, cpu, cuda, cuda:1; auto takes a GPU when there is one")
    add("--precision", choices=("float32", "bfloat16"), default="float32", help="of the test features")
    add("--output", type=Path, help="table of scores, .csv or .json; default: printed")
    return parser.parse_args()


def main() -> int:
    """Run it: 0 is success, 1 a picture without a score, 2 wrong input, 130 interrupted."""
    args = parse()
    say = partial(print, file=sys.stderr)
    try:
        check_output(args.output)
        say(choose_branch(args.branch, args.hl_model_weights_path))
        settings = ZeroShot(args.patch_size, args.sharpness_param, args.colorfulness_param)
        rated = load_pictures(args.eval_type, args.test_img_path, args.dataset, args.scores, args.img_dir)
        for sentence in (*rated.remarks, *shortfall(rated)):
            say(sentence)
        weights, pristine = args.ll_model_weights_path, args.pristine_img_dir
        protocol = prepare(args.device, weights, settings, pristine, args.precision, say)
        rows, complete = collect(rated.images, protocol.branch)
        return publish(rated, rows, complete, protocol, args.output, say)
    except (ValueError, OSError) as error:
        say(f"{Path(__file__).name}: {error}")
        return 2
    except KeyboardInterrupt:
        say("Interrupted.")
        return 130


if __name__ == "__main__":
    sys.exit(main())
