"""A table of scores as a folder of Parquet shards: each whole or not there, and each row in one of them."""

from __future__ import annotations

import dataclasses
import time
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType

from Evaluation.collection import table
from Evaluation.collection.head import known_rows
from Evaluation.collection.ray_images import digest
from Evaluation.collection.rows import Row, not_scored, printable
from utils.errors import UserError

# A shard ends with so many rows, or so many seconds after the last one: what the end of the process costs.
SHARD_ROWS, SHARD_SECONDS = 10_000, 60.0
SHARDS = "scores-*.parquet"


def check_folder(output: Path | None) -> Path:
    """The folder of shards, made where it is not there.

    Raises:
        UserError: none is named, or it cannot be one.
    """
    if output is None or output.is_file() or output.suffix.lower() in table.SUFFIXES:
        raise UserError("--engine ray writes a folder of Parquet shards: name a folder with --output DIR.")
    if not output.parent.is_dir():
        raise UserError(f"{output}: there is no folder {output.parent}.")
    output.mkdir(exist_ok=True)
    table.check_output(output / "scores.parquet")
    for part in output.glob(f"{SHARDS}.*.part"):  # of a process that was killed
        part.unlink()
    return output


class Shards:
    """The rows of a folder; in memory are their scores, digests of their names, and rows not yet written."""

    def __init__(self, folder: Path, head: table.Head, overwrite: bool) -> None:
        """Read what is there, or remove it.

        Raises:
            UserError: it was made by other weights or settings.
        """
        self.folder, self.head = folder, head
        self.done: set[bytes] = set()  # digests of images with a score
        self.scores = array("d")
        # Images without one; with the shard of their row where it is of an earlier run.
        self.failed: dict[str, Path | None] = {}
        self.new_failed: list[Row] = []
        self.added = self.repeated = 0
        self.rows: list[Row] = []
        self.written = time.monotonic()
        for shard in sorted(folder.glob(SHARDS)):
            if overwrite:
                shard.unlink()
                continue
            for row in known_rows(shard, head).values():
                self._count(row, shard)

    def add(self, rows: Sequence[Row]) -> None:
        """Take rows, and write when they are many or old.

        Raises:
            UserError: the disk is full or gone.
        """
        for one in rows:
            row = dataclasses.replace(one, image=printable(one.image))
            earlier = self.failed.get(row.image, self.folder)
            if earlier is None or digest(row.image) in self.done:
                self.repeated += 1
                continue
            if earlier != self.folder:
                self._take_out(row.image, earlier)
            self._count(row, None)
            self.rows.append(row)
            self.added += 1
        if len(self.rows) >= SHARD_ROWS or time.monotonic() - self.written > SHARD_SECONDS:
            self.write()

    def write(self) -> None:
        """Make a shard of the rows that are in none."""
        if self.rows:
            table.write(self.folder / SHARDS.replace("*", f"{time.time_ns():020}"), self.head, self.rows)
        self.rows, self.written = [], time.monotonic()

    def _count(self, row: Row, shard: Path | None) -> None:
        self.failed.pop(row.image, None)
        if row.ok:
            self.done.add(digest(row.image))
            self.scores.append(row.score)
        else:
            self.failed[row.image] = shard
            self.new_failed += [row] if shard is None else []

    def _take_out(self, image: str, shard: Path) -> None:
        """Take a row without a score out of an earlier shard, because it is made anew."""
        rows = [row for row in table.read(shard)[1] if row.image != image]
        if rows:
            table.write(shard, self.head, rows)
        else:
            shard.unlink()

    def sentences(self) -> Iterator[str]:
        """What there is to know of the new rows."""
        if self.repeated:
            yield f"Named more than once, and counted once: {self.repeated} image(s)."
        yield from not_scored(self.new_failed)

    def __enter__(self) -> Shards:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.write()
