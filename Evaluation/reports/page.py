"""Results of runs as one HTML page that needs nothing besides itself: figures, plots, disagreements.

`page.html` is the template, which escapes all text of files; images and plots are part of the page.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import markupsafe
import matplotlib
import numpy as np

from Evaluation.metrics import Fit, fit_logistic, undefined
from Evaluation.reports.plot import DOT, INK, MARK, PLOT_STYLE, as_svg, axes_of
from Evaluation.reports.results import Labels, Ratings, Result

# Disagreements that are shown.
WORST = 10
TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True
)


@dataclass(frozen=True)
class Mapped:
    """Ratings with their scores mapped to MOS by a fitted curve, and the largest differences."""

    ratings: Ratings
    fit: Fit
    values: np.ndarray
    worst: tuple[int, ...]


def mapped(ratings: Ratings) -> Mapped | str:
    """The ratings mapped by the logistic of 4 parameters, or the sentence why they cannot be.

    It is monotone, so the order of the scores stays as it is.
    """
    if not ratings.names:
        return "The file holds no scores of single images."
    reason = undefined(ratings.scores, ratings.mos)
    if reason:
        return f"No curve and no disagreements: {reason.removeprefix('undefined: ')}."
    fit = fit_logistic(ratings.scores, ratings.mos)
    values = fit.curve(ratings.scores)
    order = np.argsort(-np.abs(values - ratings.mos), kind="stable")
    return Mapped(ratings, fit, values, tuple(order[:WORST].tolist()))


def shown_names(result: Result) -> list[str]:
    """The images of which a page has thumbnails, in its order."""
    fitted = mapped(result.ratings)
    return [] if isinstance(fitted, str) else [result.ratings.names[place] for place in fitted.worst]


def page(results: Sequence[tuple[Result, Mapping[str, bytes | str]]]) -> str:
    """The whole page.

    Args:
        results: of runs, each with JPEG thumbnails of its `shown_names`, or the reasons why there are none.
    """
    sections = [_section(result, images) for result, images in results]
    return TEMPLATES.get_template("page.html").render(sections=sections)


def _section(result: Result, images: Mapping[str, bytes | str]) -> dict[str, Any]:
    fitted = mapped(result.ratings)
    plots, notes = [], []
    if result.labels is not None:
        if result.labels.summary:
            plots.append(_label_plot(result.labels))
        else:
            notes.append("No SRCC is defined.")
    if isinstance(fitted, str):
        return {"result": result, "plots": plots, "notes": [*notes, fitted], "worst": []}
    plots.append(_scatter(fitted))
    return {"result": result, "plots": plots, "notes": notes, "worst": _worst(fitted, images)}


def _worst(fitted: Mapped, images: Mapping[str, bytes | str]) -> list[dict[str, str]]:
    """The images whose mapped score is farthest from their MOS, farthest first, as texts."""
    ratings = fitted.ratings
    # Three digits of the MOS' own range.
    digits = min(max(0, 2 - math.floor(math.log10(np.ptp(ratings.mos)))), 6)
    found = []
    for place in fitted.worst:
        image = images.get(ratings.names[place], "not found")
        encoded = base64.b64encode(image).decode() if isinstance(image, bytes) else ""
        found.append({
            "name": ratings.names[place],
            "uri": encoded and f"data:image/jpeg;base64,{encoded}",
            "reason": "" if isinstance(image, bytes) else image,
            "mos": f"{ratings.mos[place]:.{digits}f}",
            "score": f"{fitted.values[place]:.{digits}f}",
            "difference": f"{fitted.values[place] - ratings.mos[place]:+.{digits}f}",
        })  # fmt: skip
    return found


def _scatter(fitted: Mapped) -> tuple[markupsafe.Markup, str]:
    """MOS against score with the curve, the largest disagreements numbered; and its caption."""
    ratings = fitted.ratings
    with matplotlib.rc_context(PLOT_STYLE):
        figure, axes = axes_of(ratings.score_name, ratings.mos_name)
        axes.plot(ratings.scores, ratings.mos, ".", color=DOT, alpha=0.5, gid="dots")
        across = np.linspace(ratings.scores.min(), ratings.scores.max(), 200)
        axes.plot(across, fitted.fit.curve(across), color=INK, linewidth=1.5, gid="curve")
        for number, place in enumerate(fitted.worst, 1):
            at = (ratings.scores[place], ratings.mos[place])
            axes.plot(*at, "o", markersize=8, markerfacecolor="none", markeredgecolor=MARK)
            axes.annotate(f"{number}", at, (6, 6), textcoords="offset points", color=MARK, weight="bold")
    note = f" ({fitted.fit.note})" if fitted.fit.note else ""
    caption = (
        f"{len(ratings.names)} images: {ratings.mos_name} against {ratings.score_name}. Curve: logistic of 4 "
        f"parameters, fitted on all of them{note}. Numbered: the largest disagreements."
    )
    return as_svg(figure), caption


def _label_plot(labels: Labels) -> tuple[markupsafe.Markup, str]:
    """SRCC against the number of labels: medians on a line, quartiles as bars, a dot a split; its caption."""
    numbers, medians, low, high = (np.array(column) for column in zip(*labels.summary, strict=True))
    with matplotlib.rc_context(PLOT_STYLE):
        figure, axes = axes_of("labels", "SRCC")
        axes.plot(*zip(*labels.splits, strict=True), ".", color=DOT, alpha=0.5, gid="dots")
        axes.errorbar(numbers, medians, (medians - low, high - medians), color=INK, marker="s", capsize=4)
        # Numbers of labels grow by factors, so their axis does.
        axes.set_xscale("log")
        axes.set_xticks(numbers, [f"{number:g}" for number in numbers])
        axes.set_xticks([], minor=True)
    caption = "SRCC against the number of labels: line, the median; bars, the quartiles; dots, the splits."
    return as_svg(figure), caption
