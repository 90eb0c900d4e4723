"""The features of a set's images, kept in HDF5 files (method.md part 5).

A second run takes from a file every row whose image file, weights, settings and source are the same.
"""

from __future__ import annotations

import io
import json
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from tqdm import tqdm

from datasets.rated.sets import RatedImage
from Evaluation.few_labels.blocks import Block, features_of, provenance
from Evaluation.grepq import GRepQ
from Evaluation.zeroshot import Measurement, Part, Status, Unmeasured
from utils.errors import UserError
from utils.files import atomic_path

FORMAT = "grepq features 2"
# What h5py, and what is made of its values, raise of a file that is damaged.
DAMAGED = (OSError, KeyError, ValueError, TypeError, AttributeError, IndexError, RuntimeError)
# What a killed run can lose, in seconds of work.
SAVE_SECONDS = 60


@dataclass(frozen=True)
class FeatureRow:
    """Features (F,), float32, of one image, NaN where `status` is not ok.

    `key` changes when the image's file or the size at which it is looked at does, `path` is where it lay.
    """

    image: str
    path: str
    key: str
    features: np.ndarray
    width: int
    height: int
    mos: float | None
    status: Status


@dataclass(frozen=True)
class FeatureFile:
    """Blocks whose features are kept together in the HDF5 file `path`."""

    path: Path
    blocks: tuple[Block, ...]

    def check(self) -> None:
        """Raise `UserError` where the file holds something else, or features of other weights or settings."""
        if not self.path.is_file():
            return
        mine, known = provenance(self.blocks), _attributes(self.path)
        differing = [key for key in {**known, **mine} if known.get(key) != mine.get(key) and key != "source"]
        if differing:
            raise UserError(
                f"{self.path}: holds features of other {', '.join(differing)}; name another file with "
                "--output, or remove it."
            )

    def read(self) -> dict[str, FeatureRow]:
        """An earlier run's rows with features, by key; none where they depend on something else."""
        if _attributes(self.path) != self._attributes:
            return {}
        try:
            return self._rows()
        except DAMAGED:
            return {}

    def _rows(self) -> dict[str, FeatureRow]:
        """The rows with features; one of `DAMAGED` where the file is."""
        with h5py.File(self.path, "r") as file:
            columns = {name: file[name][()] for name in ("features", "width", "height", "mos")}
            texts = {
                name: file[name].asstr(errors="surrogateescape")[()]
                for name in ("image", "path", "key", "status")
            }
        if columns["features"].shape != (len(texts["status"]), sum(block.length for block in self.blocks)):
            raise ValueError(columns["features"].shape)
        rows: dict[str, FeatureRow] = {}
        for k, status in enumerate(texts["status"]):
            if status.partition(",")[0] == "ok":
                image, path, key = (texts[name][k] for name in ("image", "path", "key"))
                json.loads(key)[3]  # as `file_key` makes it
                width, height = (int(columns[name][k]) for name in ("width", "height"))
                mos = float(columns["mos"][k])
                notes = Status(tuple(status.split(", ")[1:]))
                rows[key] = FeatureRow(
                    image,
                    path,
                    key,
                    columns["features"][k],
                    width,
                    height,
                    None if np.isnan(mos) else mos,
                    notes,
                )
        return rows

    def write(self, rows: Sequence[FeatureRow]) -> None:
        """Write rows, atomically; file names that are not UTF-8 keep their bytes.

        Raises:
            UserError: the file cannot be written.
        """
        width = sum(block.length for block in self.blocks)
        features = np.stack([row.features for row in rows]) if rows else np.empty((0, width), np.float32)
        mos = [np.nan if row.mos is None else row.mos for row in rows]
        try:
            with atomic_path(self.path) as part, h5py.File(part, "w") as file:
                file.attrs["format"], file.attrs["provenance"] = FORMAT, json.dumps(self._attributes)
                file["features"], file["mos"] = features, np.array(mos, np.float64)
                file["width"] = np.array([row.width for row in rows], np.int32)
                file["height"] = np.array([row.height for row in rows], np.int32)
                for name in ("image", "path", "key", "status"):
                    texts = [str(getattr(row, name)).encode("utf-8", "surrogateescape") for row in rows]
                    file.create_dataset(name, data=texts, dtype=h5py.string_dtype())
        except OSError as error:
            raise UserError(f"{self.path}: cannot be written ({error}).") from None

    @property
    def _attributes(self) -> dict[str, Any]:
        """What rows depend on besides their image, as JSON holds it."""
        content = {**provenance(self.blocks), "source": [block.source for block in self.blocks]}
        return json.loads(json.dumps(content))


def feature_rows(
    model: GRepQ, images: Sequence[RatedImage], files: Sequence[FeatureFile]
) -> list[FeatureRow]:
    """The rows of all images in order, the blocks of all files end to end; the files are written on the way.

    What a file holds already of an image is taken from there; its rows of other images stay, as long as
    these are on disk as they were.

    Raises:
        KeyboardInterrupt: interrupted; what is done is kept, and the message says so.
        UserError: a file cannot be written.
    """
    keys = [file_key(image.name, image.path, image.size) for image in images]
    kept = [file.read() for file in files]
    others = [_of_others(rows.values(), images) for rows in kept]
    missing = {
        key: image for key, image in zip(keys, images, strict=True) if any(key not in rows for rows in kept)
    }
    parts: dict[Part, None] = {}
    for file, rows in zip(files, kept, strict=True):
        if any(key not in rows for key in missing):
            parts |= dict.fromkeys(part for block in file.blocks for part in block.parts)
    # MOS and place are those of now: the score file may have changed since.
    for key, image in zip(keys, images, strict=True):
        for rows in kept:
            if key in rows:
                rows[key] = replace(rows[key], path=str(image.path.absolute()), mos=image.mos)

    def save() -> None:
        for file, rows, more in zip(files, kept, others, strict=True):
            file.write([*(rows[key] for key in keys if key in rows), *more])

    saved = time.monotonic()
    measured = model.measure_images(missing.values(), tuple(parts))
    try:
        for key, (image, one) in tqdm(
            zip(missing, measured, strict=True),
            total=len(missing), desc="Features", unit="image", disable=not missing,
        ):  # fmt: skip
            for file, rows in zip(files, kept, strict=True):
                if key not in rows:
                    rows[key] = _row(image, key, one, file.blocks)
            if time.monotonic() - saved > SAVE_SECONDS:
                save()
                saved = time.monotonic()
    except KeyboardInterrupt:
        save()
        done = sum(all(key in rows for rows in kept) for key in keys)
        raise KeyboardInterrupt(f"{done} of {len(images)} are kept; the same command goes on.") from None
    save()
    return [_end_to_end([rows[key] for rows in kept]) for key in keys]


def file_key(name: str, path: Path, size: tuple[int, int] | None) -> str:
    """A text that changes when an image's file or the (height, width) at which it is looked at does."""
    try:
        found = path.stat()
    except OSError:
        return json.dumps([name, None, None, size])
    return json.dumps([name, found.st_size, found.st_mtime_ns, size])


def check_place(path: Path) -> None:
    """Raise `UserError` where features could not be written, before they are computed."""
    if path.suffix != ".npy":
        raise UserError(f"{path}: features are written as .npy; end the name so.")
    if not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
        raise UserError(f"{path}: there is no folder {path.parent} that can be written to.")


def write_array(path: Path, rows: Sequence[FeatureRow]) -> None:
    """Write the features alone, (N, F) float32 in the order of the rows, as the authors' .npy file."""
    content = io.BytesIO()
    np.save(content, np.stack([row.features for row in rows]))
    with atomic_path(path) as part:
        part.write_bytes(content.getvalue())


def _of_others(rows: Iterable[FeatureRow], images: Sequence[RatedImage]) -> list[FeatureRow]:
    """The rows of other images whose files are as they were."""
    asked = {image.name for image in images}
    return [
        row
        for row in rows
        if row.image not in asked and row.key == file_key(row.image, Path(row.path), json.loads(row.key)[3])
    ]


def _row(image: RatedImage, key: str, one: Measurement | Unmeasured, blocks: Sequence[Block]) -> FeatureRow:
    """NaN where it was not measured, so that rows stay in order and nobody computes with this one unaware."""
    status = Status(one.notes if isinstance(one, Measurement) else ())
    try:
        features = features_of(one, blocks)
    except UserError as error:
        features = np.full(sum(block.length for block in blocks), np.nan, np.float32)
        status = Status(reason=str(error))
    place, size = str(image.path.absolute()), (one.width or 0, one.height or 0)
    return FeatureRow(image.name, place, key, features, *size, image.mos, status)


def _end_to_end(rows: Sequence[FeatureRow]) -> FeatureRow:
    """One image's rows of several files as one; without features where one of them has none."""
    features = np.concatenate([row.features for row in rows])
    failed = next((row for row in rows if not row.status.ok), None)
    if failed is not None:
        return replace(failed, features=np.full_like(features, np.nan))
    notes = dict.fromkeys(note for row in rows for note in row.status.notes)
    return replace(rows[0], features=features, status=Status(tuple(notes)))


def _attributes(path: Path) -> Mapping[str, Any]:
    """What the rows of a file of features depend on; nothing where it is no such file."""
    try:
        with h5py.File(path, "r") as file:
            return json.loads(file.attrs["provenance"]) if file.attrs["format"] == FORMAT else {}
    except DAMAGED:
        return {}
