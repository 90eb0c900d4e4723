"""What is measured of an image, and the scores that are made of it (method.md part 4).

Measuring is costly and depends on the weights; scoring is cheap and depends on the pristine statistics and
the formula. `Evaluation/grepq.py` does both, these are the values that pass between them.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

import torch

# What of an image can be measured: the fields of `Measurement` of these names.
Part = Literal["patches", "low", "high", "tiles", "inner", "semantic", "detail", "map"]
# What is measured of a view of the image (Evaluation/extended), and not of all its pixels.
VIEW_PARTS: frozenset[Part] = frozenset(("tiles", "inner", "semantic", "detail", "map"))

# Of each score; higher is better.
RANGES = {"q_low": "(0, 0.5]", "q_high": "(0, 1)", "q": "(0, 1.5)"}


@dataclass(frozen=True)
class Measurement:
    """What the encoders see of one image, on the CPU; None is what was not asked for.

    `height` and `width` are of the image as it was read, `notes` say what was done to it (enlarged, resized,
    viewed at a smaller size).
    """

    height: int
    width: int
    # Low-level features (rows, columns, 128), float64, of patches that overlap by half.
    patches: torch.Tensor | None = None
    # Low-level features (128,) of the whole image, float32.
    low: torch.Tensor | None = None
    # CLIP's feature (1024 of RN50,) of the whole image, float32.
    high: torch.Tensor | None = None
    # Low-level features (rows, columns, 128), float64, of patches of the view, side by side.
    tiles: torch.Tensor | None = None
    # Of the same patches the means of the four stages of the network (rows, columns, 960), float64.
    inner: torch.Tensor | None = None
    # Semantic features (784,), float64, of the view.
    semantic: torch.Tensor | None = None
    # Fine detail of the view for its coarse contrast, (), above 0.
    detail: torch.Tensor | None = None
    # Low-level features (rows, columns, 128), float64, of patches all over the view, for its quality map.
    map: torch.Tensor | None = None
    notes: tuple[str, ...] = ()

    def part(self, name: Part) -> torch.Tensor:
        """A part that was measured; KeyError where it was not."""
        value = getattr(self, name)
        if value is None:
            raise KeyError(f"'{name}' was not measured")
        return value


@dataclass(frozen=True)
class Unmeasured:
    """Why an image could not be measured; its size where it could be read."""

    reason: str
    height: int | None = None
    width: int | None = None


@dataclass(frozen=True)
class Scores:
    """Scores of one image, higher is better; None is what was not computed.

    `q_low` lies in (0, 0.5], `q_high` in (0, 1), `q`, their sum where there are both, in (0, 1.5).
    """

    q_low: float | None = None
    q_high: float | None = None
    q: float | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Status:
    """Whether an image could be measured: `notes` on how where it could, the `reason` where it could not."""

    notes: tuple[str, ...] = ()
    reason: str = ""

    @property
    def ok(self) -> bool:
        """Whether it could."""
        return not self.reason

    def __str__(self) -> str:
        return self.reason or ", ".join(("ok", *self.notes))


@dataclass(frozen=True)
class ScoreRow:
    """One image's scores; the fields are the columns of a table of scores, None an empty cell.

    `width` and `height` are of the image as it was read, the scores those of `Scores`.
    """

    image: str
    width: int | None
    height: int | None
    q_low: float | None
    q_high: float | None
    q: float | None
    mos: float | None
    status: Status

    @property
    def score(self) -> float | None:
        """The sum where there is one, else that of the branch that was computed."""
        return next((value for value in (self.q, self.q_low, self.q_high) if value is not None), None)


def combined(q_low: float | None, q_high: float | None, notes: Collection[str] = ()) -> Scores:
    """`Q = Q_low + Q_high` beside both; None where one of them is missing."""
    q = None if q_low is None or q_high is None else q_low + q_high
    return Scores(q_low, q_high, q, tuple(notes))
