"""The features of a set's pictures with what leads each back to its picture (method.md part 5).

HDF5 files hold them; a second run takes from them every row whose file, weights and settings are the same.
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

from datasets.rated.sets import RatedImage
from datasets.read_ahead import read_ahead
from Evaluation.features import as_the_set_resizes
from Evaluation.few_labels.protocol.blocks import Block
from models.device import out_of_memory
from utils.errors import UserError
from utils.files import atomic_path

FORMAT = "grepq features 1"
# What an interrupted run can lose, in seconds of work.
SAVE_SECONDS = 60


@dataclass(frozen=True)
class Store:
    """Blocks whose features are kept together in one HDF5 file; without a path they are not kept."""

    blocks: tuple[Block, ...]
    path: Path | None

    @property
    def provenance(self) -> dict[str, Any]:
        """What the features depend on besides their picture."""
        keys = ("low_level_sha256", "high_level_sha256", "clip_sha256", "content_sha256", "positions")
        nothing = dict.fromkeys(keys)
        depends = {key: value for block in self.blocks for key, value in block.provenance.items()}
        return {**nothing, **depends, "columns": [[block.name, block.length] for block in self.blocks]}


@dataclass(frozen=True)
class FeatureRow:
    """Features (F,) of one picture; NaN where `status`, as in a table of scores, does not begin with "ok"."""

    image: str
    features: np.ndarray
    width: int
    height: int
    mos: float | None
    status: str


def table_of_features(images: Sequence[RatedImage], stores: Sequence[Store]) -> tuple[list[FeatureRow], bool]:
    """The rows of all images in order, and whether all came; the stores are written on the way.

    What a store holds already for the same file, weights and settings is taken from there.

    Args:
        images: of the set.
        stores: whose blocks are set end to end in their order.

    Raises:
        UserError: a store cannot be written.
    """
    keys = [file_key(image) for image in images]
    rows = [_known_rows(store) for store in stores]
    missing = [
        (key, image)
        for key, image in zip(keys, images, strict=True)
        if any(key not in known for known in rows)
    ]
    complete, saved = True, time.monotonic()
    # Opinions are those of now: the score file may have changed since.
    for key, image in zip(keys, images, strict=True):
        for known in rows:
            if key in known:
                known[key] = replace(known[key], mos=image.mos)
    try:
        for (key, image), picture in tqdm(
            zip(missing, read_ahead([image.path for _, image in missing]), strict=True),
            total=len(missing), desc="Features", unit="image", disable=not missing,
        ):  # fmt: skip
            for store, known in zip(stores, rows, strict=True):
                if key not in known:
                    known[key] = _row(image, picture, store.blocks)
            if time.monotonic() - saved > SAVE_SECONDS:
                _write_all(stores, rows, keys)
                saved = time.monotonic()
    except KeyboardInterrupt:
        complete = False
    _write_all(stores, rows, keys)
    done = [key for key in keys if all(key in known for known in rows)]
    return [_end_to_end([known[key] for known in rows]) for key in done], complete


def check_place(path: Path) -> None:
    """Raise `UserError` where features could not be written, before they are computed."""
    if path.suffix != ".npy":
        raise UserError(f"{path}: features are written as .npy; end the name so.")
    if not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
        raise UserError(f"{path}: there is no folder {path.parent} that can be written to.")


def check_store(store: Store, images: Sequence[RatedImage]) -> None:
    """Raise `UserError` where the store's file holds other weights, other settings or another set."""
    if store.path is None or not store.path.is_file():
        return
    names: set[str] = set()
    try:
        with h5py.File(store.path, "r") as file:
            known = json.loads(file.attrs["provenance"])
            names = set(file["image"].asstr()[()])
    except (OSError, KeyError, TypeError, ValueError):
        known = {}
    differing = [key for key in {**known, **store.provenance} if known.get(key) != store.provenance.get(key)]
    if names and names.isdisjoint(image.name for image in images):
        differing.append("pictures")
    if differing:
        raise UserError(
            f"{store.path}: holds features of other {', '.join(differing)}; name another file with --output, "
            "or remove it."
        )


def write_array(path: Path, rows: Sequence[FeatureRow]) -> None:
    """Write the features alone, (N, F) float32 in the order of the rows, as the authors' .npy file."""
    content = io.BytesIO()
    np.save(content, np.stack([row.features for row in rows]).astype(np.float32))
    with atomic_path(path) as part:
        part.write_bytes(content.getvalue())


def _row(image: RatedImage, picture: torch.Tensor | str, blocks: Sequence[Block]) -> FeatureRow:
    if isinstance(picture, str):
        return _without_features(image, 0, 0, picture, blocks)
    height, width = picture.shape[-2:]
    try:
        picture, resized = as_the_set_resizes(image, picture)
        parts, notes = zip(*(block.compute(picture) for block in blocks), strict=True)
    except UserError as error:
        return _without_features(image, height, width, str(error), blocks)
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        return _without_features(image, height, width, "does not fit in memory", blocks)
    status = _joined([f"ok{resized}", *(f"ok{note}" for note in notes)])
    return FeatureRow(image.name, torch.cat(parts).numpy(), width, height, image.mos, status)


def _without_features(
    image: RatedImage, height: int, width: int, reason: str, blocks: Sequence[Block]
) -> FeatureRow:
    """NaN, so that rows stay in the order of the score file and nobody computes with this one unaware."""
    empty = np.full(sum(block.length for block in blocks), np.nan, np.float32)
    return FeatureRow(image.name, empty, width, height, image.mos, reason)


def _end_to_end(rows: Sequence[FeatureRow]) -> FeatureRow:
    """One picture's rows of several stores as one; without features where one of them has none."""
    if len(rows) == 1:
        return rows[0]
    features = np.concatenate([row.features for row in rows])
    failed = next((row for row in rows if not row.status.startswith("ok")), None)
    if failed is not None:
        return replace(failed, features=np.full_like(features, np.nan))
    return replace(rows[0], features=features, status=_joined([row.status for row in rows]))


def _joined(statuses: Sequence[str]) -> str:
    """Statuses that begin with "ok" as one, each note once."""
    return ", ".join(dict.fromkeys(note for status in statuses for note in status.split(", ")))


def file_key(image: RatedImage) -> str:
    """A text that changes when the picture's file or the size at which it is looked at does."""
    try:
        found = image.path.stat()
    except OSError:
        return json.dumps([image.name, None])
    return json.dumps([image.name, found.st_size, found.st_mtime_ns, image.size])


def _known_rows(store: Store) -> dict[str, FeatureRow]:
    """An earlier run's rows with features, by key; none where its provenance was another."""
    if store.path is None:
        return {}
    try:
        with h5py.File(store.path, "r") as file:
            known = json.loads(file.attrs["provenance"])
            if file.attrs.get("format") != FORMAT or known != store.provenance:
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


def _write_all(
    stores: Sequence[Store], rows: Sequence[Mapping[str, FeatureRow]], keys: Sequence[str]
) -> None:
    for store, known in zip(stores, rows, strict=True):
        if store.path is not None:
            _write(store.path, [(key, known[key]) for key in keys if key in known], store.provenance)


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
        raise UserError(f"{path}: cannot be written ({error}).") from None
