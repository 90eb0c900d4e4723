"""What a sweep knows of one weights file: a score for each picture, and figures with their uncertainty."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from configs import FewLabels
from datasets.rated.sets import RatedImage, RatedSetError, load_rated_set
from datasets.read_ahead import read_ahead
from datasets.distorted.synthetic_set import KINDS, load_synthetic_set, of_each_photograph
from Evaluation.distance import low_level_quality
from Evaluation.few_labels.protocol.blocks import mean_and_deviation
from Evaluation.features import ScoreError, as_the_set_resizes, with_two_patches
from Evaluation.few_labels.protocol import evaluate, summarise
from Evaluation.few_labels.protocol.labelled_set import LabelledFeatures
from Evaluation.metrics import bootstrap_srcc, resample_counts, srcc, undefined
from Evaluation.patches import overlapping_features
from Evaluation.few_labels.splits import SplitError, draw_splits
from Evaluation.zeroshot import LowLevelBranch, low_level_distance_of
from models.device import out_of_memory
from models.low_level import FEATURES

# SRCC of CLIVE, of the whole synthetic set, of each kind in it, and its mean within a photograph.
FIGURES = ("clive", "synthetic", *KINDS, "within")
RESAMPLES = 1000


@dataclass(frozen=True)
class Sets:
    """The pictures that every weights file scores: CLIVE's (N), then the synthetic set's (M).

    `kinds` (M,) and `photographs` (M,) say of which kind and of which photograph a synthetic picture is.
    """

    clive: tuple[RatedImage, ...]
    synthetic: tuple[RatedImage, ...]
    kinds: np.ndarray
    photographs: np.ndarray

    @property
    def images(self) -> tuple[RatedImage, ...]:
        """All of them, in the order of the scores."""
        return (*self.clive, *self.synthetic)

    @property
    def mos(self) -> np.ndarray:
        """Opinions and labels (N + M,)."""
        return np.array([image.mos for image in self.images], np.float64)


@dataclass(frozen=True)
class Figure:
    """A correlation, NaN where it is undefined, with its value in each resample (R,)."""

    value: float
    samples: np.ndarray

    @property
    def error(self) -> float:
        """The standard error; NaN where too few resamples have a value."""
        there = self.samples[np.isfinite(self.samples)]
        return float(there.std()) if len(there) > 1 else float("nan")

    def minus(self, other: Figure) -> Figure:
        """The difference of two figures of the same pictures in the same resamples."""
        return Figure(self.value - other.value, self.samples - other.samples)


def load_sets(clive: Path, synthetic: Path) -> Sets:
    """What is there of CLIVE, and the synthetic set, which must be whole.

    Raises:
        RatedSetError: one of the two cannot be used.
    """
    rated, kinds = load_synthetic_set(synthetic)
    if rated.missing:
        raise RatedSetError(f"{synthetic}: {len(rated.missing)} pictures are missing; make the set anew.")
    there = tuple(image for image in load_rated_set("CLIVE", clive).images if image.path.is_file())
    return Sets(there, rated.images, np.array(kinds), of_each_photograph(rated.images))


def score_sets(sets: Sets, branch: LowLevelBranch) -> tuple[np.ndarray, np.ndarray]:
    """Q_low of all pictures (N + M,), and the block `low_patches` of CLIVE's (N, 256), from one pass.

    NaN where a picture has no score.
    """
    scores = np.full(len(sets.images), np.nan)
    blocks = np.full((len(sets.clive), 2 * FEATURES), np.nan, np.float32)
    pictures = zip(sets.images, read_ahead([image.path for image in sets.images]), strict=True)
    progress = tqdm(pictures, total=len(sets.images), desc="Scoring", unit="image")
    for place, (image, picture) in enumerate(progress):
        if isinstance(picture, str):  # the reason why it cannot be read
            continue
        try:
            patched, _ = with_two_patches(as_the_set_resizes(image, picture)[0], branch.settings)
            features = overlapping_features(patched, branch.encoder, branch.settings, branch.precision)
            scores[place] = low_level_quality(low_level_distance_of(patched, features, branch))
        except ScoreError:
            continue
        except (MemoryError, RuntimeError) as error:
            if not out_of_memory(error):
                raise
            continue
        if place < len(sets.clive):
            blocks[place] = mean_and_deviation(features).numpy()
    return scores, blocks


def few_label_srcc(sets: Sets, features: np.ndarray, count: int) -> float:
    """Median SRCC over the splits with `count` labels of CLIVE; NaN where it has too few pictures."""
    there = np.isfinite(features).all(1)
    images = tuple(image for image, ok in zip(sets.clive, there, strict=True) if ok)
    mos = np.array([image.mos for image in images], np.float64)
    settings = FewLabels(n_labels=(count,))
    try:
        splits = draw_splits("CLIVE", images, settings).splits
        data = LabelledFeatures(images, features[there], mos, ())
        outcomes = evaluate(data, splits, settings.n_labels, settings.alphas)
    except SplitError:
        return float("nan")
    median = summarise([outcome.row for outcome in outcomes])[0].srcc
    return float("nan") if median is None else median


def figures(sets: Sets, scores: np.ndarray) -> dict[str, Figure]:
    """All `FIGURES` of scores (N + M,). Resamples are of CLIVE's pictures, and of whole photographs.

    What has no score is left out, of the synthetic set with all of its photograph: versions of one
    photograph are not independent, and a resample takes equally many of each.
    """
    count, mos = len(sets.clive), sets.mos
    there = np.isfinite(scores[:count])
    found = {"clive": _figure(scores[:count][there], mos[:count][there], _counts(int(there.sum())))}

    x, y = scores[count:], mos[count:]
    sizes = np.bincount(sets.photographs[np.isfinite(x)], minlength=sets.photographs.max() + 1)
    whole = sizes == np.bincount(sets.photographs).max()
    used = whole[sets.photographs]
    x, y, kinds = x[used], y[used], sets.kinds[used]
    _, photograph = np.unique(sets.photographs[used], return_inverse=True)
    taken = _counts(int(whole.sum()))  # (R, photographs)
    counts = taken[:, photograph]
    found["synthetic"] = _figure(x, y, counts)
    for kind in KINDS:
        own = kinds == kind
        found[kind] = _figure(x[own], y[own], counts[:, own])
    found["within"] = _mean_within(x, y, photograph, taken)
    return found


def differences(sets: Sets, scores: np.ndarray, others: np.ndarray) -> dict[str, Figure]:
    """`figures` of `scores` less those of `others`, on the pictures that both have a score of."""
    neither = np.isnan(scores) | np.isnan(others)
    ours, theirs = (figures(sets, np.where(neither, np.nan, part)) for part in (scores, others))
    return {name: ours[name].minus(theirs[name]) for name in FIGURES}


def _counts(things: int) -> np.ndarray:
    return resample_counts(things, RESAMPLES, 0) if things else np.empty((RESAMPLES, 0), np.float32)


def _figure(x: np.ndarray, y: np.ndarray, counts: np.ndarray) -> Figure:
    if undefined(x, y):
        return Figure(float("nan"), np.full(RESAMPLES, np.nan))
    return Figure(srcc(x, y), bootstrap_srcc(x, y, counts))


def _mean_within(x: np.ndarray, y: np.ndarray, photograph: np.ndarray, taken: np.ndarray) -> Figure:
    """Mean over photographs of SRCC among the versions of each."""
    numbers = range(taken.shape[1])
    if not len(numbers):
        return Figure(float("nan"), np.full(RESAMPLES, np.nan))
    own = np.array([srcc(x[photograph == number], y[photograph == number]) for number in numbers])
    return Figure(float(own.mean()), taken @ own / len(own))
