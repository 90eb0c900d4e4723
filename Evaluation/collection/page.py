"""The scores of a collection as one HTML page that needs nothing besides itself.

`page.html` is the template, which escapes all names of files; images and plots are part of the page.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2
import markupsafe
import matplotlib
import numpy as np

from Evaluation.collection import draw
from Evaluation.collection.explain import Explained
from Evaluation.collection.rows import Row, printable
from Evaluation.reports.plot import DOT, PLOT_STYLE, as_svg, axes_of

# Images that a page shows: of more, so many of the best and of the worst together.
MOST_SHOWN = 1000
# Images of each end in front.
ENDS = 10
# Sides of small copies of few images, and of many; how much they shrink, and their quality, until all of
# them together take so many bytes at most.
FEW, SIDE_OF_FEW, SIDE_OF_MANY = 150, 320, 160
FITTING = ((1.0, 70), (1.0, 50), (0.8, 40), (0.6, 35), (0.4, 30), (0.2, 20))
MOST_BYTES = 3_000_000
TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True,
    lstrip_blocks=True,
)  # fmt: skip
TEMPLATES.filters["printable"] = printable


def shown(rows: Sequence[Row]) -> list[Row]:
    """The rows that a page shows, in their order: all, or the best, the worst and the first that failed."""
    if len(rows) <= MOST_SHOWN:
        return list(rows)
    failed = [row for row in rows if not row.ok][: MOST_SHOWN // 10]
    good = sorted((row for row in rows if row.ok), key=lambda row: row.score)
    half = (MOST_SHOWN - len(failed)) // 2
    chosen = {row.image for row in (*good[:half], *good[half:][-half:], *failed)}
    return [row for row in rows if row.image in chosen]


def side_of(rows: Sequence[Row]) -> int:
    """Side in pixels of the small copies of so many images."""
    return SIDE_OF_FEW if len(rows) <= FEW else SIDE_OF_MANY


def page(
    title: str, lines: Sequence[str], rows: Sequence[Row], explained: Sequence[Explained], column: str
) -> str:
    """The whole page.

    Args:
        title: of the page.
        lines: sentences on all images: how many, mean, quantiles; weights.
        rows: of all images.
        explained: of the rows that are `shown`, those that can be.
        column: name of the score by which images are compared.
    """
    listed, folder = shown(rows), common_folder([row.image for row in rows])
    places = {one.row.image: place for place, one in enumerate(explained)}
    ranked = sorted((one.row for one in explained), key=lambda row: -row.score)
    ends = min(ENDS, -(-len(ranked) // 2))
    return TEMPLATES.get_template("page.html").render(
        title=title,
        lines=lines,
        folder=folder,
        histogram=_histogram([row.score for row in rows if row.ok], column),
        rows=listed,
        left_out=len(rows) - len(listed),
        places=places,
        words={one.row.image: one.map.words for one in explained if one.map is not None},
        pictures=_pictures(explained, folder),
        maps=draw.TITLES,
        most={"distance": draw.MOST_DISTANCE, "distortion": draw.MOST_DISTORTION},
        gradient=_gradient(),
        dimmed=draw.DIMMED,
        best=[places[row.image] for row in ranked[:ends]],
        worst=[places[row.image] for row in ranked[::-1][:ends]],
        column=column,
        both=any(row.q is not None for row in rows),
    )


def common_folder(names: Sequence[str]) -> str:
    """The folder that all files are in, with a slash at its end; "" where there is none."""
    try:
        folder = os.path.commonpath([Path(name).parent for name in names])
    except ValueError:  # no names, or some from the root and some not
        return ""
    return f"{folder}/" if folder not in (".", "", "/") else ""


def _pictures(explained: Sequence[Explained], folder: str) -> list[dict[str, Any]]:
    """What the page shows of each image when it is asked for."""
    found = []
    for one, copy in zip(explained, _copies(explained), strict=True):
        maps = {}
        if one.map is not None:
            for name, (values, most) in draw.maps_of(one.map).items():
                heat = draw.heat(values, one.map, most, draw.map_size(*one.copy.size))
                maps[name] = draw.as_uri(heat.convert("RGBA"), "WEBP", lossless=True, method=6)
        words = "" if one.map is None else one.map.words
        row = one.row
        found.append({
            "name": printable(row.image.removeprefix(folder)), "score": f"{row.score:.4f}", "copy": copy,
            "maps": maps, "size": [row.width, row.height], "words": words, "reason": row.reason,
        })  # fmt: skip
    return found


def _copies(explained: Sequence[Explained]) -> list[str]:
    """The small copies, as small as they must be for the page to stay small."""
    for shrink, quality in FITTING:
        copies: list[str] = []
        left = MOST_BYTES
        for one in explained:
            small = one.copy.resize([max(1, round(side * shrink)) for side in one.copy.size])
            copies.append(draw.as_uri(small, "WEBP", quality=quality))
            left -= len(copies[-1])
            if left < 0:
                break
        else:
            return copies
    return ["data:,"] * len(explained)


def _histogram(scores: Sequence[float], column: str) -> markupsafe.Markup | str:
    if not scores:
        return ""
    with matplotlib.rc_context(PLOT_STYLE):
        figure, axes = axes_of(column, "images")
        figure.set_size_inches(5, 2.2)  # so that it can be read on a phone too
        axes.hist(scores, bins=min(40, max(5, round(np.sqrt(len(scores)) * 2))), color=DOT)
        axes.yaxis.get_major_locator().set_params(integer=True)
    return as_svg(figure)


def _gradient() -> str:
    """The colours of maps from 0 on, as a style sheet has them."""
    return ", ".join(matplotlib.colors.to_hex(colour) for colour in draw.scale_colours())
