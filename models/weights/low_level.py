"""Weights of the low-level encoder: ours (safetensors) and the authors' `.tar` (method.md part 6)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
import torchvision

from models.low_level import LowLevelEncoder
from models.weights.files import (
    FOLDER,
    file_sha256,
    is_state_dict,
    load_strictly,
    read_safetensors,
    read_torch,
)
from utils.errors import UserError

# The authors' file goes before ours: who took the trouble to fetch it wants it used.
AUTHORS_LOW_LEVEL = FOLDER / "low_level_model_weights.tar"
DEFAULT_LOW_LEVEL = FOLDER / "low_level.safetensors"

_RESNET_CHILDREN = [name for name, _ in torchvision.models.resnet18(weights=None).named_children()]


@dataclass(frozen=True)
class LowLevelWeights:
    """An encoder in evaluation mode with where it came from.

    `sha256` is of the file's bytes; `metadata` is what the file says of itself ({} for the authors').
    """

    model: LowLevelEncoder
    path: Path
    sha256: str
    metadata: Mapping[str, str]


def find_low_level() -> Path:
    """The file that is used when none is named: the authors' if it was put in place, else ours."""
    for path in (AUTHORS_LOW_LEVEL, DEFAULT_LOW_LEVEL):
        if path.is_file():
            return path
    raise UserError(
        f"{DEFAULT_LOW_LEVEL}: the default low-level weights are missing; restore them from the repository "
        "or name others with --ll_model_weights_path."
    )


def load_low_level(path: str | Path) -> LowLevelWeights:
    """Read the low-level encoder from a safetensors file or an authors' `.tar`.

    Raises:
        UserError: missing or damaged file, or a tensor that is missing, unknown, of another
            shape, or stored twice with different values.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: there is no such weights file.")
    if path.suffix == ".safetensors":
        tensors, metadata = read_safetensors(path)
    else:
        tensors, metadata = from_authors(_authors_state(path), path), {}
    model = LowLevelEncoder()
    load_strictly(model, tensors, path, "low-level encoder")
    return LowLevelWeights(model.eval(), path, file_sha256(path), metadata)


def to_authors(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The encoder's tensors, by our names, under all the names of the authors' file (without `fc`)."""
    return {name: value for key, value in tensors.items() for name in _authors_names(key)}


def from_authors(tensors: Mapping[str, torch.Tensor], path: str | Path) -> dict[str, torch.Tensor]:
    """The authors' tensors under our names.

    Raises `UserError` (naming `path`, where they are from) where one is missing or unknown, or
    where the two copies of one differ.
    """
    ours: dict[str, torch.Tensor] = {}
    known = {"encoder.base_model.fc.weight", "encoder.base_model.fc.bias"}
    for key in LowLevelEncoder().state_dict():
        names = _authors_names(key)
        for name in names:
            if name not in tensors:
                raise UserError(f"{path}: tensor '{name}' is missing.")
        if len(names) == 2 and not torch.equal(tensors[names[0]], tensors[names[1]]):
            raise UserError(f"{path}: '{names[0]}' and '{names[1]}' must be the same tensor but differ.")
        ours[key] = tensors[names[0]]
        known.update(names)
    unknown = sorted(set(tensors) - known)
    if unknown:
        raise UserError(f"{path}: tensor '{unknown[0]}' does not belong to the low-level encoder.")
    return ours


def _authors_names(key: str) -> list[str]:
    """The names under which the authors' file holds our tensor `key`, the one that is loaded last first."""
    part, rest = key.split(".", 1)
    if part == "head":
        return [key]
    child, _, leaf = rest.partition(".")
    return [f"encoder.resnet18.{_RESNET_CHILDREN.index(child)}.{leaf}", f"encoder.base_model.{rest}"]


def _authors_state(path: Path) -> Mapping[str, torch.Tensor]:
    """The state dict inside the authors' file."""
    content = read_torch(path)
    model = content.get("model") if isinstance(content, Mapping) else None
    state = model.get("state_dict") if isinstance(model, Mapping) else None
    if not isinstance(state, Mapping) or not is_state_dict(state):
        raise UserError(
            f"{path}: expected the authors' layout {{'model': {{'state_dict': ...}}}}, which this is not."
        )
    return state
