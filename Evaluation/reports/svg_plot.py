"""Small plots as SVG inside a page, which gives them their colours by the classes of its style sheet."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape

import numpy as np

Values = Sequence[float] | np.ndarray
WIDTH, HEIGHT = 560, 420
LEFT, RIGHT, TOP, BOTTOM = 62, 12, 12, 52


def nice_ticks(low: float, high: float, most: int = 7) -> dict[float, str]:
    """Round values from `low` to `high`, at most about `most`, with their labels."""
    span = high - low
    power = 10.0 ** math.floor(math.log10(span / most))
    step = next(step for step in (power, 2 * power, 5 * power, 10 * power) if span / step <= most)
    places = range(math.ceil(low / step), math.floor(high / step) + 1)
    return {place * step: f"{place * step:g}" for place in places}


def padded(values: Iterable[float], share: float = 0.04) -> tuple[float, float]:
    """The range of the values with room at both ends, also where all are equal."""
    values = list(values)
    low, high = min(values), max(values)
    room = share * (high - low) or abs(high) * share or 1.0
    return low - room, high + room


class Plot:
    """Axes over two ranges; what is drawn first lies below."""

    def __init__(
        self, x_range: tuple[float, float], y_range: tuple[float, float], x_label: str, y_label: str,
        x_ticks: Mapping[float, str] | None = None,
    ) -> None:  # fmt: skip
        """Draw frame, ticks and labels; `x_ticks` are places and texts in place of round values."""
        self._x, self._y = x_range, y_range
        bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
        self._parts = []
        for value, text in (x_ticks or nice_ticks(*x_range)).items():
            at = self._place(value, y_range[0])[0]
            self._parts.append(f'<path class="grid" d="M{at:.1f} {TOP}V{bottom}"/>')
            self._text(at, bottom + 20, text, "middle")
        for value, text in nice_ticks(*y_range).items():
            at = self._place(x_range[0], value)[1]
            self._parts.append(f'<path class="grid" d="M{LEFT} {at:.1f}H{right}"/>')
            self._text(LEFT - 8, at + 5, text, "end")
        self._parts.append(f'<path class="axis" d="M{LEFT} {TOP}V{bottom}H{right}"/>')
        self._text((LEFT + right) / 2, HEIGHT - 8, x_label, "middle")
        middle = (TOP + bottom) / 2
        self._text(14, middle, y_label, "middle", f' transform="rotate(-90 14 {middle:.1f})"')

    def dots(self, x: Values, y: Values, css: str, radius: float = 2.5) -> None:
        """A circle a pair."""
        circles = (f'<circle cx="{at[0]:.1f}" cy="{at[1]:.1f}" r="{radius}"/>' for at in self._places(x, y))
        self._parts.append(f'<g class="{css}">{"".join(circles)}</g>')

    def line(self, x: Values, y: Values, css: str) -> None:
        """Straight from pair to pair."""
        points = " ".join("{:.1f},{:.1f}".format(*at) for at in self._places(x, y))
        self._parts.append(f'<polyline class="{css}" points="{points}"/>')

    def marks(self, x: Values, y: Values, hints: Sequence[str], css: str) -> None:
        """Ringed points numbered from 1, each number where it covers nothing; hints are to hover over."""
        rings = self._places(x, y)
        taken = list(rings)
        for number, ((across, down), hint) in enumerate(zip(rings, hints, strict=True), 1):
            text = self._free(across, down, taken)
            taken.append(text)
            self._parts.append(
                f'<g class="{css}"><title>{escape(hint)}</title>'
                f'<circle cx="{across:.1f}" cy="{down:.1f}" r="4.5"/>'
            )
            if math.dist(text, (across, down)) > 16:
                self._parts.append(f'<path d="M{across:.1f} {down:.1f}L{text[0]:.1f} {text[1]:.1f}"/>')
            self._text(text[0], text[1] + 5, f"{number}", "middle")
            self._parts.append("</g>")

    @staticmethod
    def _free(across: float, down: float, taken: Sequence[tuple[float, float]]) -> tuple[float, float]:
        """The nearest place around a point, inside the axes, that is 14 units from all that is taken."""
        around = [
            (across + far * math.cos(turn * math.pi / 6), down + far * math.sin(turn * math.pi / 6))
            for far in range(14, 120, 6)
            for turn in range(12)
        ]
        inside = [
            (right, below)
            for right, below in around
            if LEFT + 8 < right < WIDTH - RIGHT - 8 and TOP + 8 < below < HEIGHT - BOTTOM - 8
        ]
        return next(
            (place for place in inside if all(math.dist(place, other) >= 13.9 for other in taken)), inside[0]
        )

    def svg(self, title: str) -> str:
        """The whole plot; `title` is what a screen reader says."""
        return (
            f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">'
            f"{''.join(self._parts)}</svg>"
        )

    def _places(self, x: Values, y: Values) -> list[tuple[float, float]]:
        return [self._place(*pair) for pair in zip(x, y, strict=True)]

    def _place(self, x: float, y: float) -> tuple[float, float]:
        across = (x - self._x[0]) / (self._x[1] - self._x[0])
        up = (y - self._y[0]) / (self._y[1] - self._y[0])
        return LEFT + across * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM)

    def _text(self, x: float, y: float, text: str, anchor: str, more: str = "") -> None:
        self._parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{more}>{escape(text)}</text>'
        )
