"""Rows of dataclasses as CSV and JSON, and folders of results that are not written over."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from configs import VERSION
from Evaluation.zeroshot import Status
from utils.errors import UserError
from utils.files import write_text


def as_cells(row: Any) -> dict[str, Any]:
    """The fields of a dataclass by name as JSON holds them; a `Status` is its text."""
    cells = {field.name: getattr(row, field.name) for field in dataclasses.fields(row)}
    return {name: str(value) if isinstance(value, Status) else value for name, value in cells.items()}


def csv_text(kind: type, rows: Sequence[Any]) -> str:
    """Rows of the dataclass `kind` as CSV with a header of its fields; None is an empty cell."""
    text = io.StringIO()
    columns = [field.name for field in dataclasses.fields(kind)]
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(as_cells(row) for row in rows)
    return text.getvalue()


def write_table(path: Path, kind: type, rows: Sequence[Any], head: Mapping[str, Any]) -> None:
    """Write rows as CSV, or as JSON, `head` before them as `images`, where the name ends in .json.

    A full disk does not cost them: what cannot be written is printed.
    """
    text = csv_text(kind, rows)
    table = text
    if path.suffix.lower() == ".json":
        table = json.dumps({**head, "images": [as_cells(row) for row in rows]}, indent=1) + "\n"
    try:
        write_text(path, table)
    except OSError:
        print(text)
        raise


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
    except (ValueError, TypeError, KeyError, RecursionError):
        raise UserError(f"{path}: is no result of this script; name another folder with --output.") from None
    if differing:
        raise UserError(
            f"{folder}: holds the result of other settings ({', '.join(differing)}); name another folder "
            "with --output, or remove it."
        )


def write_result(
    folder: Path, kind: str, row_kind: type, rows: Sequence[Any], protocol: str,
    settings: Mapping[str, Any], **more: Any,
) -> None:  # fmt: skip
    """Write KIND.csv, then KIND.json, which is what the next run takes for the folder's result."""
    head = {"kind": kind, "version": VERSION, "protocol": protocol, "settings": settings}
    content = {**head, "rows": [as_cells(row) for row in rows], **more}
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / f"{kind}.csv", csv_text(row_kind, rows))
    write_text(folder / f"{kind}.json", json.dumps(content, allow_nan=False) + "\n")
