"""A regression of one's own: fitted on labelled pictures, kept in a file, applied to others.

The file is safetensors: weights and intercept, and in its metadata all that is needed to make the same
features again: names of the blocks, SHA-256 of the weights that made them, precision.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch

from configs import VERSION
from datasets.rated.sets import RatedSet
from Evaluation.few_labels.protocol.blocks import Block
from Evaluation.few_labels.protocol.feature_table import FeatureRow, Store
from Evaluation.few_labels.protocol.labelled_set import LabelledFeatures, digests
from Evaluation.few_labels.ridge import Ridge, fit_ridge
from models.weights.files import read_safetensors
from utils.errors import UserError
from utils.files import atomic_path

KIND = "grepq regressor 1"
# Weights by the key of their SHA-256, each with the flag that names them.
_FILES = {
    "low_level_sha256": ("low-level weights", "--ll_model_weights_path"),
    "high_level_sha256": ("high-level weights", "--hl_model_weights_path"),
    "clip_sha256": ("CLIP weights", "--clip_weights"),
}


@dataclass(frozen=True)
class Regressor:
    """Weights (F,) on the features of blocks set end to end, float64, and the intercept.

    `card` holds: kind, version, set, names (of the training pictures), scores_sha256, score_kind,
    native_range, mos_range (lowest and highest training score, higher is better), alpha, alphas,
    standardise, provenance (of the features, with their columns).
    """

    weights: np.ndarray
    intercept: float
    card: Mapping[str, Any]

    @property
    def blocks(self) -> list[str]:
        """Names of the blocks."""
        return [name for name, _ in self.card["provenance"]["columns"]]

    def line(self) -> str:
        """What it was fitted on, in words."""
        low, high = self.card["mos_range"]
        return (
            f"ridge regression on {len(self.card['names'])} images of {self.card['set']}, scores {low:g} to "
            f"{high:g}, higher is better; alpha {self.card['alpha']:g}; features {', '.join(self.blocks)}"
        )


@dataclass(frozen=True)
class QualityRow:
    """One picture's predicted quality in the unit of the training scores, higher is better.

    `width` and `height` are of the picture as it was read. `status` begins with "ok", and says where the
    prediction lies outside the range of the training scores, or is the reason why there is none.
    """

    image: str
    width: int | None
    height: int | None
    quality: float | None
    status: str


def fit_regressor(
    rated: RatedSet, data: LabelledFeatures, blocks: Sequence[Block], alphas: Sequence[float],
    standardise: bool,
) -> tuple[Regressor, Ridge]:  # fmt: skip
    """Fit on all pictures that have features; also the ridge, whose `left_out` say how good it is.

    Raises:
        UserError: fewer than two pictures.
    """
    if len(data.mos) < 2:
        raise UserError(f"{rated.name}: a regression needs two pictures or more, not {len(data.mos)}.")
    ridge = fit_ridge(data.features, data.mos, alphas, standardise)
    card = {
        "kind": KIND,
        "version": VERSION,
        "set": rated.name,
        "names": data.names,
        "scores_sha256": digests(rated)["scores_sha256"],
        "score_kind": rated.kind,
        "native_range": rated.native_range,
        "mos_range": [float(data.mos.min()), float(data.mos.max())],
        "alpha": ridge.alpha,
        "alphas": list(alphas),
        "standardise": standardise,
        "provenance": Store(tuple(blocks), None).provenance,
    }
    return Regressor(ridge.weights, ridge.intercept, card), ridge


def check_place(path: Path) -> None:
    """Raise `UserError` where a regressor could not be written, before features are computed."""
    if path.suffix != ".safetensors":
        raise UserError(f"{path}: a regressor is written as .safetensors; end the name so.")
    if path.exists():
        raise UserError(f"{path}: is there already; remove it or name another file with --output.")
    if not path.parent.is_dir():
        raise UserError(f"{path}: there is no folder {path.parent}.")


def write_regressor(path: Path, regressor: Regressor) -> None:
    """Write it as safetensors, atomically."""
    tensors = {
        "weights": torch.from_numpy(np.ascontiguousarray(regressor.weights)),
        "intercept": torch.tensor(regressor.intercept, dtype=torch.float64),
    }
    content = safetensors.torch.save(tensors, {"card": json.dumps(regressor.card)})
    with atomic_path(path) as part:
        part.write_bytes(content)


def read_regressor(path: Path) -> Regressor:
    """The regressor that `write_regressor` wrote.

    Raises:
        UserError: the file is damaged or missing.
        UserError: it is no regressor of this version.
    """
    tensors, metadata = read_safetensors(path)
    try:
        card = json.loads(metadata["card"])
        if card["kind"] != KIND:
            raise KeyError("kind")
        regressor = Regressor(tensors["weights"].double().numpy(), float(tensors["intercept"].item()), card)
        length = sum(length for _, length in card["provenance"]["columns"])
        regressor.line()
    except (KeyError, TypeError, ValueError, RuntimeError):
        raise UserError(f"{path}: is no regressor; fit_regressor.py makes one.") from None
    values = np.append(regressor.weights, regressor.intercept)
    if values.shape != (length + 1,) or not np.isfinite(values).all():
        raise UserError(f"{path}: its weights are not {length} finite numbers, as its blocks want.")
    return regressor


def check_features(path: Path, regressor: Regressor, blocks: Sequence[Block]) -> None:
    """Raise `UserError` where `blocks` are not made as those that the regressor was fitted on."""
    wanted, found = regressor.card["provenance"], Store(tuple(blocks), None).provenance
    for key, (what, flag) in _FILES.items():
        if wanted.get(key) != found.get(key):
            raise UserError(
                f"{path}: was fitted on features of {what} {_short(wanted.get(key))}, those in use are "
                f"{_short(found.get(key))}; name the former with {flag}, or fit again."
            )
    for key in ("content_sha256", "precision", "columns", "positions", "patch_size", "centre_deviation"):
        if wanted.get(key) != found.get(key):
            raise UserError(
                f"{path}: was fitted on features of {key} {wanted.get(key)}, not {found.get(key)}; fit again "
                "with fit_regressor.py."
            )


def quality_rows(regressor: Regressor, rows: Sequence[FeatureRow]) -> list[QualityRow]:
    """Predictions, in order; one outside the range of the training scores is kept, and its status says so."""
    if not rows:
        return []
    low, high = regressor.card["mos_range"]
    predictions = np.stack([row.features for row in rows]).astype(np.float64) @ regressor.weights
    result = []
    for row, value in zip(rows, (predictions + regressor.intercept).tolist(), strict=True):
        if not row.status.startswith("ok"):
            size = (row.width or None, row.height or None)
            result.append(QualityRow(row.image, *size, None, row.status))
            continue
        side = "below" if value < low else "above" if value > high else ""
        note = f", {side} the range of the training scores {low:g} to {high:g}" if side else ""
        result.append(QualityRow(row.image, row.width, row.height, value, row.status + note))
    return result


def _short(sha256: str | None) -> str:
    return "none (stock CLIP's own)" if sha256 is None else f"sha256 {sha256[:12]}"
