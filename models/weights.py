"""Weights of the low-level encoder on disk: ours (safetensors) and the authors' `.tar` (method.md part 6).

Nothing is unpickled but tensors.
"""

from __future__ import annotations

import hashlib
import pickle
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import safetensors
import safetensors.torch
import torch
import torchvision

from atomic_files import atomic_path
from configs import VERSION
from models.low_level import LowLevelEncoder

FOLDER = Path(__file__).resolve().parent.parent / "Evaluation" / "pretrained_weights"
# The authors' file goes before ours: who took the trouble to fetch it wants it used.
AUTHORS_LOW_LEVEL = FOLDER / "low_level_model_weights.tar"
DEFAULT_LOW_LEVEL = FOLDER / "low_level.safetensors"

_RESNET_CHILDREN = [name for name, _ in torchvision.models.resnet18(weights=None).named_children()]


class WeightsError(ValueError):
    """A weights file that cannot be used; the message names the file, the key and what was expected."""


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
    raise WeightsError(
        f"{DEFAULT_LOW_LEVEL}: the default low-level weights are missing; restore them from the repository "
        "or name others with --ll_model_weights_path."
    )


def load_low_level(path: str | Path) -> LowLevelWeights:
    """Read the low-level encoder from a safetensors file or an authors' `.tar`.

    Raises:
        WeightsError: missing or damaged file, or a tensor that is missing, unknown, of another
            shape, or stored twice with different values.
    """
    path = Path(path)
    if not path.is_file():
        raise WeightsError(f"{path}: there is no such weights file.")
    if path.suffix == ".safetensors":
        try:
            with safetensors.safe_open(path, framework="pt") as file:
                tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a dict)
                metadata = file.metadata() or {}
        except (safetensors.SafetensorError, OSError) as error:
            raise WeightsError(f"{path}: not a readable safetensors file ({error}).") from None
    else:
        tensors, metadata = from_authors(_read_torch(path), path), {}
    model = LowLevelEncoder()
    _check_tensors(tensors, model.state_dict(), path)
    model.load_state_dict({key: value.float() if value.is_floating_point() else value
                           for key, value in tensors.items()})  # fmt: skip
    return LowLevelWeights(model.eval(), path, file_sha256(path), metadata)


def save_low_level(model: LowLevelEncoder, path: str | Path, metadata: Mapping[str, str],
                   dtype: torch.dtype = torch.float32) -> None:  # fmt: skip
    """Write the encoder's tensors as safetensors, floating-point ones as `dtype`, atomically.

    The file's metadata is `metadata` and the project's version.
    """
    path = Path(path)
    tensors = {
        key: (value.detach().cpu().to(dtype) if value.is_floating_point() else value.cpu()).contiguous()
        for key, value in model.state_dict().items()
    }
    with atomic_path(path) as part:
        part.write_bytes(safetensors.torch.save(tensors, {**metadata, "version": VERSION}))


def file_sha256(path: str | Path) -> str:
    """SHA-256 of a file's bytes in hexadecimal."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def to_authors(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The encoder's tensors, by our names, under all the names of the authors' file (without `fc`)."""
    return {name: value for key, value in tensors.items() for name in _authors_names(key)}


def _authors_names(key: str) -> list[str]:
    """The names under which the authors' file holds our tensor `key`, the one that is loaded last first."""
    part, rest = key.split(".", 1)
    if part == "head":
        return [key]
    child, _, leaf = rest.partition(".")
    return [f"encoder.resnet18.{_RESNET_CHILDREN.index(child)}.{leaf}", f"encoder.base_model.{rest}"]


def _read_torch(path: Path) -> Mapping[str, torch.Tensor]:
    """The state dict inside a file of torch.save; tensors and plain containers only."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, zipfile.BadZipFile, KeyError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise WeightsError(f"{path}: not a readable torch weights file ({reason}).") from None
    model = content.get("model") if isinstance(content, Mapping) else None
    state = model.get("state_dict") if isinstance(model, Mapping) else None
    if not isinstance(state, Mapping) or not all(isinstance(v, torch.Tensor) for v in state.values()):
        raise WeightsError(
            f"{path}: expected the authors' layout {{'model': {{'state_dict': ...}}}}, which this is not."
        )
    return state


def from_authors(tensors: Mapping[str, torch.Tensor], path: str | Path) -> dict[str, torch.Tensor]:
    """The authors' tensors under our names.

    Raises `WeightsError` (naming `path`, where they are from) where one is missing or unknown, or
    where the two copies of one differ.
    """
    ours: dict[str, torch.Tensor] = {}
    known = {"encoder.base_model.fc.weight", "encoder.base_model.fc.bias"}
    for key in LowLevelEncoder().state_dict():
        names = _authors_names(key)
        for name in names:
            if name not in tensors:
                raise WeightsError(f"{path}: tensor '{name}' is missing.")
        if len(names) == 2 and not torch.equal(tensors[names[0]], tensors[names[1]]):
            raise WeightsError(f"{path}: '{names[0]}' and '{names[1]}' must be the same tensor but differ.")
        ours[key] = tensors[names[0]]
        known.update(names)
    unknown = sorted(set(tensors) - known)
    if unknown:
        raise WeightsError(f"{path}: tensor '{unknown[0]}' does not belong to the low-level encoder.")
    return ours


def _check_tensors(
    tensors: Mapping[str, torch.Tensor], expected: Mapping[str, torch.Tensor], path: Path
) -> None:
    for key in expected:
        if key not in tensors:
            raise WeightsError(f"{path}: tensor '{key}' is missing.")
        if tensors[key].shape != expected[key].shape:
            found, wanted = tuple(tensors[key].shape), tuple(expected[key].shape)
            raise WeightsError(f"{path}: '{key}' has shape {found}, expected {wanted}.")
        if not torch.isfinite(tensors[key].float()).all():
            raise WeightsError(f"{path}: '{key}' holds values that are not finite.")
    unknown = sorted(set(tensors) - set(expected))
    if unknown:
        raise WeightsError(f"{path}: tensor '{unknown[0]}' does not belong to the low-level encoder.")
