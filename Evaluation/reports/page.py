"""Results of runs as one HTML page that needs nothing besides itself: figures, plots, disagreements.

All text that comes from files is escaped; pictures and plots are part of the page.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from Evaluation.metrics import Fit, fit_logistic, undefined
from Evaluation.reports.results import Labels, Ratings, Result
from Evaluation.reports.svg_plot import Plot, padded

# Disagreements that are shown.
WORST = 10

STYLE = """
:root { color-scheme: light dark; --ink: #1b1b1b; --paper: #fff; --faint: #666; --rule: #ddd;
  --dot: #2b6cb0; --fit: #1b1b1b; --worst: #c2410c; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e6e6; --paper: #161616; --faint: #a0a0a0;
  --rule: #383838; --dot: #6ea8e8; --fit: #f0f0f0; --worst: #fb923c; } }
@media print { :root { color-scheme: light; --ink: #000; --paper: #fff; --faint: #444; --rule: #ccc;
  --dot: #2b6cb0; --fit: #000; --worst: #c2410c; } }
body { max-width: 68rem; margin: 2rem auto; padding: 0 1.5rem; color: var(--ink);
  background: var(--paper); font: 16px/1.5 system-ui, sans-serif; }
h1, h2 { line-height: 1.2; overflow-wrap: anywhere; }
h2 { margin: 3rem 0 0.5rem; padding-top: 1rem; border-top: 1px solid var(--rule); }
h3 { margin: 2rem 0 0.5rem; }
p.protocol, p.settings, p.note, figcaption { color: var(--faint); font-size: 0.85rem;
  overflow-wrap: anywhere; }
p.remark { font-weight: 600; }
.side { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr)); gap: 1rem 2rem;
  align-items: start; margin: 1rem 0; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: 0.3rem 0 0.3rem 1rem; text-align: right; border-bottom: 1px solid var(--rule); }
th, td { white-space: nowrap; }
td.words { white-space: normal; }
th:first-child, td.words { text-align: left; padding-left: 0; }
thead th { font-weight: 600; }
tbody th { font-weight: 400; }
td.words { padding-left: 1rem; color: var(--faint); font-size: 0.85rem; }
figure { margin: 0; break-inside: avoid; }
svg { display: block; width: 100%; font: 14px system-ui, sans-serif; font-variant-numeric: tabular-nums; }
svg text { fill: var(--ink); }
svg path { fill: none; }
.grid { stroke: var(--rule); }
.axis { stroke: var(--faint); }
.dot { fill: var(--dot); fill-opacity: 0.45; }
.fit { fill: none; stroke: var(--fit); stroke-width: 2; }
.bar { stroke: var(--dot); stroke-width: 14; stroke-opacity: 0.3; fill: none; }
.middle { fill: var(--fit); }
.worst circle, .worst path { fill: none; stroke: var(--worst); stroke-width: 1.5; }
.worst path { stroke-width: 0.75; }
.worst text { fill: var(--worst); font-weight: 600; }
ol { display: grid; grid-template-columns: repeat(auto-fill, minmax(11rem, 1fr)); gap: 1rem; padding: 0;
  list-style: none; }
ol img, ol .missing { display: flex; width: 100%; aspect-ratio: 4 / 3; object-fit: contain;
  background: color-mix(in srgb, var(--rule) 40%, transparent); }
ol .missing { align-items: center; justify-content: center; box-sizing: border-box; padding: 0.5rem;
  text-align: center; font-size: 0.8rem; color: var(--faint); overflow-wrap: anywhere; overflow: hidden; }
ol figcaption { font-variant-numeric: tabular-nums; }
ol b { color: var(--worst); }
"""


@dataclass(frozen=True)
class Mapped:
    """Ratings with their scores mapped to opinions by a fitted curve, and the largest differences."""

    ratings: Ratings
    fit: Fit
    values: np.ndarray
    worst: tuple[int, ...]

    @property
    def differences(self) -> np.ndarray:
        """Mapped score less opinion: above 0 where the score is too high."""
        return self.values - self.ratings.mos


def mapped(ratings: Ratings) -> Mapped | str:
    """The ratings mapped by the logistic of 4 parameters, or the sentence why they cannot be.

    It is monotone, so the order of the scores stays as it is.
    """
    reason = undefined(ratings.scores, ratings.mos)
    if reason:
        return f"No curve and no disagreements: {reason.removeprefix('undefined: ')}."
    fit = fit_logistic(ratings.scores, ratings.mos)
    values = fit.curve(ratings.scores)
    order = np.argsort(-np.abs(values - ratings.mos), kind="stable")
    return Mapped(ratings, fit, values, tuple(order[:WORST].tolist()))


def shown_names(result: Result) -> list[str]:
    """The pictures of which a page has thumbnails, in its order."""
    fitted = mapped(result.ratings)
    return [] if isinstance(fitted, str) else [result.ratings.names[place] for place in fitted.worst]


def page(results: Sequence[tuple[Result, Mapping[str, bytes | str]]]) -> str:
    """The whole page.

    Args:
        results: of runs, each with JPEG thumbnails of its `shown_names`, or the reasons why there are none.
    """
    title = ", ".join(result.title for result, _ in results)
    sections = [_section(result, pictures) for result, pictures in results]
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{escape(title)}</title>\n'
        '<meta name="viewport" content="width=device-width">\n'
        f"<style>{STYLE}</style>\n</head>\n<body>\n<h1>Image quality: agreement with human scores</h1>\n"
        f"{''.join(sections)}</body>\n</html>\n"
    )


def _section(result: Result, pictures: Mapping[str, bytes | str]) -> str:
    fitted = (
        mapped(result.ratings) if result.ratings.names else "The file holds no scores of single pictures."
    )
    parts = [
        f"<section>\n<h2>{escape(result.title)}</h2>",
        f'<p class="protocol">{escape(result.protocol)}</p>',
        *(f'<p class="remark">{escape(remark)}</p>' for remark in result.remarks),
    ]
    figures = [_table(result.header, result.table)]
    if result.labels is not None:
        parts += figures  # a wide table stands alone
        figures = [_label_plot(result.labels)]
    if isinstance(fitted, Mapped):
        figures.append(_scatter(fitted))
    parts += ['<div class="side">', *figures, "</div>"]
    parts.append(
        f'<p class="note">{escape(fitted)}</p>'
        if isinstance(fitted, str)
        else _disagreements(fitted, pictures)
    )
    parts.append(f'<p class="settings">{escape(result.settings)}.</p>\n</section>\n')
    return "\n".join(parts)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in header)
    lines = []
    for first, *rest in rows:
        cells = "".join(
            f"<td{'' if _is_figure(cell) else ' class=words'}>{escape(cell)}</td>" for cell in rest
        )
        lines.append(f'<tr><th scope="row">{escape(first)}</th>{cells}</tr>')
    return f"<table><thead><tr>{head}</tr></thead>\n<tbody>{chr(10).join(lines)}</tbody></table>"


def _is_figure(cell: str) -> bool:
    return cell[:1] in "[-0123456789"


def _scatter(fitted: Mapped) -> str:
    """Opinion against score with the curve, the largest disagreements numbered."""
    ratings = fitted.ratings
    across = np.linspace(ratings.scores.min(), ratings.scores.max(), 200)
    curve = fitted.fit.curve(across)
    plot = Plot(padded(ratings.scores), padded([*ratings.mos, *curve]), ratings.score_name, ratings.mos_name)
    plot.dots(ratings.scores, ratings.mos, "dot")
    plot.line(across, curve, "fit")
    worst = list(fitted.worst)
    plot.marks(ratings.scores[worst], ratings.mos[worst], [ratings.names[place] for place in worst], "worst")
    note = f" ({fitted.fit.note})" if fitted.fit.note else ""
    caption = (
        f"{len(ratings.names)} images: {ratings.mos_name} against {ratings.score_name}. Curve: logistic of 4 "
        f"parameters, fitted on all of them{note}. Numbered: the largest disagreements."
    )
    return f"<figure>{plot.svg(caption)}<figcaption>{escape(caption)}</figcaption></figure>"


def _label_plot(labels: Labels) -> str:
    """SRCC against the number of labels: medians on a line, quartiles as bars, a dot a split."""
    numbers = [point[0] for point in labels.summary]
    heights = [height for point in labels.summary for height in point[1:]] + [
        srcc for _, srcc in labels.splits
    ]
    if not heights:
        return '<p class="note">No SRCC is defined.</p>'
    # Numbers of labels grow by factors, so their axis does.
    places = [math.log(number) for number in numbers]
    dots = [math.log(number) for number, _ in labels.splits]
    ticks = {place: f"{number:g}" for place, number in zip(places, numbers, strict=True)}
    plot = Plot(padded([*places, *dots], 0.08), padded(heights), "labels", "SRCC", ticks)
    for place, (_, _, low, high) in zip(places, labels.summary, strict=True):
        plot.line([place, place], [low, high], "bar")
    plot.dots(dots, [srcc for _, srcc in labels.splits], "dot")
    medians = [point[1] for point in labels.summary]
    plot.line(places, medians, "fit")
    plot.dots(places, medians, "middle", 4)
    caption = "SRCC against the number of labels: line, the median; bars, the quartiles; dots, the splits."
    return f"<figure>{plot.svg(caption)}<figcaption>{escape(caption)}</figcaption></figure>"


def _disagreements(fitted: Mapped, pictures: Mapping[str, bytes | str]) -> str:
    """The pictures whose mapped score is farthest from their opinion, farthest first."""
    ratings = fitted.ratings
    # Three digits of the opinions' own range.
    digits = min(max(0, 2 - math.floor(math.log10(np.ptp(ratings.mos)))), 6)
    items = []
    for number, place in enumerate(fitted.worst, 1):
        name = ratings.names[place]
        picture = pictures.get(name, "not found")
        if isinstance(picture, bytes):
            uri = f"data:image/jpeg;base64,{base64.b64encode(picture).decode()}"
            image = f'<img src="{uri}" alt="{escape(name)}">'
        else:
            image = f'<div class="missing">No picture: {escape(picture)}</div>'
        items.append(
            f"<li><figure>{image}<figcaption><b>{number}</b> {escape(name)}<br>"
            f"{ratings.mos_name} {ratings.mos[place]:.{digits}f}, score {fitted.values[place]:.{digits}f} "
            f"({fitted.differences[place]:+.{digits}f})</figcaption></figure></li>"
        )
    words = (
        f"Each with its {ratings.mos_name} and its score, mapped to that scale by the curve; "
        "in brackets how far the score is above (+) or below (-)."
    )
    heading = f"<h3>The {len(items)} largest disagreements</h3>"
    return f'{heading}\n<p class="note">{escape(words)}</p>\n<ol>\n{chr(10).join(items)}\n</ol>'
