"""The training loop of both branches: data, forward, loss, backward, log, save."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from training.checkpoint import CheckpointError, read_checkpoint, restore, save_checkpoint
from training.run_folder import RunFolder, checkpoint_of


@dataclass(frozen=True)
class Task:
    """What a branch hands to the loop."""

    model: torch.nn.Module
    optimiser: torch.optim.Optimizer
    # Stepped after each step.
    schedule: torch.optim.lr_scheduler.LRScheduler
    steps_per_epoch: int
    epochs: int
    # The batches from a step on; a step's content follows from its number alone.
    batches: Callable[[int], Iterable[Any]]
    # Digest of what is trained on, so that a run does not go on with other data.
    data: str
    # Scalar loss of a batch.
    loss: Callable[[Any], torch.Tensor]
    # The photographs in a batch, for the message when its loss is not finite.
    names: Callable[[Any], list[str]]
    # Writes the weights as a score script reads them; receives the path without suffix and the steps done.
    export: Callable[[Path, int], Path]
    # Epochs between exported weights; the last epoch's are always exported.
    export_epochs: int
    checkpoint_minutes: float


class LossError(ArithmeticError):
    """Loss or weights are not finite; the message says at which step, on what, and what is kept."""


def fit(task: Task, config: Any, run: Path, resume: bool = False) -> Path:
    """Train to the end and return the path of the final weights.

    Log lines hold step, epoch, loss, learning rate, seconds of the step and seconds waited for data.
    """
    total = task.steps_per_epoch * task.epochs
    first, before = 0, 0.0
    if resume:
        content = read_checkpoint(checkpoint_of(run))
        if content["data"] != task.data:
            raise CheckpointError(
                f"{run}: the sets have changed since its checkpoint, so it cannot go on; start a new run."
            )
        restore(content, task.model, task.optimiser, task.schedule)
        first, before = content["step"], content["seconds"]
    folder = RunFolder(run, first)
    started = saved = asked = time.monotonic()

    def save(done: int) -> None:
        folder.flush()
        seconds = before + time.monotonic() - started
        save_checkpoint(
            folder.checkpoint, task.model, task.optimiser, task.schedule, done, seconds,
            dataclasses.asdict(config), task.data,
        )  # fmt: skip

    def stop(reason: str) -> LossError:
        return LossError(
            f"{reason} What is kept in {folder.weights} is of before; start a new run with a lower "
            "learning_rate or precision=float32."
        )

    task.model.train()
    progress = tqdm(total=total, initial=first, desc=run.name, unit="step", dynamic_ncols=True)
    try:
        for step, batch in enumerate(task.batches(first), start=first):
            received = time.monotonic()
            loss = task.loss(batch)
            value = loss.item()
            if not math.isfinite(value):
                raise stop(f"The loss of step {step} is {value}, on {', '.join(task.names(batch))}.")
            task.optimiser.zero_grad(set_to_none=True)
            loss.backward()
            task.optimiser.step()
            rate = task.schedule.get_last_lr()[0]
            task.schedule.step()

            done, now = step + 1, time.monotonic()
            epoch = step // task.steps_per_epoch
            folder.record(
                {"step": step, "epoch": epoch, "loss": value, "learning_rate": rate,
                 "seconds": round(now - asked, 4), "waited": round(received - asked, 4)}
            )  # fmt: skip
            progress.set_postfix(epoch=f"{epoch + 1}/{task.epochs}", loss=f"{value:.4f}", refresh=False)
            progress.update()
            epoch_ends = done % task.steps_per_epoch == 0
            if epoch_ends or now - saved > 60 * task.checkpoint_minutes:
                # Weights first: a run that is killed between the two makes them again.
                if epoch_ends and done < total and (epoch + 1) % task.export_epochs == 0:
                    task.export(folder.weights / f"epoch_{epoch + 1:03d}", done)
                save(done)
                saved = time.monotonic()
            asked = time.monotonic()
    except CheckpointError as error:
        raise stop(str(error)) from None
    finally:
        progress.close()
        folder.close()
    return task.export(folder.weights / "final", total)
