"""A checkpoint: everything that a run needs to go on exactly where it was, in one dictionary."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from models.weights.files import UNREADABLE
from utils.errors import UserError
from utils.files import atomic_path

# Changes when a checkpoint of before could not be resumed.
FORMAT = "grepq checkpoint 4"


def save_checkpoint(
    path: Path,
    model: torch.nn.Module,
    optimiser: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
    average: torch.nn.Module | None,
    step: int,
    seconds: float,
    config: dict[str, Any],
    data: str,
) -> None:
    """Write atomically: a power cut leaves the checkpoint of before.

    `average` is the mean of the weights over steps, None where none is kept; `step` is the number of
    steps done, which is also the place in the epoch; `seconds` the time they took; `data` a digest of
    what is trained on.

    Raises:
        UserError: a weight is not finite; the checkpoint of before stays.
    """
    for name, tensor in model.state_dict().items():
        if not tensor.isfinite().all():
            raise UserError(f"After step {step - 1} '{name}' holds values that are not finite.")
    device = next(model.parameters()).device
    content = {
        "format": FORMAT,
        "model": model.state_dict(),
        "optimiser": optimiser.state_dict(),
        "schedule": schedule.state_dict(),
        "average": None if average is None else average.state_dict(),
        "step": step,
        "seconds": seconds,
        "random_state": torch.get_rng_state(),
        "cuda_random_state": torch.cuda.get_rng_state(device) if device.type == "cuda" else None,
        "config": config,
        "data": data,
    }
    with atomic_path(path) as part:
        torch.save(content, part)


def read_checkpoint(path: Path) -> dict[str, Any]:
    """The dictionary of `save_checkpoint`, on the CPU, without unpickling objects.

    Raises:
        UserError: missing, damaged, or not one of ours.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise UserError(f"{path}: the run has no checkpoint to go on from; start a new one.") from None
    except UNREADABLE as error:
        raise UserError(f"{path}: not a readable checkpoint ({type(error).__name__}).") from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise UserError(f"{path}: not a checkpoint of this version ({FORMAT}).")
    return content


def restore(
    content: dict[str, Any],
    model: torch.nn.Module,
    optimiser: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
    average: torch.nn.Module | None,
) -> None:
    """Put model, optimiser, schedule, average and random state back to where the checkpoint was made."""
    model.load_state_dict(content["model"])
    optimiser.load_state_dict(content["optimiser"])
    schedule.load_state_dict(content["schedule"])
    if average is not None:
        average.load_state_dict(content["average"])
    torch.set_rng_state(content["random_state"])
    device = next(model.parameters()).device
    if device.type == "cuda" and content["cuda_random_state"] is not None:
        torch.cuda.set_rng_state(content["cuda_random_state"], device)
