"""The result of few-label regression: its protocol in one line, tables, plot and a folder that holds them."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from configs import FewLabels
from datasets.rated.sets import RatedSet
from Evaluation.few_labels.blocks import Block, provenance
from Evaluation.few_labels.protocol import LabelRow, LabelSummary, Outcome, digests, summarise
from Evaluation.few_labels.splits import SplitFile, write_splits
from Evaluation.grepq import GRepQ
from Evaluation.reports.tables import as_cells, write_result
from utils.files import atomic_path

FOLDER = Path(__file__).resolve().parents[2] / "Results" / "few_labels"
KIND = "few_labels"

# Figures that others published and that are not run again here.
PUBLISHED_IN = "UniQA, arXiv 2406.01069, table IX"
PUBLISHED_LABELS = (50, 100, 200)
# Set -> method -> SRCC for these labels, median of 10 splits, labels from 80 %, test on 20 %.
PUBLISHED: Mapping[str, Mapping[str, tuple[float, float, float]]] = {
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


def settings_of(
    rated: RatedSet, blocks: Sequence[Block], settings: FewLabels, given: SplitFile | None
) -> dict[str, Any]:
    """All that a result depends on, as JSON holds it: equal settings, equal result."""
    fields = dataclasses.asdict(settings)
    del fields["features"]  # which blocks they meant, the provenance says
    content = {
        "set": rated.name,
        "kind": rated.kind,
        "native_range": rated.native_range,
        **digests(rated),
        **provenance(blocks),
        **fields,
        "split_file_sha256": given and given.sha256,
    }
    return json.loads(json.dumps(content))


def protocol_line(
    model: GRepQ, rated: RatedSet, images: int, blocks: Sequence[Block], settings: FewLabels,
    splits: SplitFile,
) -> str:  # fmt: skip
    """Set, images, split rule, features, weights, regression and figures in one line."""
    source = f" from {Path(splits.source).name}" if splits.source else ""
    return "; ".join(
        (
            f"Protocol: {rated.name}, {images} of {rated.expected or len(rated.images)} images",
            f"split {splits.protocol}: {splits.rule}",
            f"{len(splits.splits)} splits{source}, seed {splits.seed}, each label count within the next",
            *features_and_regression(model, blocks, settings, "the labelled images"),
            "SRCC and PLCC (raw, nothing fitted) as median and quartiles over the splits",
            f"{model.settings.precision} on {model.encoders.device}.",
        )
    )


def features_and_regression(
    model: GRepQ, blocks: Sequence[Block], settings: FewLabels, trained_on: str
) -> list[str]:
    """The parts of a protocol line that say which features, whose weights, and how alpha was chosen."""
    columns = ", ".join(f"{block.name} ({block.length})" for block in blocks)
    alphas = ", ".join(f"{alpha:g}" for alpha in settings.alphas)
    choice = f"alpha {alphas} (fixed)"
    if len(settings.alphas) > 1:
        choice = f"alpha from {alphas} by the exact leave-one-out error of {trained_on}"
    return [
        f"features {columns}, {'' if settings.standardise else 'not '}standardised",
        model.encoders.line(),
        f"ridge regression with intercept, {choice}",
    ]


def result_lines(set_name: str, rows: Sequence[LabelRow]) -> list[str]:
    """The summary for people, the penalties that were chosen, and the published rows where there are some."""
    lines = ["labels  SRCC median [quartiles]     PLCC, raw, median [quartiles]"]
    for one in summarise(rows):
        figures = [
            "undefined: all are equal" if median is None else f"{median:.4f} [{low:.4f}, {high:.4f}]"
            for median, low, high in (
                (one.srcc, one.srcc_q1, one.srcc_q3),
                (one.plcc, one.plcc_q1, one.plcc_q3),
            )
        ]
        splits = len([row for row in rows if row.n_labels == one.n_labels])
        note = "" if one.splits == splits else f"   of {one.splits} of {splits} splits"
        lines.append(f"{one.n_labels:6}  {figures[0]:26}  {figures[1]}{note}")
    for count in dict.fromkeys(row.n_labels for row in rows):
        chosen = " ".join(f"{row.alpha:g}" for row in rows if row.n_labels == count)
        lines.append(f"alpha of each split, {count} labels: {chosen}")
    for method, values in PUBLISHED.get(set_name, {}).items():
        lines.append(f"published, not re-run: {method:<10} {' '.join(f'{value:.3f}' for value in values)}")
    if set_name in PUBLISHED:
        counts = ", ".join(map(str, PUBLISHED_LABELS))
        lines.append(f"  (SRCC with {counts} labels, 80/20 splits of the whole set; {PUBLISHED_IN})")
    return lines


def default_folder(rated: RatedSet, asked: Sequence[str], blocks: Sequence[Block]) -> Path:
    """Results/few_labels/SET_FEATURES: runs with other features do not get in each other's way."""
    return FOLDER / f"{Path(rated.name).stem}_{'+'.join(asked or [block.name for block in blocks])}"


def publish(
    folder: Path, outcomes: Sequence[Outcome], splits: SplitFile, protocol: str, settings: Mapping[str, Any]
) -> None:
    """Print figures and protocol; write few_labels.json, .csv and .png and splits.json into `folder`."""
    rows = [outcome.row for outcome in outcomes]
    summary = summarise(rows)
    predictions = [
        {"n_labels": one.row.n_labels, "split": one.row.split, "image": name, "mos": mos, "score": score}
        for one in outcomes
        for name, mos, score in zip(
            one.names, one.mos.tolist(), [float(f"{score:.7g}") for score in one.scores], strict=True
        )
    ]
    # First: a full disk must not cost the figures.
    print(*result_lines(settings["set"], rows), protocol, sep="\n")
    folder.mkdir(parents=True, exist_ok=True)
    write_splits(folder / "splits.json", splits)
    draw(folder / f"{KIND}.png", settings["set"], summary)
    write_result(
        folder, KIND, LabelRow, rows, protocol, settings,
        summary=[as_cells(one) for one in summary], predictions=predictions,
    )  # fmt: skip
    print(f"{folder}: {KIND}.json, {KIND}.csv, {KIND}.png, splits.json")


def draw(path: Path, set_name: str, summary: Sequence[LabelSummary]) -> None:
    """SRCC against the number of labels: ours with quartiles, beside it what was published."""
    from matplotlib.figure import Figure  # takes half a second, only needed here

    figure = Figure(figsize=(8.5, 4.5), layout="constrained")
    axes = figure.add_subplot()
    published = PUBLISHED.get(set_name, {})
    for method, values in published.items():
        axes.plot(
            PUBLISHED_LABELS, values, "--", marker="o", markersize=3, linewidth=1,
            label=f"{method} (published, not re-run)",
        )  # fmt: skip
    ours = [one for one in summary if one.srcc is not None]
    middle, low, high = (
        np.array([getattr(one, name) for one in ours]) for name in ("srcc", "srcc_q1", "srcc_q3")
    )
    counts = [one.n_labels for one in ours]
    axes.errorbar(
        counts, middle, (middle - low, high - middle), color="black", marker="s", linewidth=2, capsize=4,
        label="this run: median and quartiles",
    )  # fmt: skip
    axes.set_xscale("log")
    ticks = sorted({*counts, *(PUBLISHED_LABELS if published else ())})
    axes.set_xticks(ticks, [str(count) for count in ticks])
    axes.set_xticks([], minor=True)
    axes.set(xlabel="labelled images", ylabel="SRCC", title=set_name)
    axes.grid(alpha=0.3)
    note = f"\npublished: {PUBLISHED_IN}" if published else ""
    axes.legend(fontsize=8, title=f"SRCC on images without label{note}", title_fontsize=8,
                loc="center left", bbox_to_anchor=(1.01, 0.5))  # fmt: skip
    with atomic_path(path) as part:
        figure.savefig(part, dpi=150, format="png")
