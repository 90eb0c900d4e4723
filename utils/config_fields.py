"""Fields of a configuration from text and from files; `configs.py` holds the configurations."""

from __future__ import annotations

import csv
import dataclasses
import difflib
import typing
from collections.abc import Sequence
from typing import Any, Literal, TypeVar

from utils.errors import UserError

Config = TypeVar("Config")


def override(config: Config, assignments: Sequence[str]) -> Config:
    """A copy of `config` with fields changed by "field=value" strings.

    Booleans are true or false; tuples are written with commas ("a,b"; "" is the empty one), a text that
    holds a comma in double quotes ('"A good, sharp photo.","A bad photo."').

    Raises:
        UserError: an unknown field, naming the nearest, or a value of the wrong type, naming the expected.
    """
    kinds = typing.get_type_hints(type(config))
    changes: dict[str, Any] = {}
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        name = name.strip()
        if not equals:
            raise UserError(f"'{assignment}' is not of the form field=value.")
        if name not in kinds:
            raise UserError(f"There is no field '{name}': {nearest(name, kinds, 'fields')}")
        try:
            changes[name] = parse_value(text.strip(), kinds[name])
        except ValueError:
            raise UserError(f"Field '{name}' takes {describe(kinds[name])}, not '{text}'.") from None
    return dataclasses.replace(config, **changes)  # type: ignore[type-var]


def from_saved(config: Config, saved: dict[str, Any]) -> Config:
    """A configuration like `config` with the fields of `saved`, as `dataclasses.asdict` and JSON leave them.

    Raises:
        UserError: the fields are not those of this version.
    """
    names = {field.name for field in dataclasses.fields(config)}  # type: ignore[arg-type]
    if set(saved) != names:
        odd = ", ".join(sorted(set(saved) ^ names))
        raise UserError(f"The saved configuration is of another version: it differs in the fields {odd}.")
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in saved.items()}
    return dataclasses.replace(config, **values)  # type: ignore[type-var]


def nearest(name: str, known: Sequence[str] | dict[str, Any], what: str) -> str:
    """A hint for a name that is not known: the nearest that is, else all of them."""
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
    return f"did you mean '{near[0]}'?" if near else f"{what}: {', '.join(known)}."


def parse_value(text: str, kind: Any) -> Any:
    """`text` as a value of the annotation `kind`; raises ValueError where it is none."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is Literal:
        if text not in arguments:
            raise ValueError(text)
        return text
    if origin is tuple:
        try:
            parts = next(csv.reader([text], skipinitialspace=True, strict=True), [])
        except csv.Error as error:
            raise ValueError(text) from error
        return tuple(parse_value(part.strip(), arguments[0]) for part in parts if part.strip())
    if kind is bool:
        if text.lower() not in ("true", "false"):
            raise ValueError(text)
        return text.lower() == "true"
    return kind(text)


def describe(kind: Any) -> str:
    """The annotation `kind` in words for an error message."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is Literal:
        return "one of " + ", ".join(arguments)
    if origin is tuple:
        return f"{describe(arguments[0])} values separated by commas"
    return {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}[kind]
