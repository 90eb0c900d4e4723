"""Quality from few labels: ridge regression on n labelled images of a split, tested on others of it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from configs import FewLabels
from datasets.rated.sets import RatedImage, RatedSet, shortfall
from Evaluation.encoders import Say
from Evaluation.few_labels.blocks import Block, provenance
from Evaluation.few_labels.feature_table import FeatureFile, FeatureRow, feature_rows, file_key
from Evaluation.few_labels.ridge import fit_ridge
from Evaluation.few_labels.splits import Split
from Evaluation.grepq import GRepQ
from Evaluation.metrics import plcc, srcc
from utils.errors import UserError

# Images without features that are named one by one.
_MOST_NAMED = 10


@dataclass(frozen=True)
class LabelledFeatures:
    """The images that have features (N, F), float32, and MOS (N,), float64; and the rows of those without."""

    images: tuple[RatedImage, ...]
    features: np.ndarray
    mos: np.ndarray
    failed: tuple[FeatureRow, ...] = ()

    @property
    def names(self) -> list[str]:
        """Of the images, in order."""
        return [image.name for image in self.images]


@dataclass(frozen=True)
class LabelRow:
    """One regression: what it was trained and tested on, and how it did.

    `seed` and `split` give the images, `split_sha256` is of their names. `alpha` was chosen on the labels
    alone, `loo_rmse` is its leave-one-out error there. `srcc` and `plcc` (raw, nothing fitted) are of the
    `images` tested on, None where predictions or MOS are all equal.
    """

    n_labels: int
    split: int
    seed: int
    split_sha256: str
    alpha: float
    loo_rmse: float
    images: int
    srcc: float | None
    plcc: float | None


@dataclass(frozen=True)
class Outcome:
    """A row with what it is of: names of the images tested on, their MOS and predictions (N,)."""

    row: LabelRow
    names: tuple[str, ...]
    mos: np.ndarray
    scores: np.ndarray


@dataclass(frozen=True)
class LabelSummary:
    """Median and quartiles over the splits with a figure, `splits` many; None where there is none."""

    n_labels: int
    splits: int
    srcc: float | None
    srcc_q1: float | None
    srcc_q3: float | None
    plcc: float | None
    plcc_q1: float | None
    plcc_q3: float | None


def labelled_features(
    model: GRepQ, blocks: Sequence[Block], rated: RatedSet, cache: Path, say: Say
) -> LabelledFeatures:
    """Features of all images of a set that have a MOS.

    Args:
        model: that the blocks are of.
        blocks: set end to end.
        rated: images with MOS.
        cache: folder of features, a file a set and block; made where it is missing.
        say: receives what the set lacks, and the names of images without features.

    Raises:
        KeyboardInterrupt: interrupted; what is done is kept, and the message says so.
        UserError: no image has features, or the cache cannot be written.
    """
    for sentence in (*rated.remarks, *shortfall(rated)):
        say(sentence)
    images = [image for image in rated.images if image.mos is not None]
    cache.mkdir(parents=True, exist_ok=True)
    files = [FeatureFile(_cache_path(cache, rated, block), (block,)) for block in blocks]
    rows = feature_rows(model, images, files)
    failed = tuple(row for row in rows if not row.status.ok)
    for row in failed[:_MOST_NAMED]:
        say(f"Without features: {row.image}: {row.status.reason.rstrip('.')}.")
    if len(failed) > _MOST_NAMED:
        say(f"Without features: {len(failed) - _MOST_NAMED} more.")
    there = [(image, row.features) for image, row in zip(images, rows, strict=True) if row.status.ok]
    if not there:
        raise UserError(f"{rated.name}: none of its {len(images)} images can be read.")
    kept, features = zip(*there, strict=True)
    return LabelledFeatures(kept, np.stack(features), np.array([image.mos for image in kept]), failed)


def digests(rated: RatedSet) -> dict[str, str]:
    """What changes when names or MOS of a set do, and when its image files do."""
    images = [image for image in rated.images if image.mos is not None]
    scores = json.dumps(sorted((image.name, image.mos) for image in images))
    files = json.dumps(sorted(file_key(image.name, image.path, image.size) for image in images))
    return {
        "scores_sha256": hashlib.sha256(scores.encode()).hexdigest(),
        "images_sha256": hashlib.sha256(files.encode()).hexdigest(),
    }


def evaluate(data: LabelledFeatures, splits: Sequence[Split], settings: FewLabels) -> list[Outcome]:
    """One regression for each number of labels and split, numbers of labels first.

    Nothing of an image that is tested on reaches the regression: penalty, mean and scale are of the labels.

    Raises:
        UserError: a split has fewer images than are to be labelled, or leaves too few.
    """
    place = {name: k for k, name in enumerate(data.names)}
    for count in settings.n_labels:  # before the first of many regressions
        for split in splits:
            split.labelled(count)
    return [_outcome(data, place, split, count, settings) for count in settings.n_labels for split in splits]


def summarise(rows: Sequence[LabelRow]) -> list[LabelSummary]:
    """A summary for each number of labels, in the order in which they come."""
    summaries = []
    for count in dict.fromkeys(row.n_labels for row in rows):
        own = [row for row in rows if row.n_labels == count and row.srcc is not None]
        figures = [_quartiles([getattr(row, name) for row in own]) for name in ("srcc", "plcc")]
        summaries.append(LabelSummary(count, len(own), *figures[0], *figures[1]))
    return summaries


def correlations(scores: np.ndarray, mos: np.ndarray) -> tuple[float | None, float | None]:
    """SRCC and raw PLCC; None where predictions or MOS are all equal."""
    if np.ptp(scores) > 0 and np.ptp(mos) > 0:
        return srcc(scores, mos), plcc(scores, mos)
    return None, None


def _outcome(
    data: LabelledFeatures, place: Mapping[str, int], split: Split, count: int, settings: FewLabels
) -> Outcome:
    labelled = [place[name] for name in split.labelled(count)]
    names = split.tested(count)
    tested = [place[name] for name in names]
    ridge = fit_ridge(data.features[labelled], data.mos[labelled], settings.alphas, settings.standardise)
    scores, mos = ridge.predict(data.features[tested]), data.mos[tested]
    row = LabelRow(
        count, split.number, split.seed, split.sha256, ridge.alpha, ridge.errors[ridge.alpha], len(names),
        *correlations(scores, mos),
    )  # fmt: skip
    return Outcome(row, names, mos, scores)


def _quartiles(values: Sequence[float]) -> tuple[float | None, float | None, float | None]:
    """Median, lower and upper quartile."""
    if not values:
        return None, None, None
    low, median, high = np.percentile(values, (25, 50, 75))
    return float(median), float(low), float(high)


def _cache_path(cache: Path, rated: RatedSet, block: Block) -> Path:
    """Where a block of a set is kept: its name holds a key of the set's place, the weights and settings."""
    places = [str(path.resolve()) for path in (rated.scores, *rated.folders) if path is not None]
    known = json.dumps([rated.name, places, provenance([block])], sort_keys=True)
    key = hashlib.sha256(known.encode()).hexdigest()[:12]
    return cache / f"{re.sub(r'[^A-Za-z0-9.-]+', '-', rated.name)}_{block.name}_{key}.h5"
