"""Encoders and scores of one image against the reference."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import torch
from torch import nn

from benchmarks import reference
from benchmarks.memory import made
from benchmarks.timing import Row, in_turns
from configs import Settings
from Evaluation.grepq import GRepQ
from models.device import computes_in_bfloat16
from models.engine import fastest
from models.high_level import HighLevelEncoder
from models.weights.clip import import_clip

CPU = torch.device("cpu")
# Width, height and turns.
SIZES = ((500, 500, 7), (1920, 1080, 3), (4000, 3000, 1))


def rows(img_dir: Path | None) -> Iterator[Row]:
    """Encoders on what scores show them; the paper's Q_low; the extended score by size."""
    low, other = reference.low_level(), reference.semantic()
    precisions = [torch.float32, *([torch.bfloat16] if computes_in_bfloat16(CPU) else [])]
    for precision in precisions:
        shown = (
            ("low-level encoder, 63 patches of 96", low, torch.rand(63, 3, 96, 96)),
            ("semantic encoder, 500 x 500", other, torch.rand(1, 3, 500, 500)),
            ("CLIP's RN50, 500 x 500", high_level(), torch.rand(1, 3, 500, 500)),
        )
        for work, encoder, images in shown:
            run = fastest(partial(copy.deepcopy, encoder), f"bench {work}", CPU, precision)
            eager = partial(eagerly, encoder, images)
            remark = str(precision).removeprefix("torch.")
            yield in_turns(work, "eager torch, NCHW, float32", eager, partial(run, images), 7, remark)
    model, paper = (
        GRepQ(Settings(branch="low", device="cpu", score=score)).load() for score in ("own", "paper")
    )
    pristine = paper.pristine.statistics
    with tempfile.TemporaryDirectory() as folder:
        small = made(Path(folder), 500, 500)
        release = partial(reference.paper_low, small, low, pristine)
        yield in_turns("the paper's Q_low, 500 x 500", "eager", release, partial(paper.score, small))
        patches = torch.rand(pristine.count, 3, reference.PATCH, reference.PATCH)

        def whole_release() -> None:
            reference.paper_low(small, low, reference.pristine_again(patches, low))

        yield in_turns("the same, pristine features computed anew", "eager", whole_release,
                       partial(paper.score, small), 1)  # fmt: skip
        same, ours = partial(reference.extended, small, low, other), partial(model.score, small)
        yield in_turns("extended score, 500 x 500", "the same tiles and view, eager", same, ours, 9)
        for precision in precisions[1:]:
            name = str(precision).removeprefix("torch.")
            short = GRepQ.from_pretrained(branch="low", device="cpu", precision=name).load()
            yield in_turns("extended score, 500 x 500", "the same tiles and view, eager", same,
                           partial(short.score, small), 9, name)  # fmt: skip
        for width, height, turns in SIZES:
            path = made(Path(folder), width, height)
            former, ours = partial(reference.overlapping, path, low, other), partial(model.score, path)
            work = f"extended score, {width} x {height}"
            yield in_turns(work, "overlapping patches of all pixels, eager", former, ours, turns)


@torch.inference_mode()
def eagerly(encoder: nn.Module, images: torch.Tensor) -> object:
    """As torch runs it by itself."""
    return encoder(images)


def high_level() -> HighLevelEncoder:
    """CLIP's RN50 with random weights."""
    torch.manual_seed(0)
    visual = import_clip().model.ModifiedResNet((3, 4, 6, 3), 1024, 32, 224, 64)
    return HighLevelEncoder(visual, "none").eval()
