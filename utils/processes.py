"""One function over many jobs in several processes, which an interruption stops amid their work."""

from __future__ import annotations

import concurrent.futures
import multiprocessing
import signal
from collections.abc import Callable, Generator, Sequence
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.synchronize import Event
from typing import TypeVar

Job = TypeVar("Job")
Result = TypeVar("Result")

_stop: Event | None = None


def in_processes(
    function: Callable[[Job], Result], jobs: Sequence[Job], workers: int
) -> Generator[Result, None, None]:
    """The results of all jobs as they finish; with one worker in this process, in order.

    `function` calls `stop_if_interrupted` now and then. An interruption here stops the other processes first.
    Raises `OSError` where one of them was killed.
    """
    if workers == 1 or len(jobs) == 1:
        yield from map(function, jobs)
        return
    stop = multiprocessing.Event()
    with concurrent.futures.ProcessPoolExecutor(
        min(workers, len(jobs)), initializer=_enlist, initargs=(stop,)
    ) as executor:
        try:
            futures = [executor.submit(function, job) for job in jobs]
            for future in concurrent.futures.as_completed(futures):
                yield future.result()
        except BrokenProcessPool:
            raise OSError(
                "a worker process was killed, often for lack of memory: use fewer --workers"
            ) from None
        except BaseException:
            stop.set()
            executor.shutdown(cancel_futures=True)
            raise


def stop_if_interrupted() -> None:
    """Raises `KeyboardInterrupt` in a process of `in_processes` that is to stop."""
    if _stop is not None and _stop.is_set():
        raise KeyboardInterrupt


def _enlist(stop: Event) -> None:
    """A new worker process: Ctrl-C is the parent's to handle, which then sets `stop`."""
    global _stop
    _stop = stop
    signal.signal(signal.SIGINT, signal.SIG_IGN)
