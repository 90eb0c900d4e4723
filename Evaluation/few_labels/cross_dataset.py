"""Ridge regression trained on one rated set and tested on others: a matrix of sets.

On the diagonal a set is predicted by leave-one-out, each image by the regression of all its others;
where images share their content, so do training and test there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from configs import FewLabels
from datasets.rated.sets import RatedSet, load_rated_set, load_scores_table
from Evaluation.few_labels.blocks import Block, provenance
from Evaluation.few_labels.protocol import LabelledFeatures, correlations, digests
from Evaluation.few_labels.report import features_and_regression
from Evaluation.few_labels.ridge import fit_ridge
from Evaluation.grepq import GRepQ
from Evaluation.metrics import FEWEST
from utils.errors import UserError

FOLDER = Path(__file__).resolve().parents[2] / "Results" / "cross_dataset"
KIND = "cross_dataset"


@dataclass(frozen=True)
class CrossRow:
    """A cell: trained on all of `train`, tested on all of `test` (leave-one-out where they are the same).

    `plcc` is raw: sets of other ranges are no matter for it, but nothing bends predictions to them.
    """

    train: str
    test: str
    n_train: int
    n_test: int
    alpha: float
    srcc: float | None
    plcc: float | None


def load_sets(named: Sequence[str]) -> dict[str, RatedSet]:
    """The sets of NAME=PATH by name: PATH is a table of scores, or the folder of the rated set NAME.

    Raises:
        UserError: not of that form, a name twice, fewer than two, or a set that cannot be used.
    """
    sets: dict[str, RatedSet] = {}
    for text in named:
        name, equals, path = text.partition("=")
        if not (name and equals and path):
            raise UserError(f"--sets {text}: expected NAME=FOLDER or NAME=FILE.csv.")
        if name in sets:
            raise UserError(f"--sets: there is a second {name}; give it another name.")
        table = path.lower().endswith(".csv") or Path(path).is_file()
        sets[name] = load_scores_table(path) if table else load_rated_set(name, path)
    if len(sets) < 2:
        raise UserError("--sets needs two sets or more: --sets CLIVE=FOLDER mine=FILE.csv.")
    return sets


def evaluate(data: Mapping[str, LabelledFeatures], settings: FewLabels) -> list[CrossRow]:
    """All cells, row by row; penalty, mean and scale of the features are of the training set.

    Raises:
        UserError: a set has too few images.
    """
    for name, one in data.items():
        if len(one.mos) < FEWEST:
            raise UserError(f"{name}: has {len(one.mos)} images with features; {FEWEST} are needed.")
    rows = []
    for train, known in data.items():
        ridge = fit_ridge(known.features, known.mos, settings.alphas, settings.standardise)
        for test, other in data.items():
            scores = ridge.left_out if test == train else ridge.predict(other.features)
            figures = correlations(scores, other.mos)
            rows.append(CrossRow(train, test, len(known.mos), len(other.mos), ridge.alpha, *figures))
    return rows


def settings_of(sets: Mapping[str, RatedSet], blocks: Sequence[Block], settings: FewLabels) -> dict[str, Any]:
    """All that a matrix depends on, as JSON holds it."""
    content = {
        "sets": {name: digests(rated) for name, rated in sets.items()},
        **provenance(blocks),
        "alphas": settings.alphas,
        "standardise": settings.standardise,
    }
    return json.loads(json.dumps(content))


def matrix_lines(rows: Sequence[CrossRow]) -> list[str]:
    """The SRCC and the raw PLCC as matrices for people: trained on the row's set, tested on the column's."""
    names = list(dict.fromkeys(row.train for row in rows))
    wide = max(10, *(len(name) + 2 for name in names))
    lines = []
    for title, figure in (("SRCC", "srcc"), ("PLCC, raw", "plcc")):
        lines.append(f"{title:<{wide}}" + "".join(f"{name:>{wide}}" for name in names) + "   tested on")
        for name in names:
            own = [row for row in rows if row.train == name]
            line = f"{name:<{wide}}"
            for row in own:
                value = getattr(row, figure)
                text = "undefined" if value is None else f"{value:.4f}"
                line += f"{f'({text})' if row.test == name else f'{text} ':>{wide}}"
            lines.append(f"{line}   alpha {own[0].alpha:g}")
    return [*lines, "in brackets: leave-one-out on the training set itself"]


def protocol_line(
    model: GRepQ, data: Mapping[str, LabelledFeatures], blocks: Sequence[Block], settings: FewLabels
) -> str:
    """Sets, features, weights and regression in one line."""
    sets = ", ".join(f"{name} ({len(one.mos)} images)" for name, one in data.items())
    parts = features_and_regression(model, blocks, settings, "the training set")
    return "; ".join(
        [f"Protocol: trained on all of one set, tested on all of another: {sets}", *parts, "PLCC raw."]
    )
