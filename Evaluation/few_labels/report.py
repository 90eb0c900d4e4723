"""The result of few-label regression: its protocol in one line, tables, plot and a folder that holds them."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from configs import VERSION, FewLabels
from datasets.rated.sets import RatedSet
from Evaluation.few_labels import published
from Evaluation.few_labels.protocol import LabelRow, LabelSummary, Outcome, summarise
from Evaluation.few_labels.protocol.blocks import Block
from Evaluation.few_labels.protocol.feature_table import Store
from Evaluation.few_labels.protocol.labelled_set import digests
from Evaluation.few_labels.splits import SplitFile, write_splits
from Evaluation.grepq import Encoders
from Evaluation.reports.tables import csv_text, write_text
from utils.errors import UserError
from utils.files import atomic_path

FOLDER = Path(__file__).resolve().parents[2] / "Results" / "few_labels"
KIND = "few_labels"


def settings_of(
    rated: RatedSet, blocks: Sequence[Block], settings: FewLabels, given: SplitFile | None
) -> dict[str, Any]:
    """All that a result depends on, as JSON holds it: equal settings, equal result."""
    content = {
        "set": rated.name,
        "kind": rated.kind,
        "native_range": rated.native_range,
        **digests(rated),
        **Store(tuple(blocks), None).provenance,
        **dataclasses.asdict(settings),
        "split_file_sha256": given and given.sha256,
    }
    return json.loads(json.dumps(content))


def protocol_line(
    rated: RatedSet, images: int, blocks: Sequence[Block], settings: FewLabels, splits: SplitFile,
    encoders: Encoders,
) -> str:  # fmt: skip
    """Set, images, split rule, features, weights, regression and figures in one line."""
    source = f" from {Path(splits.source).name}" if splits.source else ""
    columns = ", ".join(f"{block.name} ({block.length})" for block in blocks)
    alphas = ", ".join(f"{alpha:g}" for alpha in settings.alphas)
    choice = f"alpha {alphas} (fixed)"
    if len(settings.alphas) > 1:
        choice = f"alpha from {alphas} by the exact leave-one-out error of the labelled pictures"
    return "; ".join(
        (
            f"Protocol: {rated.name}, {images} of {rated.expected or len(rated.images)} images",
            f"split {splits.protocol}: {splits.rule}",
            f"{len(splits.splits)} splits{source}, seed {splits.seed}, each label count within the next",
            f"features {columns}, {'' if settings.standardise else 'not '}standardised",
            encoders.line(),
            f"ridge regression with intercept, {choice}",
            "SRCC and PLCC (raw, nothing fitted) as median and quartiles over the splits",
            f"{str(encoders.precision).removeprefix('torch.')} on {encoders.device}.",
        )
    )


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
    for method, values in published.SRCC.get(set_name, {}).items():
        figures = [f"{value:.3f}" for value in values]
        lines.append(f"published, not re-run: {method:<10} {' '.join(figures)}")
    if set_name in published.SRCC:
        counts = ", ".join(map(str, published.N_LABELS))
        lines.append(f"  (SRCC with {counts} labels, 80/20 splits of the whole set; {published.SOURCE})")
    return lines


def default_folder(rated: RatedSet, asked: Sequence[str] | None, blocks: Sequence[Block]) -> Path:
    """Results/few_labels/SET_FEATURES: runs with other features do not get in each other's way."""
    name = "+".join(asked or [block.name for block in blocks])
    return FOLDER / f"{Path(rated.name).stem}_{name}"


def publish(
    folder: Path, outcomes: Sequence[Outcome], splits: SplitFile, protocol: str, settings: Mapping[str, Any]
) -> None:
    """Print figures and protocol; write few_labels.json, .csv and .png and splits.json into `folder`.

    Raises:
        UserError: the folder cannot be written to.
    """
    rows = [outcome.row for outcome in outcomes]
    lines = [*result_lines(settings["set"], rows), protocol]
    summary = summarise(rows)
    predictions = [
        {"n_labels": one.row.n_labels, "split": one.row.split, "image": name, "mos": mos, "score": score}
        for one in outcomes
        for name, mos, score in zip(
            one.names, one.mos.tolist(), [float(f"{score:.7g}") for score in one.scores], strict=True
        )
    ]
    content = {
        "kind": KIND,
        "version": VERSION,
        "protocol": protocol,
        "settings": settings,
        "rows": [dataclasses.asdict(row) for row in rows],
        "summary": [dataclasses.asdict(one) for one in summary],
        "predictions": predictions,
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_splits(folder / "splits.json", splits)
        write_text(folder / f"{KIND}.csv", csv_text(LabelRow, rows))
        draw(folder / f"{KIND}.png", settings["set"], summary)
        # Last: it is what the next run takes for the folder's result.
        write_text(folder / f"{KIND}.json", json.dumps(content, allow_nan=False) + "\n")
    except OSError as error:
        print(*lines, sep="\n")  # a full disk must not cost the figures
        raise UserError(f"{folder}: cannot be written to ({error}).") from None
    print(*lines, sep="\n")
    print(f"{folder}: {KIND}.json, {KIND}.csv, {KIND}.png, splits.json")


def draw(path: Path, set_name: str, summary: Sequence[LabelSummary]) -> None:
    """SRCC against the number of labels: ours with quartiles, beside it what was published."""
    from matplotlib.figure import Figure  # takes half a second, only needed here

    figure = Figure(figsize=(8.5, 4.5), layout="constrained")
    axes = figure.add_subplot()
    for method, values in published.SRCC.get(set_name, {}).items():
        axes.plot(
            published.N_LABELS, values, "--", marker="o", markersize=3, linewidth=1,
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
    ticks = sorted({*counts, *(published.N_LABELS if set_name in published.SRCC else ())})
    axes.set_xticks(ticks, [str(count) for count in ticks])
    axes.set_xticks([], minor=True)
    axes.set(xlabel="labelled pictures", ylabel="SRCC", title=set_name)
    axes.grid(alpha=0.3)
    note = f"\npublished: {published.SOURCE}" if set_name in published.SRCC else ""
    axes.legend(fontsize=8, title=f"SRCC on pictures without label{note}", title_fontsize=8,
                loc="center left", bbox_to_anchor=(1.01, 0.5))  # fmt: skip
    with atomic_path(path) as part:
        figure.savefig(part, dpi=150, format="png")
