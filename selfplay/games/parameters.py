"""Parameters of a game, as in `connect4:rows=7,columns=8`: text to checked values, and back.

Who writes a game with parameters writes a **family**: a function that takes a `msgspec.Struct` and returns the class of
the game with these parameters. The struct's fields are the parameters: their types, defaults and ranges (`Meta`) are
checked here. Parameters that have their defaults are not part of a game's name, so that a game has one name only.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeVar, get_args, get_type_hints

import msgspec
from msgspec import Meta

from selfplay.errors import UsageError, nearest

Family = Callable[[Any], type]
_Struct = TypeVar("_Struct", bound=msgspec.Struct)


class Parameter(NamedTuple):
    """What people may want to know of a parameter."""

    name: str
    default: Any
    about: str


def struct_of(family: Family) -> type[msgspec.Struct] | None:
    """The struct that a family's one argument is annotated with; None where this is no family."""
    try:
        hints = get_type_hints(family)
    except (NameError, TypeError):
        return None
    kinds = [kind for name, kind in hints.items() if name != "return"]
    is_struct = len(kinds) == 1 and isinstance(kinds[0], type) and issubclass(kinds[0], msgspec.Struct)
    return kinds[0] if is_struct else None


def parse(kind: type[_Struct], text: str, *, where: str) -> _Struct:
    """The parameters in `rows=7,columns=8`; what is not named has its default.

    Raises `UsageError` for an unknown name (the nearest is offered), and for a value of the wrong type or range.
    """
    known = [parameter.name for parameter in parameters(kind)]
    values: dict[str, Any] = {}
    for assignment in filter(None, text.split(",")):
        name, equals, value = (part.strip() for part in assignment.partition("="))
        if not (equals and name and value):
            raise UsageError(f'{where}: "{assignment}": expected parameter=value; parameters are {", ".join(known)}')
        if name not in known:
            raise UsageError(
                f'{where}: unknown parameter "{name}"{nearest(name, known)}; known are {", ".join(known) or "none"}'
            )
        if name in values:
            raise UsageError(f'{where}: "{name}" is given twice')
        values[name] = _value(value)
    try:
        return msgspec.convert(values, kind)
    except msgspec.ValidationError as error:
        reason, _, place = str(error).partition(" - at ")
        name = place.strip("`").removeprefix("$.")
        found = f" {name}={values[name]}" if name in values else ""
        raise UsageError(f"{where}: found{found}, {reason[:1].lower()}{reason[1:]}") from None


def canonical(values: msgspec.Struct) -> str:
    """The shortest text that `parse` makes these values of: those that are not defaults, in order of declaration."""
    told = (
        (parameter.name, getattr(values, parameter.name))
        for parameter in parameters(type(values))
        if getattr(values, parameter.name) != parameter.default
    )
    return ",".join(f"{name}={str(value).lower() if isinstance(value, bool) else value}" for name, value in told)


def parameters(kind: type[msgspec.Struct]) -> Iterator[Parameter]:
    """The parameters that a struct declares, in order."""
    hints = get_type_hints(kind, include_extras=True)
    for field in msgspec.structs.fields(kind):
        meta = next((part for part in get_args(hints[field.name]) if isinstance(part, Meta)), None)
        yield Parameter(field.name, field.default, (meta.description or "") if meta else "")


def _value(text: str) -> Any:
    """A number or true/false as TOML has them; other text stays text."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):
        return text
