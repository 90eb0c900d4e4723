"""Tables of scores and the text of a result."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from configs import VERSION
from datasets.rated.sets import RatedImage, RatedSet
from Evaluation.grepq import GRepQ
from Evaluation.protocol import agreement_of_rows, protocol_line
from Evaluation.reports.tables import csv_text, write_table
from Evaluation.zeroshot import RANGES, ScoreRow
from utils.cli import say
from utils.errors import UserError

if TYPE_CHECKING:
    from Evaluation.metrics import Metric

TITLES = {
    "srcc": "SRCC",
    "krcc": "KRCC",
    "plcc": "PLCC, raw",
    "plcc_poly3": "PLCC, poly3",
    "plcc_logistic4": "PLCC, logistic4",
    "rmse_logistic4": "RMSE, logistic4",
    "plcc_logistic5": "PLCC, logistic5",
    "rmse_logistic5": "RMSE, logistic5",
}
# Images without a score that are named one by one on the terminal.
MOST_NAMED = 10
# Lines of the ranking on the terminal when a table holds all of it: the best and the worst.
MOST_RANKED = 20


def check_output(path: Path | None) -> None:
    """Raise `UserError` where a table could not be written, before the scores are computed."""
    if path is None:
        return
    if path.suffix.lower() not in (".csv", ".json"):
        raise UserError(f"{path}: the table of scores is written as .csv or .json; end the name so.")
    if not path.parent.is_dir():
        raise UserError(f"{path}: there is no folder {path.parent}.")
    if path.is_dir() or not os.access(path.parent, os.W_OK):
        raise UserError(f"{path}: cannot be written.")


def collect(model: GRepQ, images: Sequence[RatedImage]) -> tuple[list[ScoreRow], bool]:
    """The rows of all images, and whether all came: Ctrl-C ends the scoring and keeps what is done."""
    done: list[ScoreRow] = []
    rows = model.score_images(images)
    try:
        for row in tqdm(rows, total=len(images), desc="Scoring", unit="image", disable=len(images) == 1):
            done.append(row)  # noqa: PERF402 (an interrupted list() would lose the rows)
    except KeyboardInterrupt:
        return done, False
    return done, True


def publish(
    model: GRepQ, rated: RatedSet, rows: Sequence[ScoreRow], complete: bool, output: Path | None
) -> int:
    """Write or print rows, ranking or figures, and protocol; returns the exit status of the run.

    Args:
        model: that scored.
        rated: the set that was to be scored.
        rows: of its images, in its order; fewer where the run was interrupted.
        complete: whether all images were come to.
        output: table to write; None prints the rows.

    Returns:
        0: all is well. 1: an image has no score. 130: interrupted.
    """
    scored = sum(row.status.ok for row in rows)
    line = protocol_line(model, rated, scored)
    with_mos = any(row.mos is not None for row in rows)
    if output is None and with_mos:
        print(csv_text(ScoreRow, rows))
    summary = {**_summary(model, rated, with_mos), "complete": complete, "protocol": line, "metrics": []}
    if output is not None:
        # Before the figures, which take a while and may be interrupted.
        write_table(output, ScoreRow, rows, summary)
    metrics = agreement_of_rows(rows) if with_mos else ()
    if metrics and output is not None:
        figures = [dataclasses.asdict(metric) for metric in metrics]
        write_table(output, ScoreRow, rows, {**summary, "metrics": figures})
    if len(rated.images) > 1 and not with_mos:
        print(*ranking_lines(rows, MOST_RANKED if output else len(rows)), sep="\n")
    if len(rated.images) == 1 and rows:
        print(*score_lines(rows[0]), sep="\n")
    if metrics:
        print(f"{scored} images, agreement of {model.score_name} with MOS and 95 % interval:")
        print(*metric_lines(metrics), sep="\n")
    print(line)
    failed = [row for row in rows if not row.status.ok]
    for row in failed[:MOST_NAMED]:
        say(f"Not scored: {row.image}: {row.status.reason.rstrip('.')}.")
    if len(failed) > MOST_NAMED:
        where = "; the table of scores says why" if output or with_mos else ""
        say(f"Not scored: {len(failed) - MOST_NAMED} more{where}.")
    if not complete:
        kept = f"are in {output}" if output else "are printed above"
        say(f"Interrupted: {len(rows)} of {len(rated.images)} rows {kept}.")
        return 130
    return 1 if failed else 0


def _summary(model: GRepQ, rated: RatedSet, with_mos: bool) -> dict[str, Any]:
    """All that the scores depend on, for a .json table."""
    mos = {"kind": rated.kind, "native_range": rated.native_range, "negated": rated.kind == "DMOS"}
    return {
        "version": VERSION,
        "score": model.name,
        "set": rated.name,
        "opinions": mos if with_mos else None,
        **model.encoders.checksums(),
        "pristine_sha256": model.pristine.patches_sha256 if model.encoders.has_low else None,
        "settings": dataclasses.asdict(model.settings),
    }


def score_lines(row: ScoreRow) -> list[str]:
    """The scores of one image as lines for people, each with its range."""
    values = zip(RANGES.items(), (row.q_low, row.q_high, row.q), strict=True)
    return [
        f"{name.capitalize():<6} = {value:.6f}  (range {limits}, higher is better; {row.status})"
        for (name, limits), value in values
        if value is not None
    ]


def ranking_lines(rows: Sequence[ScoreRow], most: int) -> list[str]:
    """The scored rows, best first, as lines for people; beyond `most` the middle is left out."""
    ranked = sorted((row for row in rows if row.score is not None), key=lambda row: -(row.score or 0))
    columns = [
        name for name in ("q", "q_low", "q_high") if any(getattr(row, name) is not None for row in ranked)
    ]
    lines = [
        "  ".join(f"{getattr(row, name):6.4f}" for name in columns)
        + f"  {f'{row.width}x{row.height}':>11}  {row.image}{str(row.status).removeprefix('ok')}"
        for row in ranked
    ]
    if len(lines) > most:
        lines[most // 2 : -(most // 2)] = [f"... {len(lines) - most // 2 * 2} more ..."]
    return ["  ".join(f"{name:<6}" for name in columns) + "         size  image, best first", *lines]


def metric_lines(metrics: Iterable[Metric]) -> list[str]:
    """One line a figure: its value and 95 % interval, and what the reader should know of it."""
    lines = []
    for metric in metrics:
        line = f"{TITLES[metric.name]:<16}"
        if metric.value is not None:
            line += f"{metric.value:8.4f}"
        if metric.low is not None:
            line += f"  [{metric.low:.4f}, {metric.high:.4f}]"
        lines.append(line + (f"  ({metric.note})" if metric.note else ""))
    return lines
