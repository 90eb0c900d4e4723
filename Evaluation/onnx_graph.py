"""The score of a branch as an ONNX graph: the model itself traced, from an image's bytes to the number."""

from __future__ import annotations

import dataclasses
import io
import json
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from configs import VERSION
from Evaluation.extended.detail import COARSE
from Evaluation.grepq import GRepQ
from Evaluation.zeroshot import RANGES
from utils.errors import UserError

OPSET = 18  # the first whose Resize has antialiasing
# (height, width) of the image that a model is traced with: so small that each branch enlarges it, because
# what is not done to it is not in the graph. Enlarging to an image's own size leaves it as it is.
EXAMPLE = (24, 40)
# (height, width) at which a graph is compared with its model: small for both branches, of one tile, odd,
# wide, and with a view of its own.
SIZES = ((20, 60), (96, 100), (333, 457), (120, 900), (1001, 1203))
# A larger difference between a graph and its model is more than rounding.
TOLERANCE = 1e-4
_RESIZE = "aten::_upsample_bilinear2d_aa"


@dataclass(frozen=True)
class Comparison:
    """A graph's score of an image beside the model's."""

    height: int
    width: int
    graph: float
    model: float

    @property
    def difference(self) -> float:
        """Not a number where a score is not."""
        return abs(self.graph - self.model)


class ScoreGraph(nn.Module):
    """A model of one branch as a module: what is traced."""

    def __init__(self, model: GRepQ) -> None:
        super().__init__()
        self.model, encoders = model, model.encoders
        # As modules of its own, so that the exporter folds their normalisations and knows their weights.
        self.high = encoders.high.encoder if encoders.has_high else None
        self.low = encoders.low.model if encoders.has_low else None
        self.semantic = encoders.semantic.encoder if "semantic" in model.parts else None

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Score () of an image (H, W, 3), uint8."""
        measured = self.model.measure(image.permute(2, 0, 1).float() / 255)
        return next(one for one in self.model.qualities(measured) if one is not None)


def make_graph(model: GRepQ) -> bytes:
    """The graph of a model of one branch: `image` (H, W, 3), uint8, to `q_low` or `q_high` ().

    Args:
        model: on the CPU, with the engine "torch".

    Raises:
        UserError: the packages are missing, weights or statistics cannot be used, or patches are so small
            that the blocks of `detail` would depend on the image's size.
    """
    onnx, _ = packages()
    if model.extended is not None and model.settings.patch_size < 2 * COARSE:
        raise UserError(f"A graph of the extended score takes a patch size of {2 * COARSE} or more.")
    made = onnx.load_from_string(traced(ScoreGraph(model.load()).eval(), output_of(model)))
    onnx.helper.set_model_props(made, provenance(model))
    return made.SerializeToString()


def traced(module: nn.Module, output: str) -> bytes:
    """The graph of a module that takes an image (H, W, 3), uint8, whose `output` is a single tensor."""
    written, dtype = io.BytesIO(), torch.get_default_dtype()
    # To the default the exporter rounds numbers (): sizes, and what is computed after the encoders.
    torch.set_default_dtype(torch.float64)
    torch.onnx.register_custom_op_symbolic(_RESIZE, _resize, OPSET)
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # of checks, whose outcome is that of the example
            torch.onnx.export(
                module, (torch.zeros(*EXAMPLE, 3, dtype=torch.uint8),),
                written,  # type: ignore[arg-type]
                dynamo=False,  # by tracing, which takes sizes that are computed and a loop
                opset_version=OPSET, input_names=["image"], output_names=[output],
                dynamic_axes={"image": {0: "height", 1: "width"}},
            )  # fmt: skip
    finally:
        torch.onnx.unregister_custom_op_symbolic(_RESIZE, OPSET)
        torch.set_default_dtype(dtype)
    return written.getvalue()


def output_of(model: GRepQ) -> str:
    """What the graph of a model of one branch calls its score."""
    return "q_low" if model.encoders.has_low else "q_high"


def provenance(model: GRepQ) -> dict[str, str]:
    """All that the scores of a graph depend on, for its metadata; checksums are SHA-256."""
    found = {
        "score": model.name,
        "output": output_of(model),
        "range": RANGES[output_of(model)],
        "direction": "higher is better",
        "version": VERSION,
        **model.encoders.checksums(),
        "pristine_sha256": model.pristine.patches_sha256 if model.encoders.has_low else None,
        "settings": json.dumps(dataclasses.asdict(model.settings)),
    }
    return {name: value for name, value in found.items() if value is not None}


def compare(graph: bytes, model: GRepQ, sizes: Sequence[tuple[int, int]] = SIZES) -> Iterator[Comparison]:
    """A graph beside its model on an image of each size.

    Raises:
        UserError: the packages are missing.
    """
    session = packages()[1].InferenceSession(graph, providers=["CPUExecutionProvider"])
    for height, width in sizes:
        image = pattern(height, width)
        scores: Any = model.score(image)
        [found] = session.run(None, {"image": image})
        yield Comparison(height, width, found.item(), getattr(scores, output_of(model)))


def pattern(height: int, width: int) -> np.ndarray:
    """An image (H, W, 3), uint8, of coarse and fine structure, always the same."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 200, (height // 16 + 1, width // 16 + 1, 3))
    fine = rng.integers(0, 56, (height, width, 3))
    return (coarse.repeat(16, 0).repeat(16, 1)[:height, :width] + fine).astype(np.uint8)


def _resize(graph: Any, image: Any, size: Any, align_corners: Any, scales: Any) -> Any:
    """What `resize` asks of torch, in ONNX, for which the exporter has no rule."""
    helper = torch.onnx.symbolic_helper
    lengths = [helper._unsqueeze_helper(graph, one, [0]) for one in helper._unpack_list(size)]
    own = helper._slice_helper(graph, graph.op("Shape", image), axes=[0], starts=[0], ends=[2])
    nothing = graph.op("Constant", value_t=torch.tensor([], dtype=torch.float32))
    return graph.op(
        "Resize", image, nothing, nothing, graph.op("Concat", own, *lengths, axis_i=0), mode_s="linear",
        antialias_i=1, exclude_outside_i=1, coordinate_transformation_mode_s="half_pixel",
    )  # fmt: skip


def packages() -> tuple[Any, Any]:
    """Onnx and onnxruntime, of which nothing else has need; `UserError` where one is missing."""
    try:
        import onnx
        import onnxruntime
    except ImportError as error:
        raise UserError(f"The package {error.name} is missing: pip install onnx onnxruntime") from None
    return onnx, onnxruntime
