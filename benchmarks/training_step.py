"""One step of 8 images x 9 versions x 2 views: as train.py runs it against eager float32 NCHW.

Both are nearly all convolution, so the ratio cannot go far beyond that of the processor's matrix products,
which is printed beside it.
"""

from __future__ import annotations

import torch

from benchmarks.timing import machine, seconds
from configs import LowLevelTraining
from datasets.version_pairs import Batch
from models.device import choose_device, choose_precision, place_model
from models.low_level import LowLevelEncoder
from training.low_level import low_level_loss


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


def matrix_product_rate(precision: torch.dtype) -> float:
    """Billions of floating-point operations a second in a product of two 4096 x 4096 matrices."""
    left, right = (torch.randn(4096, 4096).to(precision) for _ in range(2))
    return 2 * 4096**3 / seconds(lambda: left @ right, 3) / 1e9


def main() -> None:
    """Print both times and their ratio for both forms of fragments, and what bounds it."""
    precision = choose_precision("auto", choose_device("auto"))
    print(f"A training step of 8 x 9 x 2 images ({machine()}; auto precision is {precision})")
    rates = [matrix_product_rate(kind) for kind in (torch.float32, precision)]
    print(
        f"matrix product: float32 {rates[0]:4.0f}, auto {rates[1]:4.0f} GFLOPS, {rates[1] / rates[0]:4.1f} x"
    )
    for name, side, repeats in (("1 x 1 of 96", 96, 5), ("7 x 7 of 32", 224, 2)):
        ours = seconds(make_step(side, precision, torch.channels_last), repeats)
        eager = seconds(make_step(side, torch.float32, torch.contiguous_format), repeats)
        print(f"{name}: eager float32 NCHW {eager:6.2f} s, train.py {ours:6.2f} s, {eager / ours:4.1f} x")


if __name__ == "__main__":
    main()
