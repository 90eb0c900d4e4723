"""The features of a set's pictures with what leads each back to its picture (method.md part 5).

One HDF5 file holds them; a second run takes from it every row whose file, weights and settings are the same.
"""

from __future__ import annotations

import io
import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from tqdm import tqdm

from atomic_files import atomic_path
from configs import VERSION
from datasets.rated_sets import RatedImage
from datasets.read_ahead import read_ahead
from Evaluation.encoders import Encoders
from Evaluation.features import ScoreError, as_the_set_resizes, at_least_smallest, whole_picture_features

FORMAT = "grepq features 1"
# What an interrupted run can lose, in seconds of work.
SAVE_SECONDS = 60


class FeatureTableError(ValueError):
    """A table of features that cannot be read or written; the message names the file."""


@dataclass(frozen=True)
class FeatureRow:
    """Features (F,) of one picture; NaN where `status`, as in a table of scores, does not begin with "ok"."""

    image: str
    features: np.ndarray
    width: int
    height: int
    mos: float | None
    status: str


def table_of_features(
    images: Sequence[RatedImage], encoders: Encoders, path: Path
) -> tuple[list[FeatureRow], bool]:
    """The rows of all images in order, and whether all came; written to `path` on the way and at the end.

    A row that `path` holds already for the same file, weights and precision is taken from there.

    Args:
        images: of the set.
        encoders: whose features are set end to end, the high-level ones first.
        path: HDF5 file.

    Raises:
        FeatureTableError: `path` cannot be written.
    """
    provenance = _provenance(encoders)
    known = _known_rows(path, provenance)
    keys = [_file_key(image) for image in images]
    # Opinions are those of now: the score file may have changed since.
    rows = {
        key: replace(known[key], mos=image.mos)
        for key, image in zip(keys, images, strict=True)
        if key in known
    }
    missing = [(key, image) for key, image in zip(keys, images, strict=True) if key not in rows]
    pictures = read_ahead([image.path for _, image in missing])
    complete, saved = True, time.monotonic()
    try:
        for (key, image), picture in tqdm(
            zip(missing, pictures, strict=True), total=len(missing), desc="Features", unit="image",
            disable=not missing,
        ):  # fmt: skip
            rows[key] = _row(image, picture, encoders)
            if time.monotonic() - saved > SAVE_SECONDS:
                _write(path, [(key, rows[key]) for key in keys if key in rows], provenance)
                saved = time.monotonic()
    except KeyboardInterrupt:
        complete = False
    _write(path, [(key, rows[key]) for key in keys if key in rows], provenance)
    return [rows[key] for key in keys if key in rows], complete


def check_place(path: Path) -> None:
    """Raise `FeatureTableError` where features could not be written, before they are computed."""
    if path.suffix != ".npy":
        raise FeatureTableError(f"{path}: features are written as .npy; end the name so.")
    if not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
        raise FeatureTableError(f"{path}: there is no folder {path.parent} that can be written to.")


def write_array(path: Path, rows: Sequence[FeatureRow]) -> None:
    """Write the features alone, (N, F) float32 in the order of the rows, as the authors' .npy file."""
    content = io.BytesIO()
    np.save(content, np.stack([row.features for row in rows]).astype(np.float32))
    with atomic_path(path) as part:
        part.write_bytes(content.getvalue())


def _row(image: RatedImage, picture: torch.Tensor | str, encoders: Encoders) -> FeatureRow:
    if isinstance(picture, str):
        return _without_features(image, 0, 0, picture, encoders)
    height, width = picture.shape[-2:]
    try:
        picture, resized = as_the_set_resizes(image, picture)
        picture, enlarged = at_least_smallest(picture)
        parts = [whole_picture_features(part.encoder, picture, encoders.precision) for part in encoders.parts]
    except ScoreError as error:
        return _without_features(image, height, width, str(error), encoders)
    except (MemoryError, torch.OutOfMemoryError):
        return _without_features(image, height, width, "does not fit in memory", encoders)
    return FeatureRow(
        image.name, torch.cat(parts).numpy(), width, height, image.mos, f"ok{resized}{enlarged}"
    )


def _without_features(
    image: RatedImage, height: int, width: int, reason: str, encoders: Encoders
) -> FeatureRow:
    """NaN, so that rows stay in the order of the score file and nobody computes with this one unaware."""
    empty = np.full(sum(part.length for part in encoders.parts), np.nan, np.float32)
    return FeatureRow(image.name, empty, width, height, image.mos, reason)


def _provenance(encoders: Encoders) -> dict[str, Any]:
    """What features depend on besides their picture."""
    positions = None if encoders.high is None else encoders.high.encoder.positions
    return {
        **encoders.checksums(),
        "columns": [[part.name, part.length] for part in encoders.parts],
        "positions": positions,
        "precision": str(encoders.precision).removeprefix("torch."),
        "version": VERSION,
    }


def _file_key(image: RatedImage) -> str:
    """A text that changes when the picture's file or the size at which it is looked at does."""
    try:
        found = image.path.stat()
    except OSError:
        return json.dumps([image.name, None])
    return json.dumps([image.name, found.st_size, found.st_mtime_ns, image.size])


def _known_rows(path: Path, provenance: Mapping[str, Any]) -> dict[str, FeatureRow]:
    """An earlier run's rows with features, by key; none where its provenance was another."""
    try:
        with h5py.File(path, "r") as file:
            if file.attrs.get("format") != FORMAT or json.loads(file.attrs["provenance"]) != provenance:
                return {}
            columns = {name: file[name][()] for name in ("features", "width", "height")}
            texts = {name: file[name].asstr()[()] for name in ("file", "image", "status")}
    except (OSError, KeyError, TypeError, ValueError):
        return {}
    return {
        key: FeatureRow(image, features, int(width), int(height), None, status)
        for key, image, features, width, height, status in zip(
            texts["file"], texts["image"], columns["features"], columns["width"], columns["height"],
            texts["status"], strict=True,
        )
        if status.startswith("ok")
    }  # fmt: skip


def _write(path: Path, rows: Sequence[tuple[str, FeatureRow]], provenance: Mapping[str, Any]) -> None:
    width = sum(length for _, length in provenance["columns"])
    features = np.stack([row.features for _, row in rows]) if rows else np.empty((0, width), np.float32)
    mos = [np.nan if row.mos is None else row.mos for _, row in rows]
    try:
        with atomic_path(path) as part, h5py.File(part, "w") as file:
            file.attrs["format"], file.attrs["provenance"] = FORMAT, json.dumps(provenance)
            file["features"], file["mos"] = features, np.array(mos, np.float64)
            file["width"] = np.array([row.width for _, row in rows], np.int32)
            file["height"] = np.array([row.height for _, row in rows], np.int32)
            for name, texts in (
                ("image", [row.image for _, row in rows]),
                ("status", [row.status for _, row in rows]),
                ("file", [key for key, _ in rows]),
            ):
                file.create_dataset(name, data=texts, dtype=h5py.string_dtype())
    except OSError as error:
        raise FeatureTableError(f"{path}: cannot be written ({error}).") from None
