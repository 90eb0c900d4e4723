"""Quality of an image or a folder by a regressor of tools.fit_regressor."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from configs import VERSION, Settings
from utils.cli import MODEL_FLAGS, add_fields, command, make_parser, say, with_fields


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: 0 all done, 1 an image without a prediction, 2 bad input, 130 interrupted."""
    parser = make_parser(__doc__, __file__)
    add = parser.add_argument
    add("--regressor", type=Path, required=True, help="a file of tools.fit_regressor")
    add("--test_img_path", default="", help="an image")
    add("--img_dir", default="", help="a folder of images")
    add("--output", type=Path, help="table, .csv or .json; default: printed")
    add_fields(parser, Settings(), MODEL_FLAGS)
    args = parser.parse_args(argv)

    # Only now: wrong arguments and --help do not wait for torch.
    from tqdm import tqdm

    from Evaluation.few_labels.blocks import choose_blocks
    from Evaluation.few_labels.regressor import QualityRow, check_features, quality_rows, read_regressor
    from Evaluation.protocol import load_images
    from Evaluation.reports.tables import csv_text, write_table
    from Evaluation.reports.text import check_output

    check_output(args.output)
    rated = load_images(args.test_img_path, folder=args.img_dir)
    regressor = read_regressor(args.regressor)
    model, blocks = choose_blocks(with_fields(regressor.settings, args), regressor.blocks, say)
    check_features(args.regressor, regressor, blocks)
    rows: list[QualityRow] = []
    complete = True
    progress = tqdm(
        quality_rows(model, regressor, blocks, rated.images), total=len(rated.images), desc="Quality",
        unit="image", disable=len(rated.images) == 1,
    )  # fmt: skip
    try:
        for row in progress:
            rows.append(row)  # noqa: PERF402 (an interrupted list() would lose the rows)
    except KeyboardInterrupt:
        complete = False
    line = f"Quality by {args.regressor.name}: {regressor.line()}; {model.encoders.line()}."
    if args.output:
        head = {"version": VERSION, "complete": complete, "protocol": line, **model.encoders.checksums()}
        write_table(args.output, QualityRow, rows, head)
    else:
        print(csv_text(QualityRow, rows))
    print(line)
    failed = [row for row in rows if not row.status.ok]
    for row in failed:
        say(f"Without quality: {row.image}: {row.status.reason.rstrip('.')}.")
    if not complete:
        raise KeyboardInterrupt(f"{len(rows)} of {len(rated.images)} rows are kept.")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
