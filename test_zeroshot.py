"""Zero-shot quality of an image, a folder, a rated set or a table of scored images."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from os.path import relpath
from pathlib import Path

from configs import Settings
from datasets.rated.layouts import RATED_SETS
from utils.cli import (
    MODEL_FLAGS,
    SCORE_FLAGS,
    add_fields,
    add_scored_images,
    add_set,
    command,
    make_parser,
    say,
    with_fields,
)


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: 0 all scored, 1 an image has no score, 2 bad input, 130 interrupted."""
    parser = make_parser(__doc__, __file__)
    add = parser.add_argument
    add("--eval_type", choices=("zeroshot", "zeroshot_single_img"), help="default: by --test_img_path")
    add("--test_img_path", default="", help="the image of zeroshot_single_img")
    add_scored_images(parser, RATED_SETS)
    add("--output", type=Path, help="table of scores, .csv or .json; default: printed")
    add_fields(parser, Settings(), (*SCORE_FLAGS, *MODEL_FLAGS))
    add_set(parser, "Settings")
    args = parser.parse_args(argv)
    settings = with_fields(Settings(), args)

    # Only now: wrong arguments and --help do not wait for torch.
    from datasets.rated.sets import shortfall
    from Evaluation.grepq import GRepQ
    from Evaluation.protocol import SAMPLES, load_images
    from Evaluation.ranks import helped_the_first
    from Evaluation.reports.text import check_output, collect, publish

    if helped_the_first(settings):
        return 0
    check_output(args.output)
    image, folder, shown = args.test_img_path, args.img_dir, ""
    single = args.eval_type == "zeroshot_single_img"
    if image and args.eval_type == "zeroshot":
        parser.error("--test_img_path goes with --eval_type zeroshot_single_img")
    if not any((image, args.dataset, args.scores, folder)):
        default = SAMPLES / "coffee.jpg" if single else SAMPLES
        image, folder = (relpath(default), "") if single else ("", relpath(default))
        own = "an image of your own: --test_img_path FILE" if single else "images of your own: --img_dir DIR"
        shown = f" of {default.relative_to(SAMPLES.parent)}, part of this repository; {own}"
    elif single and not image:
        parser.error("--eval_type zeroshot_single_img scores the image of --test_img_path, and no other")
    rated = load_images(image, args.dataset, args.scores, folder, args.image_column, args.mos_column)
    for sentence in (*rated.remarks, *shortfall(rated)):
        say(sentence)
    model = GRepQ(settings, say).load()
    print(f"{model.name}, {model.score_name} (higher is better){shown}.")
    rows, complete = collect(model, rated.images)
    return publish(model, rated, rows, complete, args.output)


if __name__ == "__main__":
    sys.exit(main())
