"""Plots by matplotlib as parts of a page, in the colours of its style sheet."""

from __future__ import annotations

import io
import re
from typing import Any

import markupsafe
import matplotlib
from matplotlib.figure import Figure

# Colours that stand in plots for those of the page's style sheet, which follow light and dark.
INK, RULE, DOT, MARK = "#010101", "#020202", "#030303", "#040404"
VARIABLES = {INK: "var(--ink)", RULE: "var(--rule)", DOT: "var(--dot)", MARK: "var(--worst)"}
PLOT_STYLE: Any = {
    "svg.fonttype": "none", "svg.hashsalt": "grepq", "font.size": 11, "text.color": INK,
    "axes.labelcolor": INK, "axes.edgecolor": INK, "xtick.color": INK, "ytick.color": INK, "grid.color": RULE,
    "text.parse_math": False, "axes.grid": True, "axes.axisbelow": True, "axes.spines.top": False,
    "axes.spines.right": False,
}  # fmt: skip


def axes_of(across: str, up: str) -> tuple[Figure, Any]:
    """A figure and its axes, within `PLOT_STYLE`."""
    figure = Figure(figsize=(6, 4.4), layout="constrained")
    axes = figure.subplots()
    axes.set(xlabel=across, ylabel=up)
    return figure, axes


def as_svg(figure: Figure) -> markupsafe.Markup:
    """The figure as an element of the page, in the colours of its style sheet; matplotlib escapes texts."""
    file = io.StringIO()
    with matplotlib.rc_context(PLOT_STYLE):
        figure.savefig(file, format="svg", transparent=True, metadata=dict.fromkeys(("Date", "Creator")))
    text = file.getvalue()
    text = re.sub("|".join(VARIABLES), lambda match: VARIABLES[match.group()], text[text.index("<svg") :])
    # Without its metadata and name spaces, which nothing on a page needs; links inside are by xlink.
    text = re.sub(r"<metadata>.*?</metadata>|<defs>\s*<style.*?</defs>", "", text, flags=re.DOTALL)
    return markupsafe.Markup(re.sub(r' (?:xmlns(?::xlink)?|width|height)="[^"]*"', "", text, count=4))
