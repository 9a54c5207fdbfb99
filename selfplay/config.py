"""Settings as files, tables and words: presets, overrides, TOML; checked, compared, explained.

What settings there are stands in `settings.py`. Knows nothing of games, processes or folders.
"""

from __future__ import annotations

import tomllib
from importlib import resources
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta

from selfplay.errors import UsageError, nearest
from selfplay.files import read_file
from selfplay.settings import Group, Settings

MOST_BYTES = 1 << 20  # of a settings file


CHANGEABLE = ("worker", "evaluation")  # groups that may change between two starts of a run
Tree = dict[str, Any]  # settings as nested dictionaries, group → field → value
# What runs and models were made with that are older than a setting, where that is not today's default.
OLDER: Tree = {"search": {"win_in_one": False, "solver": False}, "selfplay": {"precision": "float32"}}


def from_tree(tree: Tree, *, where: str) -> Settings:
    """Checked settings from nested dictionaries; missing fields take their defaults.

    Raises `UsageError` for an unknown group or field (the nearest is offered), for a value out of range and for values
    that do not go together.
    """
    _refuse_unknown_names(tree, where)
    try:
        settings = msgspec.convert(tree, Settings)
        msgspec.json.encode(settings)  # proves that every text is one
        return settings
    except msgspec.ValidationError as error:
        raise UsageError(f"{where}: {_explain(str(error), tree)}") from None
    except UnicodeEncodeError as error:  # from a command line that is not UTF-8
        raise UsageError(f"{where}: {error.object!r} is not text") from None


def from_stored(tree: Tree, *, where: str) -> Settings:
    """The settings that a run or model was made with, which may be older than some of them; raises as `from_tree`."""
    return from_tree(merged(OLDER, tree), where=where)


def settings_of_run(path: Path) -> Settings:
    """A run's settings from its file; raises `UsageError` where that cannot be used."""
    return from_stored(read_toml(path), where=str(path))


def to_tree(settings: Settings) -> Tree:
    """The settings as nested dictionaries."""
    tree = msgspec.to_builtins(settings)
    assert isinstance(tree, dict)
    return tree


def merged(base: Tree, *overlays: Tree) -> Tree:
    """Settings where later overlays win, field by field."""
    result = {group: dict(fields) for group, fields in base.items()}
    for overlay in overlays:
        for group, fields in overlay.items():
            if not isinstance(fields, dict):
                raise UsageError(f'"{group}" must be a table of settings, found {fields!r}')
            result.setdefault(group, {}).update(fields)
    return result


def parse_assignments(assignments: tuple[str, ...]) -> Tree:
    """`("search.simulations=64", …)` as nested dictionaries; values are TOML, bare words are text."""
    tree: Tree = {}
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        group, dot, field = name.strip().partition(".")
        if not (equals and dot and field):
            raise UsageError(f'"{assignment}": expected group.field=value, for example search.simulations=64')
        tree.setdefault(group, {})[field] = _parse_value(text.strip())
    return tree


def read_toml(path: Path) -> Tree:
    """A settings file as nested dictionaries; raises `UsageError` where it is missing or not TOML."""
    content = read_file(path, what="settings file", error=UsageError, most_bytes=MOST_BYTES)
    try:
        return tomllib.loads(content.decode())
    except (ValueError, RecursionError) as error:  # what is not TOML, not text, no date, or too deep
        raise UsageError(f"{path}: not a TOML file: {error}") from None


def to_toml(settings: Settings, *, heading: str) -> str:
    """A TOML file with every field, each under a comment that says what it is."""
    import tomlkit  # only who writes settings needs it; workers stay small

    document = tomlkit.document()
    for line in heading.splitlines():
        document.add(tomlkit.comment(line))
    for group, fields in to_tree(settings).items():
        table = tomlkit.table()
        for field, value in fields.items():
            table.add(tomlkit.comment(describe(group, field)))
            table.add(field, value)
        document.add(tomlkit.nl())
        document.add(group, table)
    return tomlkit.dumps(document)


def presets() -> list[str]:
    """Names of the presets that come along."""
    folder = resources.files("selfplay") / "presets"
    return sorted(item.name.removesuffix(".toml") for item in folder.iterdir() if item.name.endswith(".toml"))


def preset(name: str) -> Tree:
    """A preset's settings; raises `UsageError` for an unknown name."""
    if name not in presets():
        raise UsageError(f'unknown preset "{name}"{nearest(name, presets())}; known are {", ".join(presets())}')
    return tomllib.loads((resources.files("selfplay") / "presets" / f"{name}.toml").read_text("utf-8"))


def differences(old: Settings, new: Settings) -> list[str]:
    """What a run's identity would change from `old` to `new`, one line each; settings that may change do not count."""
    before, after = to_tree(old), to_tree(new)
    return [
        f"{group}.{field}: the run has {before[group][field]!r}, asked for {value!r}"
        for group, fields in after.items()
        if group not in CHANGEABLE
        for field, value in fields.items()
        if before[group][field] != value
    ]


def describe(group: str, field: str) -> str:
    """What a setting means, with its unit and range."""
    annotation = get_type_hints(_group_type(group), include_extras=True)[field]
    meta = next((part for part in get_args(annotation) if isinstance(part, Meta)), None)
    assert meta is not None, f"{group}.{field} is not documented"
    return f"{meta.description}{_range(meta)}"


def _range(meta: Meta) -> str:
    """` (above 0, at most 1)`, or nothing where any value goes."""
    words = (("at least", meta.ge), ("above", meta.gt), ("at most", meta.le), ("below", meta.lt))
    bounds = [f"{word} {bound:,}" for word, bound in words if bound is not None]
    return f" ({', '.join(bounds)})" if bounds else ""


def _group_type(group: str) -> type[Group]:
    return get_type_hints(Settings)[group]  # type: ignore[no-any-return]  # hints of Settings are groups


def _refuse_unknown_names(tree: Tree, where: str) -> None:
    groups = Settings.__struct_fields__
    for group, fields in tree.items():
        if group not in groups:
            raise UsageError(
                f'{where}: unknown group of settings "{group}"{nearest(group, groups)}; known are {", ".join(groups)}'
            )
        known = _group_type(group).__struct_fields__
        for field in fields if isinstance(fields, dict) else ():
            if field not in known:
                raise UsageError(
                    f'{where}: unknown setting "{group}.{field}"{nearest(field, known)}; {group} has {", ".join(known)}'
                )


def _explain(message: str, tree: Tree) -> str:
    """msgspec's `Expected … - at `$.search.simulations`` with the name first, and with what was found."""
    reason, _, place = message.partition(" - at ")
    group, _, field = place.strip("`").removeprefix("$.").partition(".")
    found = tree.get(group, {}).get(field) if isinstance(tree.get(group), dict) else tree.get(group)
    if not field and isinstance(tree.get(group), dict):  # its values do not go together
        return f"{group}: {reason}"
    name = f"{group}.{field}" if field else group
    if field and (choices := _choices(group, field)):
        return f"{name}: found {found!r}, expected one of {', '.join(choices)}{nearest(str(found), choices)}"
    return f"{name}: found {found!r}, {reason[:1].lower()}{reason[1:]}"


def _choices(group: str, field: str) -> tuple[str, ...]:
    """The words that a setting may be, if it is one of a few words."""
    kind = get_type_hints(_group_type(group))[field]
    return get_args(kind) if get_origin(kind) is Literal else ()


def _parse_value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):  # no TOML: a bare word
        return text
