"""The annotator matrices of a set, computed once and kept in one HDF5 file beside it (method.md part 1)."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import h5py
import numpy as np
import torch
from tqdm import tqdm

from datasets import decoder, fsim
from datasets.fragments import to_unit
from datasets.fsim import fsim_matrix
from datasets.version_folders import VersionFolder, read_versions
from utils.errors import UserError
from utils.files import atomic_path, source_sha256

# A file whose values were computed by other code is computed anew.
FORMAT = f"FSIMc {source_sha256(fsim.__file__, decoder.__file__)[:16]}"
SAVE_SECONDS = 30.0


def matrices_path(root: str | Path) -> Path:
    """Where the matrices of the set `root` are kept: `<set>_fsim.h5` beside it."""
    root = Path(root).resolve()
    return root.with_name(root.name + "_fsim.h5")


def annotator_matrices(
    root: str | Path, folders: Sequence[VersionFolder], device: torch.device, progress: bool = True
) -> list[np.ndarray]:
    """FSIMc of each two versions of each folder, (D, D) float32 with ones on the diagonal.

    Taken from the set's file where names, sizes and times of change of all files of a folder are
    those of then; computed, and saved every half minute, where not. Every file that is new or
    changed is read whole here, so a bad one is found before training starts.

    Raises:
        UserError: a folder that cannot be trained on, or a place that cannot be written.
    """
    path = matrices_path(root)
    known = _read(path)
    fingerprints = [_fingerprint(folder) for folder in folders]
    matrices = {key: known[key] for key in fingerprints if key in known}
    missing = [(key, folder) for key, folder in zip(fingerprints, folders, strict=True) if key not in known]
    saved = time.monotonic()
    for key, folder in tqdm(
        missing, desc=f"FSIM of {Path(root).name}", unit="folder", disable=not (progress and missing)
    ):
        versions = to_unit(read_versions(folder)).to(device)
        matrix = fsim_matrix(versions).cpu().numpy()
        if not np.isfinite(matrix).all():
            raise UserError(
                f"{folder.path}: FSIM of its versions is not a number; images this small have none."
            )
        matrices[key] = matrix
        if time.monotonic() - saved > SAVE_SECONDS:
            _write(path, matrices)
            saved = time.monotonic()
    if set(known) != set(matrices):
        _write(path, matrices)
    return [matrices[key] for key in fingerprints]


def _fingerprint(folder: VersionFolder) -> str:
    """A text that changes when a file of the folder is added, removed, renamed or changed."""
    stats = [(file.name, file.stat()) for file in folder.files]
    return json.dumps([folder.path.name, [[name, s.st_size, s.st_mtime_ns] for name, s in stats]])


def _read(path: Path) -> dict[str, np.ndarray]:
    """Matrices by fingerprint; nothing where the file is missing, of another format or damaged."""
    try:
        with h5py.File(path, "r") as file:
            if file.attrs.get("format") != FORMAT:
                return {}
            return {group["files"].asstr()[()]: group["matrix"][()] for group in file.values()}
    except (OSError, KeyError):
        return {}


def _write(path: Path, matrices: Mapping[str, np.ndarray]) -> None:
    try:
        with atomic_path(path) as part, h5py.File(part, "w") as file:
            file.attrs["format"] = FORMAT
            for fingerprint, matrix in matrices.items():
                group = file.create_group(json.loads(fingerprint)[0])
                group["files"], group["matrix"] = fingerprint, matrix
    except OSError as error:
        raise UserError(f"{path}: the matrices of the set cannot be written there ({error}).") from None
