"""Features of whole images by both encoders, high then low: what few-label regression is trained on."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from os.path import relpath
from pathlib import Path

from configs import FEATURE_GROUPS, Settings
from datasets.rated.layouts import RATED_SETS
from utils.cli import MODEL_FLAGS, ROOT, add_fields, add_scored_images, command, make_parser, say, with_fields


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: 0 all done, 1 an image without features, 2 bad input, 130 interrupted."""
    parser = make_parser(__doc__, __file__)
    add_scored_images(parser, RATED_SETS)
    add = parser.add_argument
    add("--output", type=Path, help="default: Evaluation/NAME_features.npy; an .h5 file is written beside it")
    add_fields(parser, Settings(), MODEL_FLAGS)
    args = parser.parse_args(argv)
    settings = with_fields(Settings(), args)

    # Only now: wrong arguments and --help do not wait for torch.
    from datasets.rated.sets import shortfall
    from Evaluation.few_labels.blocks import make_blocks
    from Evaluation.few_labels.feature_table import FeatureFile, check_place, feature_rows, write_array
    from Evaluation.grepq import GRepQ
    from Evaluation.protocol import SAMPLES, load_images
    from Evaluation.ranks import helped_the_first

    if helped_the_first(settings):
        return 0
    folder = args.img_dir
    if not (args.dataset or args.scores or folder):
        folder = relpath(SAMPLES)
        print("Features of samples, part of this repository; images of your own: --img_dir DIR.")
    rated = load_images("", args.dataset, args.scores, folder, args.image_column, args.mos_column)
    name = args.dataset or (Path(args.scores).stem if args.scores else Path(folder).resolve().name)
    output = args.output or ROOT / "Evaluation" / f"{name}_features.npy"
    check_place(output)
    for sentence in (*rated.remarks, *shortfall(rated)):
        say(sentence)
    model = GRepQ(settings, say)
    blocks = make_blocks(model, FEATURE_GROUPS["both"])
    table = FeatureFile(output.with_suffix(".h5"), blocks)
    table.check()
    rows = feature_rows(model, rated.images, [table])
    write_array(output, rows)
    failed = [row for row in rows if not row.status.ok]
    for row in failed:
        say(f"Without features (NaN): {row.image}: {row.status.reason.rstrip('.')}.")
    columns = ", ".join(f"{block.length} {block.name}" for block in blocks)
    print(f"{output} and {output.with_suffix('.h5').name}: {len(rows)} images x ({columns})")
    print(f"{rated.name}; {model.encoders.line()}.")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
