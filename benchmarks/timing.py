"""How every bench takes a time and says on what."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable

import torch


def seconds(call: Callable[[], object], repeats: int) -> float:
    """The shortest of `repeats` calls after one that warms up."""
    call()
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return min(times)


def machine() -> str:
    """One line that says what the figures were measured on."""
    capability = torch.backends.cpu.get_cpu_capability()
    return f"{platform.machine()}, {os.cpu_count()} cores, {capability}, torch {torch.__version__}"
