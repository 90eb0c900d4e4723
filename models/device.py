"""Where a computation runs and in which precision."""

from __future__ import annotations

import contextlib

import torch


def choose_device(name: str = "auto") -> torch.device:
    """The device called `name`; "auto" takes a CUDA GPU when there is one.

    Raises:
        ValueError: the name is unknown to torch or the device is not on this machine.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError):
        raise ValueError(f"Device '{name}' is not on this machine; 'auto' or 'cpu' always works.") from None
    return device


def computes_in_bfloat16(device: torch.device) -> bool:
    """Whether the device has bfloat16 instructions, without which bfloat16 is slower than float32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device.type == "cpu" and torch.ops.mkldnn._is_mkldnn_bf16_supported()


def choose_precision(name: str, device: torch.device) -> torch.dtype:
    """torch.float32 or torch.bfloat16 for the name "float32", "bfloat16" or "auto"."""
    if name == "auto":
        return torch.bfloat16 if computes_in_bfloat16(device) else torch.float32
    return {"float32": torch.float32, "bfloat16": torch.bfloat16}[name]


def autocast(device: torch.device, precision: torch.dtype) -> contextlib.AbstractContextManager[object]:
    """The context in which convolutions run in `precision`; float32 leaves all as it is."""
    if precision == torch.float32:
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=precision)
