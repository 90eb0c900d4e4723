"""Figures that were published by others and not run again here."""

from __future__ import annotations

from collections.abc import Mapping

SOURCE = "UniQA, arXiv 2406.01069, table IX"
# Numbers of labels of the columns below.
N_LABELS = (50, 100, 200)
# Set -> method -> SRCC, median of 10 splits, labels from 80 %, test on 20 %.
SRCC: Mapping[str, Mapping[str, tuple[float, float, float]]] = {
    "CLIVE": {
        "GRepQ": (0.760, 0.791, 0.822),
        "CONTRIQUE": (0.695, 0.729, 0.761),
        "Re-IQA": (0.591, 0.621, 0.701),
        "CLIP": (0.664, 0.721, 0.733),
        "UniQA": (0.828, 0.849, 0.853),
    },
    "KonIQ-10k": {
        "GRepQ": (0.812, 0.832, 0.855),
        "CONTRIQUE": (0.733, 0.794, 0.821),
        "Re-IQA": (0.685, 0.723, 0.754),
        "CLIP": (0.736, 0.770, 0.782),
        "UniQA": (0.844, 0.860, 0.876),
    },
    "LIVE": {
        "GRepQ": (0.926, 0.937, 0.953),
        "CONTRIQUE": (0.891, 0.922, 0.943),
        "Re-IQA": (0.884, 0.894, 0.929),
        "CLIP": (0.896, 0.923, 0.941),
        "UniQA": (0.963, 0.958, 0.976),
    },
}
