"""Make our file of the semantic encoder of EfficientNet-Lite0's published weights, float16."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from utils.cli import command, make_parser
from utils.errors import UserError


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: 0 written, 2 bad input, 130 interrupted."""
    parser = make_parser(__doc__, __file__)
    parser.add_argument("published", type=Path, help="efficientnet-lite0-57934424.pth")
    parser.add_argument("--output", type=Path, help="default: the shipped file, which it replaces")
    args = parser.parse_args(argv)

    # Only now: --help does not wait for torch.
    import torch

    from models.weights.files import is_state_dict, read_torch, save_tensors
    from models.weights.semantic import SEMANTIC_WEIGHTS, from_published
    from utils.files import file_sha256

    output = args.output or SEMANTIC_WEIGHTS
    content = read_torch(args.published)
    if not is_state_dict(content):
        raise UserError(f"{args.published}: holds more than tensors by name.")
    origin = {
        "origin": f"EfficientNet-Lite0, {args.published.name}, sha256 {file_sha256(args.published)}",
        "changes": "batch normalisations folded into convolutions, last layers left out, float16",
        "licence": "Apache-2.0; copyright 2020 ML Illustrated and The TensorFlow Authors",
    }
    save_tensors(from_published(content, args.published), output, origin, torch.float16)
    print(f"{output}: sha256 {file_sha256(output)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
