"""How an encoder runs for inference; training never passes here, and gradients pass by torch.

On a GPU torch runs it, on a processor OpenVINO, which is the fastest there in float32 and in bfloat16
(docs/scale.md); torch again where OpenVINO has no package. An encoder is traced once for a machine, and
what OpenVINO made of it is kept in `cache_folder()`.
"""

from __future__ import annotations

import ctypes
import hashlib
import io
import math
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from threading import RLock
from typing import Any
from weakref import WeakSet

import torch
from torch import nn

from models.device import autocast, full_float32
from utils.files import atomic_path

# Images (N, 3, H, W) in [0, 1] -> what the encoder makes of them, float32, on the device where it ran.
Run = Callable[[torch.Tensor], tuple[torch.Tensor, ...]]
# Held while images of a collection are measured, and while an encoder computes in OpenVINO: one at a time.
computing = RLock()
# The encoders there.
_in_use: WeakSet[Any] = WeakSet()
# (height, width) of the images by which an encoder is traced; no length of a side may depend on it.
_EXAMPLE = (96, 128)


def fastest(
    make: Callable[[], nn.Module],
    key: str,
    device: torch.device,
    precision: torch.dtype,
    most_pixels: float = math.inf,
    channels: int = 3,
) -> Run:
    """The encoder as it runs fastest on a device; by torch where images ask for gradients.

    Args:
        make: gives the encoder in evaluation mode, on `device`, which maps images to a tensor or a list of
            them; not called where what is kept of it is enough.
        key: changes with its weights and its code; names what is kept of it.
        device: where it runs.
        precision: in which convolutions run.
        most_pixels: images of more pass by torch, because the encoder does not take them in one piece.
        channels: of the images.
    """
    compiled = _compiled(make, key, precision, channels) if device.type == "cpu" else None
    if compiled is None:
        return run_by_torch(make(), precision)
    with computing:
        _in_use.add(compiled)

    def run(images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        if images.requires_grad or images.shape[-2] * images.shape[-1] > most_pixels:
            return run_by_torch(make(), precision)(images)
        with computing:
            found = compiled(images.cpu().numpy())
        return tuple(torch.from_numpy(found[k]) for k in range(len(found)))

    return run


def run_by_torch(encoder: nn.Module, precision: torch.dtype = torch.float32) -> Run:
    """The encoder run by torch where its parameters are: the reference.

    Its filters are laid out channels-last, in which processors and GPUs with tensor cores convolve fastest.
    """
    encoder = encoder.to(memory_format=torch.channels_last)
    device = next((one.device for one in encoder.parameters()), torch.device("cpu"))

    def run(images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        with torch.inference_mode(not images.requires_grad), autocast(device, precision), full_float32():
            found = encoder(images.to(device).contiguous(memory_format=torch.channels_last))
        return tuple(one.float() for one in (found if isinstance(found, list) else [found]))

    return run


@contextmanager
def paused() -> Iterator[None]:
    """This process measures no image of a collection meanwhile; memory that it kept to be faster is free."""
    with computing:
        for compiled in _in_use:
            compiled.release_memory()
        _trim()
        yield
        _trim()


def _trim() -> None:
    """Give back to the system what is freed, which GNU's C library keeps."""
    if sys.platform == "linux" and (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)):
        trim(0)


def cache_folder() -> Path:
    """Where encoders are kept as OpenVINO made them; it may be removed."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "grepq"


def _compiled(make: Callable[[], nn.Module], key: str, precision: torch.dtype, channels: int) -> Any:
    """The encoder in OpenVINO; None where it is not installed or cannot compute so."""
    try:
        core, version = _openvino()
    except ImportError:
        return None
    if precision == torch.bfloat16 and "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        return None
    properties = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": {torch.float32: "f32", torch.bfloat16: "bf16"}[precision],
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        # Processes beside each other would be pinned to the same cores.
        "ENABLE_CPU_PINNING": False,
    }
    processor = [core.get_property("CPU", name) for name in ("FULL_DEVICE_NAME", "OPTIMIZATION_CAPABILITIES")]
    known = repr((key, str(precision), version, processor))
    kept = cache_folder() / f"{hashlib.sha256(known.encode()).hexdigest()[:24]}.openvino"
    try:
        return core.import_model(kept.read_bytes(), "CPU", properties)
    except (OSError, RuntimeError):
        pass  # none yet, or not a whole one
    compiled = core.compile_model(_traced(make(), channels), "CPU", properties)
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        exported = io.BytesIO()
        compiled.export_model(exported)
        with atomic_path(kept) as part:
            part.write_bytes(exported.getbuffer())
    except OSError:
        pass  # a home that cannot be written: it is traced again next time
    return compiled


@cache
def _openvino() -> tuple[Any, str]:
    """OpenVINO for as long as the process lives, and its version.

    It gives the process a stack for signals. Of two that end in the order in which they came, the stack of
    the first stays in use after it is gone, and the next signal ends the process.
    """
    import openvino

    return openvino.Core(), openvino.get_version()


def _traced(encoder: nn.Module, channels: int) -> Any:
    """The encoder as OpenVINO reads it."""
    # Not `openvino.convert_model`, which would report its use over the network.
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tracing is deprecated, but what OpenVINO reads dynamic sizes from
        example = torch.rand(2, channels, *_EXAMPLE)
        decoder = TorchScriptPythonDecoder(_AsTuple(encoder), example_input=example)
    frontend = FrontEndManager().load_by_framework("pytorch")
    return frontend.convert(frontend.load(decoder))


class _AsTuple(nn.Module):
    """An encoder whose result is a tuple, as tracing wants it."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        found = self.encoder(images)
        return tuple(found) if isinstance(found, list) else (found,)
