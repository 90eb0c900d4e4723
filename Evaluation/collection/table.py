"""The table of a collection's scores: as CSV, JSON lines or Parquet, grown row by row and gone on with."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from Evaluation.collection.rows import Row, printable
from utils.errors import UserError
from utils.files import atomic_path, write_text

SUFFIXES = (".csv", ".jsonl", ".parquet")
# Beside a Parquet file, which cannot grow by rows, until it is written: its rows as JSON lines.
ROWS_SUFFIX = ".rows.jsonl"
Head = Mapping[str, Any]

_NUMBERS = {"width": int, "height": int, "q_low": float, "q_high": float, "q": float}
COLUMNS = tuple(field.name for field in dataclasses.fields(Row))
CSV_COLUMNS = ",".join(COLUMNS) + "\n"


def check_output(output: Path) -> None:
    """Raise `UserError` where a table could not be written, before the scores are computed."""
    if output.suffix.lower() not in SUFFIXES:
        raise UserError(f"{output}: a table is written as {', '.join(SUFFIXES)}; end the name so.")
    if output.suffix.lower() == ".parquet":
        _pyarrow(output)
    _check_place(output)


def check_page(path: Path) -> None:
    """Raise `UserError` where a page could not be written, before the scores are computed."""
    if path.suffix.lower() not in (".html", ".htm"):
        raise UserError(f"{path}: a page is written as .html; end the name so.")
    _check_place(path)


def check_not_named(output: Path | None, images: Sequence[Path]) -> None:
    """Raise `UserError` where a table would be written over one of the images."""
    if output is None or not output.exists():
        return
    # An image of an archive is no path.
    same = (one for one in images if isinstance(one, Path) and one.name == output.name and one.exists())
    if any(one.samefile(output) for one in same):
        raise UserError(f"{output}: is one of the images; name another table with --output.")


def _check_place(output: Path) -> None:
    if not output.parent.is_dir():
        raise UserError(f"{output}: there is no folder {output.parent}.")
    if output.is_dir() or not os.access(output.parent, os.W_OK):
        raise UserError(f"{output}: cannot be written.")


def csv_head(head: Head) -> str:
    """The first lines of a CSV: what the scores are, as a comment, and the names of the columns."""
    return f"# {json.dumps(head)}\n{CSV_COLUMNS}"


def csv_line(row: Row) -> str:
    """A row as CSV."""
    text = io.StringIO()
    # Only what the end of a line is made of is quoted in a name; a bare "\r" would end one for readers too.
    csv.writer(text, lineterminator="\r\n").writerow(dataclasses.astuple(row))
    return text.getvalue().removesuffix("\r\n") + "\n"


def write(output: Path, head: Head, rows: Iterable[Row]) -> None:
    """Write a whole table atomically, in the format of its ending."""
    if output.suffix.lower() == ".parquet":
        _write_parquet(output, head, rows)
        return
    begin, line = _TEXTS[output.suffix.lower()]
    write_text(output, begin(head) + "".join(map(line, rows)))


def read(path: Path) -> tuple[dict[str, Any], list[Row]]:
    """Head and rows of a table; a last row that was cut short is left out.

    Raises:
        UserError: it is no table of this project.
    """
    suffix, content = path.suffix.lower(), path.read_bytes()
    try:
        if suffix == ".parquet":
            return _read_parquet(path)
        text = content.decode("utf-8", "surrogateescape")
        head, rows = _read_csv(text) if suffix == ".csv" else _read_lines(text)
        if not isinstance(head, dict):
            raise TypeError(head)
        return head, rows
    # OSError is pyarrow's, RecursionError of JSON whose brackets never close.
    except (ValueError, TypeError, KeyError, OSError, RecursionError, csv.Error):
        raise UserError(
            f"{path}: is no table of scores to go on with; name another, or write over it with --overwrite."
        ) from None


def growing_file(output: Path) -> Path:
    """Where the rows of a table are written one by one: the table itself where it is text."""
    return output if output.suffix.lower() in _TEXTS else output.with_name(output.name + ROWS_SUFFIX)


class Growing:
    """A table of text to which a row is added as it is done, so that nothing ends with the process."""

    def __init__(self, output: Path, head: Head, rows: Iterable[Row]) -> None:
        """Begin with what is known."""
        self.path = growing_file(output)
        self.line = _TEXTS[self.path.suffix.lower()][1]
        write(self.path, head, rows)
        # Without a buffer: what is not on the disk raises an error now, and is not lost later.
        self.file = self.path.open("ab", buffering=0)

    def add(self, row: Row) -> None:
        """Write a row.

        Raises:
            UserError: the disk is full or gone.
        """
        line = self.line(row).encode("utf-8", "surrogateescape")
        try:
            written = self.file.write(line)
            if written != len(line):
                self.file.write(line[written:])  # which says why
        except OSError as error:
            raise UserError(
                f"{self.path}: cannot be written any more ({error.strerror}); the rows that it has are kept, "
                "and the same command goes on."
            ) from None

    def __enter__(self) -> Growing:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.file.close()


def _row(cells: Mapping[str, Any]) -> Row:
    """A row of a file; ValueError, TypeError or KeyError where it is none."""
    values: dict[str, Any] = {name: cells[name] for name in COLUMNS}
    for name, kind in _NUMBERS.items():
        values[name] = None if values[name] in (None, "") else kind(values[name])
    row = Row(**values)
    texts = (row.image, row.status, row.reason)
    numbers = [value for value in (row.q_low, row.q_high, row.q) if value is not None]
    if row.status not in ("ok", "failed") or not all(isinstance(text, str) for text in texts):
        raise ValueError(texts)
    if not all(map(math.isfinite, numbers)) or bool(numbers) != row.ok:
        raise ValueError(numbers)
    return row


def _read_csv(text: str) -> tuple[dict[str, Any], list[Row]]:
    first, _, rest = text.partition("\n")
    head = json.loads(first.removeprefix("#"))
    names, *lines = csv.reader(io.StringIO(rest, newline=""))
    if tuple(names) != COLUMNS:
        raise ValueError(names)
    if lines and (not text.endswith("\n") or len(lines[-1]) != len(COLUMNS)):
        lines.pop()
    return head, [_row(dict(zip(COLUMNS, cells, strict=True))) for cells in lines]


def _read_lines(text: str) -> tuple[dict[str, Any], list[Row]]:
    first, *lines = text[: text.rfind("\n") + 1].splitlines()
    return json.loads(first)["head"], [_row(json.loads(line)) for line in lines]


def _write_parquet(path: Path, head: Head, rows: Iterable[Row]) -> None:
    pa = _pyarrow(path)
    kinds = {int: pa.int64(), float: pa.float64()}
    fields = [pa.field(name, kinds.get(_NUMBERS.get(name, str), pa.string())) for name in COLUMNS]
    cells = [{**dataclasses.asdict(row), "image": printable(row.image)} for row in rows]
    schema = pa.schema(fields, {key: json.dumps(value) for key, value in head.items()})
    with atomic_path(path) as part:
        pa.parquet.write_table(pa.Table.from_pylist(cells, schema), part)


def _read_parquet(path: Path) -> tuple[dict[str, Any], list[Row]]:
    pa = _pyarrow(path)
    table = pa.parquet.read_table(path)
    known = (table.schema.metadata or {}).items()
    head = {key.decode(): json.loads(value) for key, value in known if not key.startswith(b"ARROW:")}
    return head, [_row(cells) for cells in table.to_pylist()]


def _pyarrow(path: Path) -> Any:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise UserError(f"{path}: Parquet needs pyarrow: 'pip install pyarrow', or end it .csv.") from None
    return pyarrow


def _json_line(row: Row) -> str:
    return json.dumps(dataclasses.asdict(row)) + "\n"


_TEXTS = {
    ".csv": (csv_head, csv_line),
    ".jsonl": (lambda head: json.dumps({"head": head}) + "\n", _json_line),
}
