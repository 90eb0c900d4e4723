"""Where a computation runs and in which precision."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TypeVar

import torch

from utils.errors import UserError

Model = TypeVar("Model", bound=torch.nn.Module)


def choose_device(name: str = "auto") -> torch.device:
    """The device called `name`; "auto" takes a CUDA GPU when there is one.

    Raises:
        UserError: the name is unknown to torch or the device is not on this machine.
    """
    if name == "auto":
        if not torch.cuda.is_available():
            return torch.device("cpu")
        own = os.environ.get("LOCAL_RANK")  # of torchrun, which wants a GPU for each process
        return torch.device("cuda" if own is None else f"cuda:{int(own) % torch.cuda.device_count()}")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError):
        raise UserError(f"Device '{name}' is not on this machine; 'auto' or 'cpu' always works.") from None
    return device


def computes_in_bfloat16(device: torch.device) -> bool:
    """Whether the device has bfloat16 instructions, without which bfloat16 is slower than float32."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    return device.type == "cpu" and torch.backends.mkldnn.is_available() and _processor_has_bfloat16()


def _processor_has_bfloat16(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """By the flags that Linux reports (x86: AVX-512 or AMX, Arm: bf16); elsewhere unknown, so no."""
    try:
        flags = set(cpuinfo.read_text().split())
    except OSError:
        return False
    return not flags.isdisjoint({"avx512_bf16", "amx_bf16", "bf16"})


def choose_precision(name: str, device: torch.device) -> torch.dtype:
    """torch.float32 or torch.bfloat16 for the name "float32", "bfloat16" or "auto"."""
    if name == "auto":
        return torch.bfloat16 if computes_in_bfloat16(device) else torch.float32
    return {"float32": torch.float32, "bfloat16": torch.bfloat16}[name]


def full_float32() -> contextlib.AbstractContextManager[object]:
    """The context in which GPUs convolve float32 as float32; their default rounds it to 10 bits."""
    return torch.backends.cudnn.flags(enabled=True, allow_tf32=False)


def autocast(device: torch.device, precision: torch.dtype) -> contextlib.AbstractContextManager[object]:
    """The context in which convolutions run in `precision`; float32 leaves all as it is."""
    if precision == torch.float32:
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=precision)


def out_of_memory(error: BaseException) -> bool:
    """Whether `error` says that memory is short: on the CPU torch does so by a plain RuntimeError."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    words = ("can't allocate memory", "failed to allocate", "not enough memory", "out of memory")
    return isinstance(error, RuntimeError) and any(word in str(error).lower() for word in words)


def place_model(model: Model, device: torch.device, layout: torch.memory_format) -> Model:
    """The model on the device with its convolutions' weights in `layout`.

    Channels-last is the one in which processors and GPUs with tensor cores convolve fastest.
    """
    return model.to(device).to(memory_format=layout)
