"""Pristine patches and their statistics on disk (method.md parts 4 and 6)."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import h5py
import safetensors.torch
import torch

from configs import Settings
from Evaluation.distance import FeatureStatistics
from models.low_level import FEATURES
from models.weights.files import read_safetensors
from models.weights.low_level import LowLevelWeights
from utils.errors import UserError
from utils.files import atomic_path

FORMAT = "GRepQ pristine statistics 1"


@dataclass(frozen=True)
class Pristine:
    """Statistics of pristine patches and what made them.

    `patches_sha256` names the images or the file of patches by content, `images` are the names of those that
    gave a patch (empty where only the patches are known). `source` is for people.
    """

    statistics: FeatureStatistics
    weights_sha256: str
    patches_sha256: str
    patch_size: int
    sharpness: float
    colorfulness: float
    images: tuple[str, ...]
    source: str

    def belongs_to(self, weights: LowLevelWeights, settings: Settings) -> bool:
        """Whether these weights with these settings made the statistics."""
        mine = (self.weights_sha256, self.patch_size, self.sharpness, self.colorfulness)
        return mine == (weights.sha256, settings.patch_size, settings.sharpness, settings.colorfulness)


def statistics_file_name(weights: LowLevelWeights, settings: Settings, patches_sha256: str) -> str:
    """The name under which statistics are kept in the working directory: a key of all that they depend on."""
    parts = (weights.sha256, patches_sha256, settings.patch_size, settings.sharpness, settings.colorfulness)
    return f"pristine_statistics_{hashlib.sha256(repr(parts).encode()).hexdigest()[:12]}.safetensors"


def statistics_beside(weights: Path) -> Path:
    """The statistics file that goes with a weights file: low_level.safetensors -> low_level_pristine...."""
    return weights.with_name(weights.stem + "_pristine.safetensors")


def read_patches(path: Path, settings: Settings) -> Iterator[torch.Tensor]:
    """The patches of an HDF5 file of the authors' format in its order: float32 (n, 3, p, p), n <= chunk.

    Raises:
        UserError: what was expected of the file and what it holds.
    """
    size, wish = settings.patch_size, "Delete the file or name a folder with --pristine_img_dir."
    try:
        with h5py.File(path, "r") as file:
            data = file.get("data")
            if not isinstance(data, h5py.Dataset) or data.dtype.kind != "f":
                raise UserError(f"{path}: holds no floating-point dataset 'data'. {wish}")
            if data.ndim != 4 or data.shape[1:] != (3, size, size) or len(data) < 2:
                raise UserError(
                    f"{path}: 'data' has shape {data.shape}, expected (2 or more, 3, {size}, {size}). {wish}"
                )
            for start in range(0, len(data), settings.chunk):
                patches = torch.from_numpy(data[start : start + settings.chunk]).float()
                if not ((patches >= 0) & (patches <= 1)).all():
                    raise UserError(f"{path}: 'data' holds values outside [0, 1]. {wish}")
                yield patches
    except OSError as error:
        raise UserError(f"{path}: is not a readable HDF5 file ({_line(error)}). {wish}") from None


def write_statistics(path: Path, pristine: Pristine) -> None:
    """Write statistics as safetensors, atomically."""
    tensors = {
        "mean": pristine.statistics.mean,
        "covariance": pristine.statistics.covariance,
        "count": torch.tensor(pristine.statistics.count),
    }
    metadata = {
        "format": FORMAT,
        "weights_sha256": pristine.weights_sha256,
        "patches_sha256": pristine.patches_sha256,
        "patch_size": str(pristine.patch_size),
        "sharpness": str(pristine.sharpness),
        "colorfulness": str(pristine.colorfulness),
        "photographs": json.dumps(pristine.images),
        "source": pristine.source,
    }
    with atomic_path(path) as part:
        part.write_bytes(safetensors.torch.save(tensors, metadata))


def read_statistics(path: Path) -> Pristine:
    """Read what `write_statistics` wrote.

    Raises:
        UserError: the file is missing, damaged or of another kind.
    """
    tensors, metadata = read_safetensors(path)
    if metadata.get("format") != FORMAT:
        raise UserError(f"{path}: is not a file of format '{FORMAT}'.")
    try:
        mean, covariance, count = tensors["mean"], tensors["covariance"], int(tensors["count"])
        pristine = Pristine(
            statistics=FeatureStatistics(mean, covariance, count),
            weights_sha256=metadata["weights_sha256"],
            patches_sha256=metadata["patches_sha256"],
            patch_size=int(metadata["patch_size"]),
            sharpness=float(metadata["sharpness"]),
            colorfulness=float(metadata["colorfulness"]),
            images=tuple(json.loads(metadata["photographs"])),
            source=metadata["source"],
        )
    except KeyError as error:
        raise UserError(f"{path}: lacks {error}; make it again.") from None
    except (ValueError, TypeError, RuntimeError) as error:
        raise UserError(f"{path}: is damaged ({_line(error)}); make it again.") from None
    if mean.shape != (FEATURES,) or covariance.shape != (FEATURES, FEATURES) or count < 2:
        raise UserError(
            f"{path}: expected mean ({FEATURES},), covariance ({FEATURES}, {FEATURES}) and count of 2 or "
            f"more, found {tuple(mean.shape)}, {tuple(covariance.shape)} and {count}."
        )
    if mean.dtype != torch.float64 or covariance.dtype != torch.float64:
        raise UserError(f"{path}: mean and covariance must be float64.")
    if not (mean.isfinite().all() and covariance.isfinite().all()):
        raise UserError(f"{path}: holds values that are not finite.")
    return pristine


def check_place(path: Path, overwrite: bool) -> None:
    """Raise `UserError` where statistics could not be written, or would take the place of others unasked."""
    if path.exists() and not overwrite:
        raise UserError(f"{path}: is there already; name another place with --output, or add --overwrite.")
    if not os.access(path.parent, os.W_OK):
        raise UserError(f"{path}: cannot be written; name another place with --output.")


@contextmanager
def writing_patches(path: Path | None, size: int) -> Iterator[Callable[[torch.Tensor], None]]:
    """A function that appends patches to the HDF5 file, which appears only when all went well."""
    if path is None:
        yield lambda patches: None
        return
    shape = (3, size, size)
    with atomic_path(path) as part, h5py.File(part, "w") as file:
        data = file.create_dataset(
            "data", (0, *shape), "float32", maxshape=(None, *shape), chunks=(1, *shape)
        )

        def append(patches: torch.Tensor) -> None:
            data.resize(len(data) + len(patches), axis=0)
            data[-len(patches) :] = patches.numpy()

        yield append


def _line(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".")
