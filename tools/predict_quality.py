"""Quality of a photograph or a folder by a regressor of fit_regressor.py."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from functools import partial
from pathlib import Path

from Evaluation.few_labels.protocol.blocks import load_blocks
from Evaluation.few_labels.protocol.feature_table import Store, table_of_features

from configs import VERSION
from Evaluation.few_labels.regressor import QualityRow, check_features, quality_rows, read_regressor
from Evaluation.grepq import add_encoder_arguments
from Evaluation.protocol import load_pictures
from Evaluation.reports.tables import csv_text, write_text
from Evaluation.reports.text import check_output
from utils.cli import CommandLine


def main() -> int:
    """Exit status: 0 all done, 1 a picture without a prediction, 2 bad input, 130 interrupted."""
    parser = CommandLine(__doc__)
    add = parser.add_argument
    add("--regressor", type=Path, required=True, help="a file of fit_regressor.py")
    add("--test_img_path", help="a picture")
    add("--img_dir", help="a folder of pictures")
    add_encoder_arguments(parser)
    add("--output", type=Path, help="table, .csv or .json; default: printed")
    args = parser.parse_args()
    say = partial(print, file=sys.stderr)
    try:
        check_output(args.output)
        if not (args.test_img_path or args.img_dir):
            raise ValueError(
                "Nothing to predict: name a picture with --test_img_path or a folder with --img_dir."
            )
        rated = load_pictures(None, args.test_img_path, None, None, args.img_dir)
        regressor = read_regressor(args.regressor)
        args.features = regressor.blocks
        encoders, blocks = load_blocks(args, say, regressor.card["provenance"]["positions"])
        check_features(args.regressor, regressor, blocks)
        features, complete = table_of_features(rated.images, [Store(tuple(blocks), None)])
        rows = quality_rows(regressor, features)
        line = f"Quality by {args.regressor.name}: {regressor.line()}; {encoders.line()}."
        text = csv_text(QualityRow, rows)
        if args.output and args.output.suffix.lower() == ".json":
            head = {"version": VERSION, "complete": complete, "protocol": line, **encoders.checksums()}
            text = json.dumps({**head, "images": [asdict(row) for row in rows]}, indent=1) + "\n"
        if args.output:
            try:
                write_text(args.output, text)
            except OSError:
                print(text)  # a full disk must not cost the predictions
                raise
    except (ValueError, OSError) as error:
        say(f"{Path(__file__).name}: {error}")
        return 2
    except KeyboardInterrupt:
        say("Interrupted.")
        return 130
    print(line if args.output else text + line)
    failed = [row for row in rows if row.quality is None]
    for row in failed:
        say(f"Without quality: {row.image}: {row.status.rstrip('.')}.")
    if not complete:
        say(f"Interrupted: {len(rows)} of {len(rated.images)} rows are kept.")
        return 130
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
