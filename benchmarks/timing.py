"""How every bench takes a time, and what a row of the table is."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

Call = Callable[[], object]
PACKAGES = ("torch", "openvino", "onnxruntime", "numpy", "scipy", "scikit-learn", "pillow")


@dataclass(frozen=True)
class Row:
    """One line of the table: a work, by the reference and as it is done here, in seconds unless `unit` says.

    `reference` and `here` are of runs taken in turns; without a reference there is no ratio.
    """

    work: str
    reference_name: str
    reference: Sequence[float]
    here: Sequence[float]
    unit: str = "s"
    remark: str = ""

    def cells(self) -> tuple[str, str, str, str]:
        """Work, reference, here, and the ratio with its lowest and highest over the turns."""
        work = f"{self.work}{f' ({self.remark})' if self.remark else ''}"
        reference = f"{self.reference_name}: {self._words(self.reference)}" if self.reference else "-"
        return work, reference, self._words(self.here), self._ratio()

    def _words(self, values: Sequence[float]) -> str:
        return f"{statistics.median(values):.3g} {self.unit}"

    def _ratio(self) -> str:
        if not self.reference:
            return "-"
        ratios = [one / other for one, other in zip(self.reference, self.here, strict=True)]
        middle = statistics.median(self.reference) / statistics.median(self.here)
        return f"{middle:.3g} [{min(ratios):.3g}, {max(ratios):.3g}]"


def in_turns(work: str, name: str, reference: Call, here: Call, repeats: int = 5, remark: str = "") -> Row:
    """The row of two calls that are timed in turns; where it is more than once, after one that warms up."""
    here()
    if repeats > 1:
        reference()
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(repeats):
        for call, taken in zip((reference, here), times, strict=True):
            taken.append(seconds(call))
    return Row(work, name, *times, remark=remark)


def seconds(call: Call) -> float:
    """What one call takes."""
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def machine() -> dict[str, str]:
    """What the figures were measured on."""
    versions = {name: _version(name) for name in PACKAGES}
    return {
        "processor": _of_cpuinfo("model name") or platform.processor() or platform.machine(),
        "instructions": " ".join([torch.backends.cpu.get_cpu_capability(), *_short_floats()]),
        "cores": str(os.cpu_count()),
        "threads": str(torch.get_num_threads()),
        "python": platform.python_version(),
        **versions,
    }


def _short_floats() -> list[str]:
    known = {"avx512_bf16", "amx_bf16", "bf16"}
    return sorted(known & set(_of_cpuinfo("flags").split() + _of_cpuinfo("Features").split()))


def _of_cpuinfo(name: str) -> str:
    """What Linux says of the first processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), "")


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
