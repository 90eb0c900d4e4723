"""Tensors on disk: safetensors and files of torch.save; nothing else is unpickled (method.md part 6)."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch

from configs import VERSION
from utils.errors import UserError
from utils.files import atomic_path

FOLDER = Path(__file__).resolve().parents[2] / "Evaluation" / "pretrained_weights"


# What torch.load raises on files that are damaged or hold more than tensors.
UNREADABLE = (
    pickle.UnpicklingError, RuntimeError, EOFError, OSError, zipfile.BadZipFile, KeyError, IndexError,
    ValueError, TypeError, AttributeError,
)  # fmt: skip


def read_safetensors(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """The tensors and the metadata of a safetensors file; raises `UserError` where it is damaged."""
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a dict)
            return tensors, file.metadata() or {}
    except (safetensors.SafetensorError, OSError) as error:
        raise UserError(f"{path}: not a readable safetensors file ({error}).") from None


def read_metadata(path: Path) -> dict[str, str]:
    """The metadata of a safetensors file, of which only the header is read; raises `UserError` as above."""
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            return file.metadata() or {}
    except (safetensors.SafetensorError, OSError) as error:
        raise UserError(f"{path}: not a readable safetensors file ({error}).") from None


def read_torch(path: Path) -> Any:
    """What torch.save wrote, tensors and plain containers only; raises `UserError` where it is damaged."""
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except UNREADABLE as error:
        # torch's own words propose to load the file with what it refuses.
        raise UserError(f"{path}: not a readable torch weights file ({type(error).__name__}).") from None


def is_state_dict(content: Any) -> bool:
    """Whether `content` maps names to tensors and to nothing else."""
    return isinstance(content, Mapping) and all(isinstance(value, torch.Tensor) for value in content.values())


def without_wrapper(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """A state dict without the `module.` that DataParallel puts before every name."""
    wrapped = bool(tensors) and all(key.startswith("module.") for key in tensors)
    return {key.removeprefix("module.") if wrapped else key: value for key, value in tensors.items()}


def load_strictly(
    model: torch.nn.Module, tensors: Mapping[str, torch.Tensor], path: str | Path, owner: str
) -> None:
    """Put `tensors` into `model` in the model's own precision, each and no other.

    Raises:
        UserError: one is missing, unknown, of another shape or kind, or not finite; `owner` says in the
            message whose tensors are expected, `path` where these are from.
    """
    expected = model.state_dict()
    for key in expected:
        if key not in tensors:
            raise UserError(f"{path}: tensor '{key}' of the {owner} is missing.")
        if tensors[key].shape != expected[key].shape:
            found, wanted = tuple(tensors[key].shape), tuple(expected[key].shape)
            raise UserError(f"{path}: '{key}' has shape {found}, expected {wanted}.")
        if expected[key].is_floating_point() and not tensors[key].is_floating_point():
            raise UserError(f"{path}: '{key}' holds {tensors[key].dtype}, expected floats.")
        if not torch.isfinite(tensors[key].float()).all():
            raise UserError(f"{path}: '{key}' holds values that are not finite.")
    unknown = sorted(set(tensors) - set(expected))
    if unknown:
        raise UserError(f"{path}: tensor '{unknown[0]}' does not belong to the {owner}.")
    # A model on the meta device has no memory of its own yet.
    own = {key: tensor.to(expected[key].dtype) for key, tensor in tensors.items()}
    model.load_state_dict(own, assign=next(iter(expected.values())).is_meta)


def save_tensors(
    model: torch.nn.Module, path: str | Path, metadata: Mapping[str, str], dtype: torch.dtype = torch.float32
) -> None:
    """Write the model's tensors as safetensors, floating-point ones as `dtype`, atomically.

    The file's metadata is `metadata` and the project's version.
    """
    tensors = {
        key: (value.detach().cpu().to(dtype) if value.is_floating_point() else value.cpu()).contiguous()
        for key, value in model.state_dict().items()
    }
    with atomic_path(Path(path)) as part:
        part.write_bytes(safetensors.torch.save(tensors, {**metadata, "version": VERSION}))
