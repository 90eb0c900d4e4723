"""Fields of a configuration from text and from files; `configs.py` holds the configurations."""

from __future__ import annotations

import dataclasses
import difflib
import typing
from collections.abc import Sequence
from typing import Any, Literal, TypeVar

from configs import ConfigError

Config = TypeVar("Config")


def override(config: Config, assignments: Sequence[str]) -> Config:
    """A copy of `config` with fields changed by "field=value" strings.

    Tuples are written with commas ("a,b"; "" is the empty one). Raises `ConfigError` on an
    unknown field, naming the nearest, and on a value of the wrong type, naming the expected.
    """
    kinds = typing.get_type_hints(type(config))
    changes: dict[str, Any] = {}
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        name = name.strip()
        if not equals:
            raise ConfigError(f"'{assignment}' is not of the form field=value.")
        if name not in kinds:
            near = difflib.get_close_matches(name, kinds, n=1, cutoff=0.4)
            hint = f"did you mean '{near[0]}'?" if near else f"fields: {', '.join(kinds)}."
            raise ConfigError(f"There is no field '{name}': {hint}")
        try:
            changes[name] = _parse(text.strip(), kinds[name])
        except ValueError:
            raise ConfigError(f"Field '{name}' takes {_describe(kinds[name])}, not '{text}'.") from None
    return dataclasses.replace(config, **changes)  # type: ignore[type-var]


def from_saved(config: Config, saved: dict[str, Any]) -> Config:
    """A configuration like `config` with the fields of `saved`, as `dataclasses.asdict` and JSON leave them.

    Raises `ConfigError` where the fields are not those of this version.
    """
    names = {field.name for field in dataclasses.fields(config)}  # type: ignore[arg-type]
    if set(saved) != names:
        odd = ", ".join(sorted(set(saved) ^ names))
        raise ConfigError(f"The saved configuration is of another version: it differs in the fields {odd}.")
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in saved.items()}
    return dataclasses.replace(config, **values)  # type: ignore[type-var]


def _parse(text: str, kind: Any) -> Any:
    """`text` as a value of the annotation `kind`; raises ValueError where it is none."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is Literal:
        if text not in arguments:
            raise ValueError(text)
        return text
    if origin is tuple:
        return tuple(_parse(part.strip(), arguments[0]) for part in text.split(",") if part.strip())
    return kind(text)


def _describe(kind: Any) -> str:
    """The annotation `kind` in words for an error message."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is Literal:
        return "one of " + ", ".join(arguments)
    if origin is tuple:
        return f"{_describe(arguments[0])} values separated by commas"
    return {int: "a whole number", float: "a number", str: "a text"}[kind]
