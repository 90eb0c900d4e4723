"""The processes that torchrun started, on one machine or on several."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import distributed

from models.device import choose_device

T = TypeVar("T")


def processes() -> int:
    """How many there are; 1 without torchrun."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def rank() -> int:
    """Which of them this one is, from 0."""
    return int(os.environ.get("RANK", "0"))


def is_first() -> bool:
    """Whether this process is the one that writes and prints."""
    return rank() == 0


def join_processes(device: torch.device) -> torch.device:
    """Join the others, if there are any; the device that is this process's own.

    Raises:
        ValueError: fewer GPUs than processes.
    """
    if processes() == 1 or distributed.is_initialized():
        return device
    if device.type == "cuda":
        device = choose_device(f"cuda:{os.environ['LOCAL_RANK']}")
        torch.cuda.set_device(device)
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    return device


def from_first(make: Callable[[], T]) -> T:
    """What `make` gives in the first process, which alone calls it, in all of them."""
    made: list[Any] = [make() if is_first() else None]
    if processes() > 1:
        distributed.broadcast_object_list(made)
    return made[0]


def leave_processes() -> None:
    """Leave the others, so that they do not wait for this process."""
    if distributed.is_available() and distributed.is_initialized():
        distributed.destroy_process_group()
