"""Weights of the low-level encoder: ours (safetensors) and the authors' `.tar` (method.md part 6)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import torch

from models.low_level import LowLevelEncoder
from models.weights.files import (
    FOLDER,
    is_state_dict,
    load_strictly,
    read_metadata,
    read_safetensors,
    read_torch,
    without_wrapper,
)
from utils.errors import UserError
from utils.files import file_sha256

# The authors' file goes before ours: who took the trouble to fetch it wants it used.
AUTHORS_LOW_LEVEL = FOLDER / "low_level_model_weights.tar"
DEFAULT_LOW_LEVEL = FOLDER / "low_level.safetensors"

# The authors hold torchvision's ResNet-18 a second time, its children numbered in this order.
_RESNET_CHILDREN = ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4")


@dataclass(frozen=True)
class LowLevelWeights:
    """An encoder with where it came from.

    `sha256` is of the file's bytes; `metadata` is what the file says of itself ({} for the authors').
    """

    read: Callable[[], LowLevelEncoder]
    path: Path
    sha256: str
    metadata: Mapping[str, str]

    @cached_property
    def model(self) -> LowLevelEncoder:
        """The encoder in evaluation mode, read when it is first asked for.

        Raises:
            UserError: as `load_low_level`.
        """
        return self.read()


def find_low_level() -> Path:
    """The file that is used when none is named: the authors' if it was put in place, else ours."""
    for path in (AUTHORS_LOW_LEVEL, DEFAULT_LOW_LEVEL):
        if path.is_file():
            return path
    raise UserError(
        f"{DEFAULT_LOW_LEVEL}: the default low-level weights are missing; restore them from the repository "
        "or name others with --ll_model_weights_path."
    )


def open_low_level(path: str | Path) -> LowLevelWeights:
    """As `load_low_level`, the encoder read when it is first asked for.

    Raises:
        UserError: missing or damaged file.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: there is no such weights file.")
    metadata = read_metadata(path) if path.suffix == ".safetensors" else {}
    return LowLevelWeights(partial(_read_encoder, path), path, file_sha256(path), metadata)


def load_low_level(path: str | Path) -> LowLevelWeights:
    """Read the low-level encoder: safetensors, an authors' `.tar`, or a plain state dict of torch.save.

    Names may be ours or the authors', and DataParallel's `module.` may stand before them.

    Raises:
        UserError: missing or damaged file, or a tensor that is missing, unknown, of another
            shape, or stored twice with different values.
    """
    weights = open_low_level(path)
    weights.model  # noqa: B018 (read by asking for it)
    return weights


def _read_encoder(path: Path) -> LowLevelEncoder:
    state = read_safetensors(path)[0] if path.suffix == ".safetensors" else _state_dict(path)
    tensors: Mapping[str, torch.Tensor] = without_wrapper(state)
    if any(key.startswith("encoder.") for key in tensors):
        tensors = from_authors(tensors, path)
    with torch.device("meta"):  # which draws no random numbers
        model = LowLevelEncoder()
    load_strictly(model, tensors, path, "low-level encoder")
    return model.eval()


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
    with torch.device("meta"):
        names_of_ours = list(LowLevelEncoder().state_dict())
    for key in names_of_ours:
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


def _state_dict(path: Path) -> Mapping[str, torch.Tensor]:
    """The state dict in a file of torch.save, by itself or in the authors' layout."""
    content = read_torch(path)
    if isinstance(content, Mapping) and isinstance(content.get("model"), Mapping):
        content = content["model"].get("state_dict")
    if not content or not is_state_dict(content):
        raise UserError(
            f"{path}: expected a state dict, or the authors' layout {{'model': {{'state_dict': ...}}}}, "
            "which this is not."
        )
    return content
