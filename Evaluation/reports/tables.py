"""Tables of plain rows as CSV, texts written whole, and folders of results that are not written over."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from utils.errors import UserError
from utils.files import atomic_path


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


def check_folder(folder: Path, kind: str, settings: Mapping[str, Any]) -> None:
    """Raise `UserError` where `folder` holds KIND.json of other settings, or cannot be a folder."""
    path = folder / f"{kind}.json"
    if not path.exists():
        if folder.exists() and not folder.is_dir():
            raise UserError(f"{folder}: is a file; name a folder with --output.")
        return
    try:
        known = json.loads(path.read_text(encoding="utf-8"))["settings"]
        differing = [key for key in {**known, **settings} if known.get(key) != settings.get(key)]
    except (OSError, ValueError, TypeError, KeyError):
        raise UserError(f"{path}: is no result of this script; name another folder with --output.") from None
    if differing:
        raise UserError(
            f"{folder}: holds the result of other settings ({', '.join(differing)}); name another folder "
            "with --output, or remove it."
        )
