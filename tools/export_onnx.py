"""Write the scores as ONNX graphs, one a branch, that take an image's bytes and need no torch."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path

from configs import Settings
from utils.cli import MODEL_FLAGS, SCORE_FLAGS, add_fields, add_set, command, make_parser, say, with_fields
from utils.files import atomic_path

# A graph is float32 and computes where it is run.
NOT_OF_A_GRAPH = ("device", "precision", "jobs")
FLAGS = tuple(flag for flag in (*MODEL_FLAGS, *SCORE_FLAGS) if flag[1] not in NOT_OF_A_GRAPH)


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: 0 written, 1 a graph differs from the model and is not, 2 bad input, 130 interrupted."""
    parser = make_parser(__doc__, __file__)
    parser.add_argument("output", type=Path, help="folder for low.onnx and, with CLIP's weights, high.onnx")
    add_fields(parser, Settings(), FLAGS)
    add_set(parser, "Settings")
    args = parser.parse_args(argv)
    settings = with_fields(Settings(), args)

    # Only now: --help does not wait for torch.
    from Evaluation.grepq import GRepQ
    from Evaluation.onnx_graph import TOLERANCE, compare, make_graph, output_of

    settings = dataclasses.replace(settings, device="cpu", precision="float32", engine="torch", jobs=1)
    encoders = GRepQ(settings, say).encoders
    args.output.mkdir(parents=True, exist_ok=True)
    for branch, there in (("low", encoders.has_low), ("high", encoders.has_high)):
        if not there:
            continue
        model = GRepQ(dataclasses.replace(settings, branch=branch))  # type: ignore[arg-type]
        graph = make_graph(model)
        path, output = args.output / f"{branch}.onnx", output_of(model)
        print(f"{'size':>12}  {output:>9}  of the model  difference")
        for row in compare(graph, model):
            size = f"{row.width}x{row.height}"
            print(f"{size:>12}  {row.graph:9.6f}  {row.model:12.6f}  {row.difference:10.1e}", flush=True)
            if not row.difference <= TOLERANCE:
                say(f"{path}: is not written; at {size} it differs from the model by {row.difference:.1e}.")
                return 1
        with atomic_path(path) as part:
            part.write_bytes(graph)
        print(f"{path}: {len(graph) / 1e6:.1f} MB, {model.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
