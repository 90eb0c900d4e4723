"""Tables of plain rows as CSV, and texts written whole."""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from atomic_files import atomic_path


def csv_text(kind: type, rows: Sequence[Any]) -> str:
    """Rows of the dataclass `kind` as CSV with a header of its fields; None is an empty cell."""
    columns = [field.name for field in dataclasses.fields(kind)]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([getattr(row, column) for column in columns] for row in rows)
    return text.getvalue()


def write_text(path: Path, text: str) -> None:
    """Write a text atomically; names of files that are not UTF-8 keep their bytes."""
    with atomic_path(path) as part:
        part.write_text(text, encoding="utf-8", errors="surrogateescape", newline="")
