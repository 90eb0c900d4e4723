"""One step of 8 images x 9 versions x 2 views: as train.py runs it against eager float32 NCHW.

Both are nearly all convolution, so the ratio cannot go far beyond that of the processor's matrix products,
which is printed beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks.scoring import high_level
from benchmarks.timing import Row, in_turns
from configs import HighLevelTraining, LowLevelTraining
from datasets.version_pairs import Batch
from models.device import autocast, choose_device, choose_precision, place_model
from models.low_level import LowLevelEncoder
from training.high_level import ProjectedEncoder, high_level_loss
from training.low_level import low_level_loss

# Of a high-level step; 128 would take a minute by the reference.
BATCH = 32


def make_step(side: int, precision: torch.dtype, layout: torch.memory_format):
    """A function that does one whole training step on random images of side x side."""
    config = LowLevelTraining()
    device = choose_device(config.device)
    torch.manual_seed(0)
    model = place_model(LowLevelEncoder(), device, layout)
    optimiser = torch.optim.AdamW(model.parameters(), lr=config.learning_rate)
    count = config.batch_size * config.versions
    views = [torch.rand(count, 3, side, side) for _ in range(2)]
    similarity = torch.full((config.versions, config.versions), 0.9).fill_diagonal_(1.0)
    batch = Batch(views[0], views[1], [similarity] * config.batch_size, torch.empty(0), [])

    def step() -> float:
        loss = low_level_loss(model, batch, config, device, precision, layout)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        return loss.item()

    return step


def rows(img_dir: Path | None) -> Iterator[Row]:
    """Both forms of fragments, and what bounds them: a product of two matrices."""
    precision = choose_precision("auto", choose_device("auto"))
    remark = str(precision).removeprefix("torch.")
    pairs = [[torch.randn(4096, 4096).to(kind) for _ in range(2)] for kind in (torch.float32, precision)]
    products = [partial(torch.matmul, *pair) for pair in pairs]
    yield in_turns("product of 4096 x 4096 matrices", "float32", products[0], products[1], 3, remark)
    for name, side, repeats in (("1 x 1 of 96", 96, 3), ("7 x 7 of 32", 224, 1)):
        eager = make_step(side, torch.float32, torch.contiguous_format)
        ours = make_step(side, precision, torch.channels_last)
        work = f"a training step of 8 x 9 x 2 images, {name}"
        yield in_turns(work, "eager, NCHW, float32", eager, ours, repeats, remark)
        work = f"share of this step that is convolution, {name}"
        yield Row(work, "", [], [100 * convolution_share(ours)], "%")
    config = HighLevelTraining(batch_size=BATCH)
    eager = make_high_level_step(torch.float32, torch.contiguous_format)
    ours = make_high_level_step(precision, torch.channels_last)
    work = f"a training step of CLIP's RN50 on {config.batch_size} images of {config.crop} x {config.crop}"
    yield in_turns(work, "eager, NCHW, float32", eager, ours, 1, remark)


def make_high_level_step(precision: torch.dtype, layout: torch.memory_format) -> Callable[[], float]:
    """A function that does one whole training step of CLIP's RN50, of random weights, on random images."""
    config = HighLevelTraining(batch_size=BATCH)
    device = choose_device(config.device)
    torch.manual_seed(0)
    model = place_model(ProjectedEncoder(high_level(), config).train(), device, layout)
    optimiser = torch.optim.Adam(model.parameters(), lr=config.learning_rate)
    images = torch.rand(config.batch_size, 3, config.crop, config.crop).to(device, memory_format=layout)
    text = torch.randn(1, 2, 1024, device=device)

    def step() -> float:
        with autocast(device, precision):
            features = model(images)
        loss, _ = high_level_loss(model, features.float(), text, config)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        return loss.item()

    return step


def convolution_share(step: Callable[[], object]) -> float:
    """The share of a step's time that its convolutions take, forward and backward."""
    with profile(activities=[ProfilerActivity.CPU]) as profiled:
        step()
    spent = {event.key: event.self_cpu_time_total for event in profiled.key_averages()}
    return sum(time for name, time in spent.items() if "convolution" in name) / sum(spent.values())
