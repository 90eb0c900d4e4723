"""Images measured by all processes of torchrun, on one machine or several; the first has the rows."""

from __future__ import annotations

import atexit
import signal
from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import distributed

from configs import Settings
from datasets.rated.sets import RatedImage
from Evaluation.processes import SOME, packed, unpacked
from Evaluation.zeroshot import Measurement, Part, Unmeasured
from models.ranks import is_first, join_processes, leave_processes, processes, rank
from utils.cli import say

if TYPE_CHECKING:
    from Evaluation.grepq import GRepQ

_ENDING = (signal.SIGINT, signal.SIGTERM)


def helped_the_first(settings: Settings) -> bool:
    """Whether this process of torchrun measured for the first one, which has ended now.

    The first process, and one without torchrun, go on at once.
    """
    if processes() == 1:
        return False
    join_processes(torch.device("cpu"))  # where the rows are, whatever measures them
    if is_first():
        # When a process is lost torchrun ends the others; what is done is kept first.
        end_by_one_signal()
        atexit.register(_dismiss)
        return False
    from Evaluation.grepq import GRepQ  # which imports this module

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; the first ends the others
    model = GRepQ(settings)
    while (work := _asked()) is not None:
        _measure_shares(model, *work)
    leave_processes()
    return True


def measure_by_ranks(
    model: GRepQ, images: Sequence[RatedImage], parts: Collection[Part]
) -> Iterator[Measurement | Unmeasured]:
    """What is measured of each image, in order; of n processes each measures every n-th.

    Raises:
        KeyboardInterrupt: a process is lost, which is said.
    """
    count = processes()
    for start in range(0, len(images), SOME * count):
        some = images[start : start + SOME * count]
        try:
            distributed.broadcast_object_list([(some, tuple(parts))])
            shares = _measure_shares(model, some, parts)
        except RuntimeError as error:
            if not _is_lost(error):
                raise
            _ignore_ending()
            say("One of the processes that torchrun started is lost.")
            raise KeyboardInterrupt from None
        yield from (unpacked(shares[k % count][k // count]) for k in range(len(some)))


def _measure_shares(model: GRepQ, images: Sequence[RatedImage], parts: Collection[Part]) -> list[list[Any]]:
    """What each process measures of its share of the images; told to the first alone."""
    own = [packed(one) for _, one in model.measure_here(images[rank() :: processes()], parts)]
    shares: list[Any] = [None] * processes()
    distributed.gather_object(own, shares if is_first() else None)
    return shares


def _asked() -> Any:
    """Images and parts that the first process wants measured; None when it has ended."""
    asked = [None]
    try:
        distributed.broadcast_object_list(asked)
    except RuntimeError as error:
        if not _is_lost(error):
            raise
    return asked[0]


def _dismiss() -> None:
    """Let the others end with the first, where they are there still."""
    try:
        distributed.broadcast_object_list([None])
    except RuntimeError as error:
        if not _is_lost(error):
            raise
    leave_processes()


def end_by_one_signal() -> None:
    """Let the first signal interrupt this process, and no second one what it writes then.

    Torchrun passes on what the terminal has sent already, and ends the others after a loss.
    """

    def interrupt(*_: object) -> None:
        _ignore_ending()
        raise KeyboardInterrupt

    for number in _ENDING:
        signal.signal(number, interrupt)


def _ignore_ending() -> None:
    for number in _ENDING:
        signal.signal(number, signal.SIG_IGN)


def _is_lost(error: RuntimeError) -> bool:
    """Whether another process ended, as gloo says it."""
    return any(word in str(error) for word in ("closed by peer", "reset by peer", "Broken pipe"))
