"""Images measured by several processes of this machine, which share its cores."""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from configs import Settings
from datasets.rated.sets import RatedImage
from Evaluation.zeroshot import Measurement, Part, Unmeasured
from utils.errors import UserError

if TYPE_CHECKING:
    from Evaluation.grepq import GRepQ

# Images that a process is given at a time.
SOME = 8

# Of a process that measures for another.
_model: GRepQ | None = None


def measure_in_processes(
    settings: Settings, images: Sequence[RatedImage], parts: Collection[Part]
) -> Iterator[Measurement | Unmeasured]:
    """What is measured of each image, in order, by `settings.jobs` processes that share the cores.

    Raises:
        UserError: a process ended, because memory is short or somebody killed it.
    """
    # Not by fork: a copy of a process whose libraries have threads may wait for ever.
    context = multiprocessing.get_context("spawn")
    alone = dataclasses.replace(settings, jobs=1)
    with ProcessPoolExecutor(settings.jobs, context, _begin, (alone, threads_each(settings.jobs))) as pool:
        waiting = iter([images[start : start + SOME] for start in range(0, len(images), SOME)])
        ahead: deque[Future[list[Any]]] = deque()
        try:
            while True:
                while len(ahead) < 2 * settings.jobs and (some := next(waiting, None)) is not None:
                    ahead.append(pool.submit(_measure, some, tuple(parts)))
                if not ahead:
                    return
                yield from map(unpacked, ahead.popleft().result())
        except BrokenProcessPool:
            raise UserError(
                f"One of the {settings.jobs} processes ended before its work did: memory may be short; try "
                "fewer with --jobs."
            ) from None
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def threads_each(jobs: int) -> int:
    """Threads of each of `jobs` processes, so that together they have the cores of this one."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores // jobs)


def _begin(settings: Settings, threads: int) -> None:
    """Make the model of a process."""
    global _model
    from Evaluation.grepq import GRepQ  # which imports this module

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; the first process ends the others
    torch.set_num_threads(threads)
    _model = GRepQ(settings)


def _measure(images: Sequence[RatedImage], parts: tuple[Part, ...]) -> list[Any]:
    assert _model is not None
    return [packed(one) for _, one in _model.measure_here(images, parts)]


def packed(one: Measurement | Unmeasured) -> Any:
    """With arrays for tensors, each of which would take a file handle on its way."""
    if isinstance(one, Unmeasured):
        return one
    values = {field.name: getattr(one, field.name) for field in dataclasses.fields(one)}
    tensors = {name: value.numpy() for name, value in values.items() if isinstance(value, torch.Tensor)}
    return {**values, **tensors}


def unpacked(packed: Any) -> Measurement | Unmeasured:
    """What `packed` packed."""
    if isinstance(packed, Unmeasured):
        return packed
    arrays = {name: torch.from_numpy(one) for name, one in packed.items() if isinstance(one, np.ndarray)}
    return Measurement(**{**packed, **arrays})
