"""The JSON files that runs write, read back: what a page shows of one."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from Evaluation.reports.text import TITLES
from utils.errors import UserError

# The score of a row is the first of these that the run computed (`ScoreRow.score`).
SCORES = {"q": "Q", "q_low": "Q_low", "q_high": "Q_high"}
# No score or MOS is beyond it, and what is drawn does not overflow.
LARGEST = 1e12


@dataclass(frozen=True)
class Ratings:
    """Scores and MOS of the images that have both; one place each in the three."""

    names: tuple[str, ...]
    scores: np.ndarray
    mos: np.ndarray
    score_name: str
    mos_name: str = "MOS"


@dataclass(frozen=True)
class Labels:
    """SRCC by number of labels: (number, median, lower and upper quartile), and a (number, SRCC) a split."""

    summary: tuple[tuple[float, float, float, float], ...]
    splits: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Result:
    """One run: its protocol and remarks in sentences, a table of figures, its ratings and labels."""

    title: str
    protocol: str
    settings: str
    remarks: tuple[str, ...]
    header: tuple[str, ...]
    table: tuple[tuple[str, ...], ...]
    ratings: Ratings
    labels: Labels | None = None


def read_result(path: Path) -> Result:
    """What `test_zeroshot.py` or few-label regression wrote into a .json file.

    Raises:
        UserError: the file cannot be read, is of another kind, or lacks something.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}).") from None
    except (ValueError, RecursionError):
        raise UserError(f"{path}: is not JSON; the result of a run is written by --output x.json.") from None
    few = isinstance(data, dict) and data.get("kind") == "few_labels"
    if not few and not (isinstance(data, dict) and {"images", "metrics", "protocol"} <= data.keys()):
        raise UserError(f"{path}: is neither a result of test_zeroshot.py nor one of few-label regression.")
    try:
        return (_few_labels if few else _zeroshot)(path.name, data)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    except KeyError as error:
        raise UserError(f"{path}: lacks {error}; was it written by another version?") from None
    except (TypeError, AttributeError, ValueError, OverflowError) as error:
        raise UserError(f"{path}: is damaged ({error}).") from None


def _zeroshot(file: str, data: Mapping[str, Any]) -> Result:
    images = data["images"]
    rated = [row for row in images if row["mos"] is not None]
    if not rated:
        raise UserError("holds no human scores, so there is nothing to compare.")
    key = next((key for key in SCORES if any(row[key] is not None for row in rated)), "q")
    rows = [row for row in rated if row[key] is not None]
    remarks = [] if data.get("complete", True) else ["The run was interrupted."]
    if len(rows) < len(rated):
        remarks.append(f"Without a score, and left out: {len(rated) - len(rows)} of {len(rated)} images.")
    table = [
        (
            TITLES.get(metric["name"], str(metric["name"])), _figure(metric["value"]),
            _interval(metric["low"], metric["high"]), str(metric["note"]),
        )
        for metric in data["metrics"]
    ]  # fmt: skip
    return Result(
        title=f"{data.get('set', file)}: {SCORES[key]}, zero-shot",
        protocol=_words(data["protocol"]),
        settings=_settings(file, data),
        remarks=tuple(remarks),
        header=("figure", "value", "95 % interval", ""),
        table=tuple(table),
        ratings=_ratings(
            [(row["image"], row[key], row["mos"]) for row in rows], SCORES[key], data.get("opinions")
        ),
    )


def _few_labels(file: str, data: Mapping[str, Any]) -> Result:
    summary = sorted(data["summary"], key=lambda row: _positive(row["n_labels"]))
    splits = Counter(_positive(row["n_labels"]) for row in data["rows"])
    table, points = [], []
    for row in summary:
        number = _positive(row["n_labels"])
        cells = [f"{number:g}", f"{splits[number]}"]
        for name in ("srcc", "plcc"):
            middle, low, high = _quartiles(row, name)
            cells += [_figure(middle), _interval(low, high)]
            if name == "srcc" and middle is not None:
                points.append((number, _number(middle), _number(low), _number(high)))
        table.append(tuple(cells))
    most = max((_number(row["n_labels"]) for row in data["predictions"]), default=0)
    scores: dict[str, list[float]] = {}
    mos: dict[str, float] = {}
    for row in data["predictions"]:
        if _number(row["n_labels"]) == most:
            scores.setdefault(row["image"], []).append(_number(row["score"]))
            mos[row["image"]] = row["mos"]
    return Result(
        title=f"{data['settings'].get('set', file)}: few labels",
        protocol=_words(data["protocol"]),
        settings=_settings(file, data),
        remarks=(),
        header=("labels", "splits", "SRCC, median", "quartiles", "PLCC, median", "quartiles"),
        table=tuple(table),
        ratings=_ratings(
            [(name, median(values), mos[name]) for name, values in scores.items()],
            f"prediction with {most:g} labels, median over splits",
            data["settings"],
        ),
        labels=Labels(
            tuple(points),
            tuple(
                (_positive(row["n_labels"]), _number(row["srcc"]))
                for row in data["rows"]
                if row["srcc"] is not None
            ),
        ),
    )


def _quartiles(row: Mapping[str, Any], name: str) -> tuple[Any, Any, Any]:
    """Median, lower and upper quartile."""
    return row[name], row[f"{name}_q1"], row[f"{name}_q3"]


def _ratings(
    rows: Sequence[tuple[str, float, float]], score_name: str, opinions: Mapping[str, Any] | None
) -> Ratings:
    negated = opinions is not None and opinions.get("kind") == "DMOS"
    return Ratings(
        tuple(str(name) for name, _, _ in rows),
        np.array([_number(score) for _, score, _ in rows]),
        np.array([_number(mos) for _, _, mos in rows]),
        score_name,
        "negated DMOS" if negated else "MOS",
    )


def _number(value: Any) -> float:
    number = float(value)
    if not abs(number) <= LARGEST:
        raise ValueError(f"{value} is no figure")
    return number


def _positive(value: Any) -> float:
    number = _number(value)
    if number <= 0:
        raise ValueError(f"{value} labels")
    return number


def _figure(value: Any) -> str:
    return "undefined" if value is None else f"{_number(value):.4f}"


def _interval(low: Any, high: Any) -> str:
    return "" if low is None or high is None else f"[{_figure(low)}, {_figure(high)}]"


def _settings(file: str, data: Mapping[str, Any]) -> str:
    return f"{file}, version {data['version']}; {_words(data['settings'])}"


def _words(value: Any) -> str:
    """A value of JSON as text for people."""
    if isinstance(value, Mapping):
        return "; ".join(f"{key} {_words(part)}" for key, part in value.items())
    if isinstance(value, list):
        return ", ".join(_words(part) for part in value)
    return "none" if value in (None, "") else str(value)
