"""Reading of batches beside the training step."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from configs import Training


def read_batches(
    images: Dataset[Any],
    order: Iterable[list[Any]],
    collate: Callable[[list[Any]], Any],
    config: Training,
    device: torch.device,
) -> Iterable[Any]:
    """The batches of `order`, read by `config.workers` processes."""
    chosen = min(4, max(1, (os.cpu_count() or 1) // 2))
    return DataLoader(
        images,  # collate turns images into a batch
        batch_sampler=order,
        num_workers=chosen if config.workers == -1 else config.workers,
        collate_fn=collate,
        # Its own generator: asking the global one would move the random state that was restored.
        generator=torch.Generator().manual_seed(config.seed),
        pin_memory=device.type == "cuda",
    )
