"""The training loop of both branches: data, forward, loss, backward, log, save."""

from __future__ import annotations

import dataclasses
import json
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.optim.swa_utils import AveragedModel
from tqdm import tqdm

from configs import Training
from models.ranks import is_first
from models.weights.files import save_tensors
from training.checkpoint import read_checkpoint, restore, save_checkpoint
from training.distributed import average_gradients
from training.run_folder import RunFolder, checkpoint_of
from utils.errors import UserError


@dataclass(frozen=True)
class Task:
    """What a branch hands to the loop."""

    model: torch.nn.Module
    optimiser: torch.optim.Optimizer
    # Stepped after each step.
    schedule: torch.optim.lr_scheduler.LRScheduler
    steps_per_epoch: int
    # The batches from a step on; a step's content follows from its number alone.
    batches: Callable[[int], Iterable[Any]]
    # Digest of what is trained on, so that a run does not go on with other data.
    data: str
    # Scalar loss of a batch, and scalars to log beside it.
    loss: Callable[[Any], tuple[torch.Tensor, dict[str, torch.Tensor]]]
    # The images in a batch, for the message when its loss is not finite.
    names: Callable[[Any], list[str]]
    # Writes the weights as a score script reads them; receives the path without suffix and the steps done.
    export: Callable[[Path, int], Path]
    # What to do with the weights, {} being their path.
    scoring: str
    # Follows the model's weights, where their mean over steps is kept.
    average: AveragedModel | None = None


def draw_repeatably(seed: int) -> None:
    """Draw from `seed`, by repeatable kernels on GPUs too, so that a resumed run ends with the same bits."""
    torch.backends.cudnn.deterministic = True
    torch.manual_seed(seed)


def export_weights(
    model: torch.nn.Module, path: Path, steps: int, config: Training, more: Mapping[str, str]
) -> Path:
    """Write weights as `path`.safetensors, with the steps, the configuration and `more` in its metadata."""
    path = path.with_suffix(".safetensors")
    configuration = json.dumps(dataclasses.asdict(config))
    save_tensors(model, path, {"steps": str(steps), "configuration": configuration, **more})
    return path


class LossError(ArithmeticError):
    """Loss or weights are not finite; the message says at which step and on what."""


def fit(task: Task, config: Any, run: Path, resume: bool = False) -> Path:
    """Train to the end and return the path of the final weights.

    Of several processes all compute, and only the first writes.
    """
    first, before = _go_on(task, run) if resume else (0, 0.0)
    if not is_first():
        for _ in steps(task, first):
            pass
        return run
    total = task.steps_per_epoch * config.epochs
    folder = RunFolder(run, first)
    progress = tqdm(total=total, initial=first, desc=run.name, unit="step", dynamic_ncols=True)
    started = saved = time.monotonic()
    try:
        for line, figures in steps(task, first):
            folder.record(line, figures)
            done, epoch = line["step"] + 1, line["epoch"] + 1
            shown = {name: f"{value:.4f}" for name, value in {"loss": line["loss"], **figures}.items()}
            progress.set_postfix({"epoch": f"{epoch}/{config.epochs}"} | shown, refresh=False)
            progress.update()
            epoch_ends = done % task.steps_per_epoch == 0
            if epoch_ends or time.monotonic() - saved > 60 * config.checkpoint_minutes:
                # Weights first: a run that is killed between the two makes them again.
                if epoch_ends and done < total and epoch % config.export_epochs == 0:
                    task.export(folder.weights / f"epoch_{epoch:03d}", done)
                folder.flush()
                save_checkpoint(
                    folder.checkpoint, task.model, task.optimiser, task.schedule, task.average, done,
                    before + time.monotonic() - started, dataclasses.asdict(config), task.data,
                )  # fmt: skip
                saved = time.monotonic()
    except (UserError, LossError) as error:
        raise LossError(
            f"{error} What is kept in {folder.weights} is of before; start a new run with a lower "
            "learning_rate or precision=float32."
        ) from None
    finally:
        progress.close()
        folder.close()
    return task.export(folder.weights / "final", total)


def steps(task: Task, first: int) -> Iterator[tuple[dict[str, Any], dict[str, float]]]:
    """Train from step `first` on; after each step its log line and the figures of its task.

    A line holds step, epoch, loss, learning rate, seconds of the step and seconds waited for data.
    """
    task.model.train()
    asked = time.monotonic()
    for step, batch in enumerate(task.batches(first), start=first):
        received = time.monotonic()
        loss, figures = task.loss(batch)
        value = loss.item()
        if not math.isfinite(value):
            raise LossError(f"The loss of step {step} is {value}, on {', '.join(task.names(batch))}.")
        task.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        average_gradients(task.model)
        task.optimiser.step()
        rate = task.schedule.get_last_lr()[0]
        task.schedule.step()
        if task.average is not None:
            task.average.update_parameters(task.model)
        line = {
            "step": step, "epoch": step // task.steps_per_epoch, "loss": value, "learning_rate": rate,
            "seconds": round(time.monotonic() - asked, 4), "waited": round(received - asked, 4),
        }  # fmt: skip
        yield line, {name: figure.item() for name, figure in figures.items()}
        asked = time.monotonic()


def _go_on(task: Task, run: Path) -> tuple[int, float]:
    """Put the task back to the run's checkpoint: steps done and the seconds that they took."""
    content = read_checkpoint(checkpoint_of(run))
    if content["data"] != task.data:
        raise UserError(
            f"{run}: what it trains on has changed since its checkpoint, so it cannot go on; start a new run."
        )
    restore(content, task.model, task.optimiser, task.schedule, task.average)
    return content["step"], content["seconds"]
