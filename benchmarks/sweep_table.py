"""The table of a sweep: rows in a CSV file, and the score of each picture in an .npz beside it."""

from __future__ import annotations

import csv
import io
import math
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from utils.files import atomic_path
from benchmarks.sweep_figures import FIGURES, Sets, differences
from configs import ConfigError, FewLabels
from Evaluation.reports.tables import write_text
from models.weights.files import file_sha256

LABELS = FewLabels().n_labels
COLUMNS = (
    "run", "weights", "settings", "steps",
    *(column for name in FIGURES for column in (name, f"{name}_se")),
    *(f"labels_{count}" for count in LABELS),
    "seconds", "sha256", "protocol",
)  # fmt: skip

Row = dict[str, str]


class Table:
    """The rows, by run and weights, and beside them the score of each picture."""

    def __init__(self, path: Path, protocol: str) -> None:
        """Read what is there.

        Raises:
            ConfigError: the file is not such a table, or its rows are of another protocol.
        """
        self.path, self.protocol = path, protocol
        self.scores_path = path.with_name(f"{path.stem}_scores.npz")
        self.rows = {(row["run"], row["weights"]): row for row in _read_rows(path)}
        for row in self.rows.values():
            if row["protocol"] != protocol:
                raise ConfigError(
                    f"{path}: its rows are of another protocol ({row['protocol']}; now {protocol}): name "
                    "another table."
                )
        self.scores = _read_scores(self.scores_path)

    def has(self, run: str, weights: Path) -> bool:
        """Whether these weights have a row, and the scores that it was made of."""
        row = self.rows.get((run, weights.name))
        return (
            row is not None
            and f"{run}/{weights.name}" in self.scores
            and row["sha256"] == file_sha256(weights)
        )

    def put(self, row: Row, scores: np.ndarray) -> None:
        """Keep the scores, then the row: one without its scores is computed again."""
        self.scores[f"{row['run']}/{row['weights']}"] = scores
        content = io.BytesIO()
        np.savez(content, **self.scores)  # type: ignore[arg-type]
        with atomic_path(self.scores_path) as part:
            part.write_bytes(content.getvalue())
        self.rows[row["run"], row["weights"]] = row
        text = io.StringIO()
        writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows.values())
        write_text(self.path, text.getvalue())

    def markdown(self, sets: Sets) -> str:
        """The rows, and the paired difference of each to the first, each with its standard error."""
        labels = [f"labels_{count}" for count in LABELS]
        lines = _head(["run", "weights", "steps", *FIGURES, *labels])
        for row in self.rows.values():
            shown = [_pair(row[name], row[f"{name}_se"]) for name in FIGURES]
            few = [_round(row[name]) for name in labels]
            lines.append(_line([row["run"], row["weights"], row["steps"], *shown, *few]))
        lines += ["", "Less the first row:", "", *_head(["run", "weights", *FIGURES])]
        kept = [self.scores.get(f"{run}/{weights}") for run, weights in self.rows]
        for (run, weights), scores in zip(self.rows, kept, strict=True):
            shown = ["-"] * len(FIGURES)  # where the scores were lost
            if scores is not None and kept[0] is not None:
                found = differences(sets, scores, kept[0]).values()
                shown = [_pair(cell(one.value), cell(one.error), "+") for one in found]
            lines.append(_line([run, weights, *shown]))
        return "\n".join(lines)


def _read_rows(path: Path) -> list[Row]:
    if not path.exists():
        return []
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            rows = list(reader)
    except (csv.Error, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: is no readable table ({error}).") from None
    if tuple(reader.fieldnames or ()) != COLUMNS or any(None in row.values() for row in rows):
        raise ConfigError(f"{path}: is no table of this command; name another.")
    return rows


def _read_scores(path: Path) -> dict[str, np.ndarray]:
    """By run and weights; none where the file is missing or damaged: the rows are computed again."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return dict(file)
    # An entry that claims to be encrypted or of another compression is a RuntimeError.
    except (OSError, ValueError, EOFError, KeyError, RuntimeError, zipfile.BadZipFile, zlib.error):
        return {}


def cell(value: float) -> str:
    """A figure as the table holds it; empty for NaN."""
    return "" if math.isnan(value) else f"{value:.6f}"


def _round(cell: str, sign: str = "") -> str:
    return f"{float(cell):{sign}.4f}" if cell else "-"


def _pair(value: str, error: str, sign: str = "") -> str:
    return f"{_round(value, sign)} ± {_round(error)}" if value else "-"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _head(titles: Sequence[str]) -> list[str]:
    return [_line(titles), _line(["---"] * len(titles))]
