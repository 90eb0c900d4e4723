"""Rows of a collection: an image's scores, what it is known by, and which rows are chosen."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from Evaluation.zeroshot import ScoreRow

# Images without a score that are named one by one.
MOST_NAMED = 10


@dataclass(frozen=True)
class Row:
    """An image's scores, higher is better; None is an empty cell.

    `status` is "ok" or "failed"; `reason` says why it failed, or what was done to the image to score it.
    """

    image: str
    width: int | None
    height: int | None
    q_low: float | None
    q_high: float | None
    q: float | None
    status: str
    reason: str

    @property
    def ok(self) -> bool:
        """Whether it has scores."""
        return self.status == "ok"

    @property
    def score(self) -> float:
        """The sum where there is one, else that of the branch that was computed; KeyError of a failed row."""
        for value in (self.q, self.q_low, self.q_high):
            if value is not None:
                return value
        raise KeyError(f"{self.image} has no score")


def row_of(scored: ScoreRow) -> Row:
    """The row of an image that was scored or could not be."""
    found = scored.status
    status, reason = ("ok", ", ".join(found.notes)) if found.ok else ("failed", found.reason)
    sizes = (scored.width, scored.height)
    return Row(scored.image, *sizes, scored.q_low, scored.q_high, scored.q, status, reason)


def not_scored(failed: Sequence[Row]) -> Iterator[str]:
    """Which images have no score and why, in words, the first of them one by one."""
    for row in failed[:MOST_NAMED]:
        yield f"Not scored: {row.image}: {row.reason.rstrip('.')}."
    if len(failed) > MOST_NAMED:
        yield f"Not scored: {len(failed) - MOST_NAMED} more; their rows say why."


def key(name: str) -> str:
    """What stands for an image, whether it was named from the root or from the working directory."""
    return printable(name if "://" in name else os.path.abspath(name))  # noqa: PTH100 (it keeps "//" too)


def is_whole(name: str) -> bool:
    """Whether a name means the same wherever it is read."""
    return "://" in name or os.path.isabs(name)  # noqa: PTH117


def printable(name: str) -> str:
    """A name of a file as UTF-8 can hold it: bytes that it cannot are written as backslash and number."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def selected(
    rows: Sequence[Row], top: int | None, bottom: int | None, below: float | None, sort: str
) -> list[Row]:
    """The rows that are chosen, without failed ones, or all rows where nothing is chosen.

    Args:
        rows: in the order of the input.
        top: so many of the best.
        bottom: so many of the worst, after these.
        below: of scores below this alone.
        sort: "input", "name", "best" or "worst"; of some that are chosen "input" is by score.
    """
    good = [row for row in rows if row.ok and (below is None or row.score < below)]
    best = sorted(good, key=lambda row: -row.score)
    if top is not None or bottom is not None:
        first, last = top or 0, bottom or 0
        chosen = [*best[:first], *best[first:][::-1][:last]]
        return chosen if sort == "input" else ordered(chosen, sort)
    return ordered(good if below is not None else rows, sort)


def ordered(rows: Sequence[Row], sort: str) -> list[Row]:
    """Rows in the order of the input, by name, or best or worst first, those that failed last."""
    if sort == "input":
        return list(rows)
    if sort == "name":
        return sorted(rows, key=lambda row: row.image)
    sign = -1 if sort == "best" else 1
    return sorted(rows, key=lambda row: (not row.ok, sign * row.score if row.ok else 0))
