"""Score files as their authors publish them (.csv, .xlsx, .txt, .mat) as rows, or one clear sentence.

The files come from outside: nothing in them is executed or unpickled.
"""

from __future__ import annotations

import csv
import math
import warnings
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from utils.errors import UserError

# What scipy raises on damaged MATLAB files, besides its own MatReadError.
_MATLAB_ERRORS = (
    OSError, ValueError, TypeError, KeyError, IndexError, NotImplementedError, MemoryError, zlib.error,
)  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One line of a score file: its cells by the column's name in lower case, and where it stands."""

    file: Path
    where: str
    cells: Mapping[str, str]
    # Spreadsheets that part cells by semicolons or tabs may write 3,5 for 3.5.
    decimal_comma: bool = False

    def text(self, column: str) -> str:
        """The cell, which must not be empty."""
        if not self.cells[column]:
            raise UserError(f"{self.file} {self.where}: the column '{column}' is empty.")
        return self.cells[column]

    def number(self, column: str) -> float:
        """The cell as a finite number."""
        try:
            text = self.cells[column]
            value = float(text.replace(",", ".") if self.decimal_comma else text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise UserError(
                f"{self.file} {self.where}: {column} '{self.cells[column]}' is not a finite number."
            )
        return value


def read_table(
    path: Path, columns: Sequence[str], optional: Sequence[str] = (), sheet: str = ""
) -> list[Row]:
    """The rows under a header that has `columns` (lower case), in any order among others.

    Args:
        path: a .csv in UTF-8 whose first line is the header, or an .xlsx, whose header is the first row
            that has all the columns: some workbooks begin with empty rows.
        columns: that must be there.
        optional: columns that may be there, like the others not twice.
        sheet: of the workbook; where it has no such sheet, all are looked through.

    Raises:
        UserError: the file cannot be read, or a column is missing.
    """
    if path.suffix.lower() == ".xlsx":
        return _read_workbook(path, columns, sheet)
    if path.suffix.lower() == ".xls":
        raise UserError(f"{path}: is in the old Excel format; save it beside itself as .xlsx or .csv.")
    return _read_csv(path, columns, optional)


def read_header(path: Path) -> list[str]:
    """Names of the columns, lower case, of a table whose first row is its header.

    Raises:
        UserError: the file cannot be read.
    """
    if path.suffix.lower() == ".xlsx":
        return list(read_table(path, ())[0].cells)
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            first = file.readline()
        return _column_names(next(csv.reader([first], delimiter=max(",;\t", key=first.count)), []))
    except (OSError, UnicodeError, csv.Error) as error:
        raise UserError(f"{path}: is not a readable CSV file in UTF-8 ({_reason(error)}).") from None


def read_lines(path: Path, columns: Sequence[str], separator: str | None = None) -> list[Row]:
    """The lines of a text file without a header; `separator` None is any white space.

    Raises:
        UserError: the file cannot be read, or a line has not as many cells as there are columns.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeError) as error:
        raise UserError(f"{path}: is not a readable text file in UTF-8 ({_reason(error)}).") from None
    rows = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        cells = [cell.strip() for cell in line.split(separator)]
        if len(cells) != len(columns):
            raise UserError(
                f"{path} line {number}: has {len(cells)} cells, expected these: {', '.join(columns)}."
            )
        rows.append(Row(path, f"line {number}", dict(zip(columns, cells, strict=True))))
    return rows


def matlab_variables(path: Path) -> list[str]:
    """Names of the variables of a MATLAB file."""
    return [name for name in _matlab(path) if not name.startswith("__")]


def matlab_texts(path: Path, variable: str) -> list[str]:
    """A cell array of character arrays, of whatever shape, as a list."""
    return [str(np.asarray(cell).squeeze()).strip() for cell in _matlab_variable(path, variable)]


def matlab_numbers(path: Path, variable: str) -> list[float]:
    """A row or column of finite numbers."""
    values = _matlab_variable(path, variable)
    try:
        numbers = [float(value) for value in values]
    except (TypeError, ValueError):
        raise UserError(f"{path}: '{variable}' does not hold numbers.") from None
    for place, number in enumerate(numbers, 1):
        if not math.isfinite(number):
            raise UserError(f"{path}: entry {place} of '{variable}' is {number}, not a finite number.")
    return numbers


def _read_csv(path: Path, columns: Sequence[str], optional: Sequence[str]) -> list[Row]:
    rows = []
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            first = file.readline()
            separator = max(",;\t", key=first.count)  # a comma where there is none of them
            file.seek(0)
            reader = csv.reader(file, strict=True, delimiter=separator)
            header = _column_names(next(reader, []))
            for column in (*columns, *optional):
                if header.count(column) > 1 or (column in columns and column not in header):
                    raise UserError(
                        f"{path} line 1: expected one column '{column}', found {', '.join(header)}."
                    )
            for cells in reader:
                where = f"line {reader.line_num}"
                if not any(cell.strip() for cell in cells):
                    continue
                if len(cells) != len(header):
                    raise UserError(f"{path} {where}: has {len(cells)} cells, the header has {len(header)}.")
                rows.append(
                    Row(path, where, dict(zip(header, map(str.strip, cells), strict=True)), separator != ",")
                )
    except (OSError, UnicodeError, csv.Error) as error:
        raise UserError(f"{path}: is not a readable CSV file in UTF-8 ({_reason(error)}).") from None
    return rows


def _read_workbook(path: Path, columns: Sequence[str], sheet: str) -> list[Row]:
    try:
        import openpyxl
    except ImportError:
        raise UserError(f"{path}: reading .xlsx files needs one more package: pip install openpyxl") from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of styles and filters that no score depends on
            book = openpyxl.load_workbook(path, read_only=True, data_only=True)
        try:
            for page in [page for page in book.worksheets if page.title == sheet] or book.worksheets:
                page.reset_dimensions()  # what a file says of its own extent may be too small
                rows = _rows_under_header(path, page.title, page.iter_rows(values_only=True), columns)
                if rows is not None:
                    return rows
            found = ", ".join(f"'{name}'" for name in book.sheetnames)
        finally:
            book.close()
    # openpyxl raises nearly everything on a broken file (BadZipFile, KeyError, ParseError, TypeError ...).
    except Exception as error:
        raise UserError(f"{path}: is not a readable .xlsx file ({_reason(error)}).") from None
    wanted = ", ".join(f"'{column}'" for column in columns)
    raise UserError(f"{path}: no row has the columns {wanted}; looked in its sheets {found}.")


def _rows_under_header(
    path: Path, sheet: str, lines: Iterable[Sequence[Any]], columns: Sequence[str]
) -> list[Row] | None:
    """The rows that have something in one of `columns`; None where no row is a header."""
    header: list[str] = []
    rows = []
    for number, values in enumerate(lines, 1):
        cells = ["" if value is None else str(value).strip() for value in values]
        if not header:
            names = _column_names(cells)
            header = names if set(columns) <= set(names) else []
            continue
        cells += [""] * (len(header) - len(cells))
        row = dict(zip(header, cells, strict=False))
        if any(row[column] for column in columns):
            rows.append(Row(path, f"row {number} of sheet '{sheet}'", row))
    return rows if header else None


def _column_names(cells: Iterable[str]) -> list[str]:
    """In lower case, with single blanks: published headers have doubled ones."""
    return [" ".join(cell.lower().split()) for cell in cells]


def _matlab_variable(path: Path, variable: str) -> np.ndarray:
    content = _matlab(path)
    if variable not in content:
        raise UserError(f"{path}: holds no variable '{variable}'.")
    return np.asarray(content[variable]).ravel()


def _matlab(path: Path) -> dict[str, Any]:
    import scipy.io  # only a few sets are published as MATLAB files

    try:
        return scipy.io.loadmat(path)
    except (*_MATLAB_ERRORS, scipy.io.matlab.MatReadError) as error:
        raise UserError(f"{path}: is not a readable MATLAB file ({_reason(error)}).") from None


def _reason(error: Exception) -> str:
    text = getattr(error, "strerror", None) or " ".join(str(error).split()).rstrip(".")
    return text or type(error).__name__
