"""Quality from few labels: ridge regression on n labelled pictures of a split, tested on others of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from Evaluation.few_labels.protocol.labelled_set import LabelledFeatures
from Evaluation.few_labels.ridge import fit_ridge
from Evaluation.few_labels.splits import Split
from Evaluation.metrics import plcc, srcc


@dataclass(frozen=True)
class LabelRow:
    """One regression: what it was trained and tested on, and how it did.

    `seed` and `split` give the pictures, `split_sha256` is of their names. `alpha` was chosen on the labels
    alone, `loo_rmse` is its leave-one-out error there. `srcc` and `plcc` (raw, nothing fitted) are of the
    `images` tested on, None where predictions or opinions are all equal.
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
    """A row with what it is of: names of the pictures tested on, their opinions and predictions (N,)."""

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


def evaluate(
    data: LabelledFeatures, splits: Sequence[Split], n_labels: Sequence[int], alphas: Sequence[float],
    standardise: bool = False,
) -> list[Outcome]:  # fmt: skip
    """One regression for each number of labels and split, numbers of labels first.

    Nothing of a picture that is tested on reaches the regression: penalty, mean and scale are of the labels.

    Raises:
        UserError: a split has fewer pictures than are to be labelled, or leaves too few.
    """
    place = {name: k for k, name in enumerate(data.names)}
    for count in n_labels:  # before the first of many regressions
        for split in splits:
            split.labelled(count)
    return [
        _outcome(data, place, split, count, alphas, standardise) for count in n_labels for split in splits
    ]


def summarise(rows: Sequence[LabelRow]) -> list[LabelSummary]:
    """A summary for each number of labels, in the order in which they come."""
    summaries = []
    for count in dict.fromkeys(row.n_labels for row in rows):
        own = [row for row in rows if row.n_labels == count and row.srcc is not None]
        figures = [_quartiles([getattr(row, name) for row in own]) for name in ("srcc", "plcc")]
        summaries.append(LabelSummary(count, len(own), *figures[0], *figures[1]))
    return summaries


def _outcome(
    data: LabelledFeatures, place: dict[str, int], split: Split, count: int, alphas: Sequence[float],
    standardise: bool,
) -> Outcome:  # fmt: skip
    labelled = [place[name] for name in split.labelled(count)]
    names = split.tested(count)
    tested = [place[name] for name in names]
    ridge = fit_ridge(data.features[labelled], data.mos[labelled], alphas, standardise)
    scores, mos = ridge.predict(data.features[tested]), data.mos[tested]
    figures: tuple[float | None, float | None] = (None, None)
    if np.ptp(scores) > 0 and np.ptp(mos) > 0:
        figures = (srcc(scores, mos), plcc(scores, mos))
    row = LabelRow(
        count, split.number, split.seed, split.sha256, ridge.alpha, ridge.errors[ridge.alpha], len(names),
        *figures,
    )  # fmt: skip
    return Outcome(row, names, mos, scores)


def _quartiles(values: Sequence[float]) -> tuple[float | None, float | None, float | None]:
    """Median, lower and upper quartile."""
    if not values:
        return None, None, None
    low, median, high = np.percentile(values, (25, 50, 75))
    return float(median), float(low), float(high)
