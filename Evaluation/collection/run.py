"""Images in, a table of their scores out, row by row; what was interrupted goes on."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from datasets.rated.sets import RatedImage
from Evaluation.collection import table
from Evaluation.collection.head import head_of, known_rows
from Evaluation.collection.rows import Row, key, not_scored, ordered, printable, row_of, selected
from Evaluation.grepq import GRepQ
from utils.cli import let_output_go, say
from utils.errors import UserError
from utils.files import write_text

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


@dataclass(frozen=True)
class Wanted:
    """What becomes of the rows: a table of all in `output`; printed are those that `selected` takes.

    Without `output` and without a choice all are printed.
    """

    output: Path | None = None
    overwrite: bool = False
    top: int | None = None
    bottom: int | None = None
    below: float | None = None
    sort: str = "input"
    # A page on all images, and a folder of quality maps of those that are chosen.
    report: Path | None = None
    maps: Path | None = None

    @property
    def whole(self) -> bool:
        """Whether no rows are chosen among all."""
        return self.top is None and self.bottom is None and self.below is None

    @property
    def printed(self) -> bool:
        """Whether rows go to standard output."""
        return self.output is None or not self.whole

    @property
    def as_they_come(self) -> bool:
        """Whether rows can be printed as they are done."""
        return self.printed and self.whole and self.sort == "input"

    @property
    def to_files(self) -> bool:
        """Whether there is more to do than to print."""
        return (self.output, self.report, self.maps) != (None, None, None)

    def of(self, rows: Sequence[Row]) -> list[Row]:
        """The rows that are chosen, of all rows in the order of the input."""
        return selected(rows, self.top, self.bottom, self.below, self.sort)


def score_collection(model: GRepQ, images: Sequence[RatedImage], wanted: Wanted) -> int:
    """Score what has no row yet, write or print the table, and tell a summary; returns the exit status.

    Returns:
        0: all images have a score. 1: some have none. 130: interrupted, and what is done is kept.

    Raises:
        UserError: weights cannot be used, the table is of other weights or settings, or cannot be written.
    """
    if wanted.maps is not None:
        prepare_maps(model, wanted.maps)
    head = head_of(model.load())
    known: dict[str, Row] = {}
    if wanted.output is not None and not wanted.overwrite:
        known = known_rows(wanted.output, head)
    images = [dataclasses.replace(image, name=printable(image.name)) for image in images]
    for image in images:
        if (row := known.get(key(image.name))) is not None:  # by another name of the same path
            known[key(image.name)] = dataclasses.replace(row, image=image.name)
    waiting = [image for image in images if not _has_score(image, known)]
    if known:
        kept = len(images) - len(waiting)
        say(f"{wanted.output}: {kept} of {len(images)} images have a score and are kept.")
    began, done, complete = time.monotonic(), 0, True
    with ExitStack() as stack:
        growing = None
        if wanted.output is not None and waiting:
            growing = stack.enter_context(table.Growing(wanted.output, head, known.values()))
            if growing.path != wanted.output:  # which holds what is written over, or all that is in `growing`
                wanted.output.unlink(missing_ok=True)
        if wanted.printed:
            _print(table.CSV_COLUMNS, wanted)
        try:
            for row in _scored(model, waiting):
                known[key(row.image)] = row
                done += row.ok
                if growing is not None:
                    growing.add(row)
                if wanted.as_they_come:
                    _print(table.csv_line(row), wanted)
        except KeyboardInterrupt:
            complete = False
    seconds = time.monotonic() - began
    found = [known.get(key(image.name)) for image in images]
    rows = [row for row in found if row is not None]
    if wanted.output is not None:
        _finish(wanted.output, head, ordered(rows, wanted.sort), known)
    if wanted.printed and not wanted.as_they_come:
        _print("".join(map(table.csv_line, wanted.of(rows))), wanted)
    lines = summary(model, rows, done / seconds if done else None)
    if complete:
        _explain(model, {image.name: image for image in images}, rows, wanted, lines)
    for line in lines:
        (say if wanted.printed else print)(line)
    return _status(rows, len(images), complete, wanted)


def _print(lines: str, wanted: Wanted) -> None:
    """Print rows; where nobody reads them any more, files are written all the same."""
    try:
        print(lines, end="", flush=True)
    except BrokenPipeError:
        if not wanted.to_files:
            raise
        let_output_go()


def _has_score(image: RatedImage, known: Mapping[str, Row]) -> bool:
    row = known.get(key(image.name))
    return row is not None and row.ok


def prepare_maps(model: GRepQ, folder: Path) -> None:
    """Make the folder of maps, before the scores are computed.

    Raises:
        UserError: it cannot be made, or no low-level encoder is in use.
    """
    if not model.encoders.has_low:
        raise UserError("Quality maps are what the low-level encoder sees: use --branch low or both.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{folder}: cannot be made a folder of maps ({error.strerror}).") from None
    if not os.access(folder, os.W_OK):
        raise UserError(f"{folder}: maps cannot be written there.")


def _explain(
    model: GRepQ, images: dict[str, RatedImage], rows: Sequence[Row], wanted: Wanted, lines: Sequence[str]
) -> None:
    """Draw the maps and write the page that are asked for."""
    if wanted.report is None and wanted.maps is None:
        return
    # Only now: matplotlib takes half a second.
    from Evaluation.collection import explain, page

    if wanted.maps is not None:
        chosen = [(row, images[row.image]) for row in wanted.of(rows) if row.ok]
        explain.write_maps(model, chosen, wanted.maps)
        say(f"{wanted.maps}: has {len(chosen)} quality map(s).")
    if wanted.report is not None:
        shown = page.shown(rows)
        chosen = [(row, images[row.image]) for row in shown if row.ok]
        explained = list(explain.explain(model, chosen, page.side_of(shown), "Page"))
        text = page.page("Image quality", (*lines, model.encoders.line()), rows, explained, model.score_name)
        write_text(wanted.report, text, errors="backslashreplace")
        say(f"{wanted.report}: {wanted.report.stat().st_size / 1e6:.1f} MB.")


def _scored(model: GRepQ, images: Sequence[RatedImage]) -> Iterator[Row]:
    rows = model.score_images(images)
    for row in tqdm(rows, total=len(images), desc="Scoring", unit="image", disable=len(images) < 2):
        yield row_of(row)


def _finish(output: Path, head: table.Head, rows: Sequence[Row], known: Mapping[str, Row]) -> None:
    """Write the whole table in its order; rows of other images, of an earlier run, stay at its end."""
    own = {key(row.image) for row in rows}
    others = [row for image, row in known.items() if image not in own]
    if others:
        say(f"{output}: keeps {len(others)} row(s) of other images.")
    try:
        table.write(output, head, [*rows, *others])
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise UserError(
            f"{output}: cannot be put in its order ({reason}); its {len(rows)} rows are kept in "
            f"{table.growing_file(output)}, and the same command goes on."
        ) from None
    if table.growing_file(output) != output:
        table.growing_file(output).unlink(missing_ok=True)


def summary(model: GRepQ, rows: Sequence[Row], pace: float | None) -> list[str]:
    """Count, failed, mean, quantiles and images a second, in words."""
    scores = [row.score for row in rows if row.ok]
    return summary_of(model, scores, len(rows) - len(scores), pace)


def summary_of(model: GRepQ, scores: Sequence[float], failed: int, pace: float | None) -> list[str]:
    """As `summary`, of the scores alone and of how many images have none."""
    speed = "" if pace is None else f", {pace:.1f} images a second"
    lines = [f"{len(scores) + failed} images: {len(scores)} scored, {failed} failed{speed}."]
    if len(scores):
        values = np.quantile(scores, QUANTILES)
        shown = [f"{value:.4f} ({share:.0%})" for share, value in zip(QUANTILES, values, strict=True)]
        lines.append(
            f"{model.name}, {model.score_name} (higher is better): mean {np.mean(scores):.4f}, quantiles "
            f"{', '.join(shown)}."
        )
    return lines


def _status(rows: Sequence[Row], count: int, complete: bool, wanted: Wanted) -> int:
    failed = [row for row in rows if not row.ok]
    for sentence in not_scored(failed):
        say(sentence)
    if not complete:
        again = " without --overwrite" if wanted.overwrite else ""
        kept = f"are in {wanted.output}; the same command{again} goes on" if wanted.output else "are printed"
        say(f"Interrupted: {len(rows)} of {count} rows {kept}.")
        return 130
    return 1 if failed else 0
