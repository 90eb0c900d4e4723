"""A regression of one's own: fitted on labelled images, kept in a file, applied to others.

The file is safetensors: weights and intercept, and in its metadata all that is needed to make the same
features again: names of the blocks, SHA-256 of the weights that made them, precision, sizes.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch

from configs import VERSION, FewLabels, Settings
from datasets.rated.sets import RatedImage, RatedSet
from Evaluation.few_labels.blocks import Block, features_of, provenance
from Evaluation.few_labels.protocol import LabelledFeatures, digests
from Evaluation.few_labels.ridge import Ridge, fit_ridge
from Evaluation.grepq import GRepQ
from Evaluation.zeroshot import Measurement, Status
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

    `card` holds: kind, version, set, names (of the training images), scores_sha256, score_kind,
    native_range, mos_range (lowest and highest training score, higher is better), alpha, alphas,
    standardise, provenance (of the features, with their columns).
    """

    weights: np.ndarray
    intercept: float
    card: Mapping[str, Any]

    @property
    def blocks(self) -> tuple[str, ...]:
        """Names of the blocks."""
        return tuple(name for name, _ in self.card["provenance"]["columns"])

    @property
    def settings(self) -> Settings:
        """Those that its features were measured with; which weights, the user says."""
        known, names = self.card["provenance"], {field.name for field in dataclasses.fields(Settings)}
        return Settings(**{name: value for name, value in known.items() if name in names and value})

    def line(self) -> str:
        """What it was fitted on, in words."""
        low, high = self.card["mos_range"]
        return (
            f"ridge regression on {len(self.card['names'])} images of {self.card['set']}, scores {low:g} to "
            f"{high:g}, higher is better; alpha {self.card['alpha']:g}; features {', '.join(self.blocks)}"
        )


@dataclass(frozen=True)
class QualityRow:
    """One image's predicted quality in the unit of the training scores, higher is better.

    `width` and `height` are of the image as it was read. A note says where the prediction lies outside the
    range of the training scores.
    """

    image: str
    width: int | None
    height: int | None
    quality: float | None
    status: Status


def fit_regressor(
    rated: RatedSet, data: LabelledFeatures, blocks: Sequence[Block], settings: FewLabels
) -> tuple[Regressor, Ridge]:
    """Fit on all images that have features; also the ridge, whose `left_out` say how good it is.

    Raises:
        UserError: fewer than two images.
    """
    if len(data.mos) < 2:
        raise UserError(f"{rated.name}: a regression needs two images or more, not {len(data.mos)}.")
    ridge = fit_ridge(data.features, data.mos, settings.alphas, settings.standardise)
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
        "alphas": list(settings.alphas),
        "standardise": settings.standardise,
        "provenance": provenance(blocks),
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
        UserError: the file is damaged or missing, or no regressor of this version.
    """
    tensors, metadata = read_safetensors(path)
    try:
        card = json.loads(metadata["card"])
        if card["kind"] != KIND:
            raise KeyError("kind")
        regressor = Regressor(tensors["weights"].double().numpy(), float(tensors["intercept"].item()), card)
        length = sum(length for _, length in card["provenance"]["columns"])
        regressor.line(), FewLabels(regressor.blocks), regressor.settings
    except (KeyError, TypeError, ValueError, RuntimeError, UserError):
        raise UserError(
            f"{path}: is no regressor of this version; python -m tools.fit_regressor makes one."
        ) from None
    values = np.append(regressor.weights, regressor.intercept)
    if values.shape != (length + 1,) or not np.isfinite(values).all():
        raise UserError(f"{path}: its weights are not {length} finite numbers, as its blocks want.")
    return regressor


def check_features(path: Path, regressor: Regressor, blocks: Sequence[Block]) -> None:
    """Raise `UserError` where `blocks` are not made as those that the regressor was fitted on."""
    wanted, found = regressor.card["provenance"], provenance(blocks)
    differing = [key for key in {**_FILES, **wanted, **found} if wanted.get(key) != found.get(key)]
    for key in differing:
        if key in _FILES:
            what, flag = _FILES[key]
            raise UserError(
                f"{path}: was fitted on features of {what} {_short(wanted.get(key))}, those in use are "
                f"{_short(found.get(key))}; name the former with {flag}, or fit again."
            )
        raise UserError(
            f"{path}: was fitted on features of {key} {wanted.get(key)}, not {found.get(key)}; fit again "
            "with python -m tools.fit_regressor."
        )


def quality_rows(
    model: GRepQ, regressor: Regressor, blocks: Sequence[Block], images: Sequence[RatedImage]
) -> Iterator[QualityRow]:
    """Predictions, in order, each as it is done.

    One outside the range of the training scores is kept, and its status says so.
    """
    low, high = regressor.card["mos_range"]
    for image, one in model.measure_images(images, [part for block in blocks for part in block.parts]):
        try:
            features = features_of(one, blocks).astype(np.float64)
        except UserError as error:
            yield QualityRow(image.name, one.width, one.height, None, Status(reason=str(error)))
            continue
        assert isinstance(one, Measurement)
        value = float(features @ regressor.weights + regressor.intercept)
        side = "below" if value < low else "above" if value > high else ""
        note = (f"{side} the range of the training scores {low:g} to {high:g}",) if side else ()
        yield QualityRow(image.name, one.width, one.height, value, Status((*one.notes, *note)))


def _short(sha256: str | None) -> str:
    return "none (stock CLIP's own)" if sha256 is None else f"sha256 {sha256[:12]}"
