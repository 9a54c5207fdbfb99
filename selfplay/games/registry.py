"""From what a user calls a game to its rules: `connect4`, `hex:size=7`, `path/to/file.py:MyGame`, `openspiel:hex(…)`.

A game comes from this package, from an installed one (entry point group `selfplay.games`), from a file, or from
OpenSpiel. Behind the first three stands a class, or a family of classes with parameters (`parameters.py`), which follow
after a colon.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import importlib.util
import inspect
import re
import sys
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from selfplay.errors import GameError, UsageError, nearest
from selfplay.games.game import Description, Game, GameInfo, ObjectGame, Rules
from selfplay.games.parameters import Parameter, canonical, parameters, parse, struct_of
from selfplay.games.symmetry import group
from selfplay.kernels import kernel

BUILT_IN = {
    "tictactoe": ("selfplay.games.tictactoe", "TicTacToe"),
    "connect4": ("selfplay.games.connect4", "connect_four"),
    "mnk": ("selfplay.games.mnk", "mnk_game"),
    "gomoku": ("selfplay.games.mnk", "gomoku"),
    "othello": ("selfplay.games.othello", "othello"),
    "hex": ("selfplay.games.hex", "hex_game"),
    "breakthrough": ("selfplay.games.breakthrough", "breakthrough"),
    "go": ("selfplay.games.go", "go_game"),
    "kalah": ("selfplay.games.kalah", "kalah"),
    "dots": ("selfplay.games.dots", "dots_and_boxes"),
    "morris": ("selfplay.games.morris", "NineMensMorris"),
    "checkers": ("selfplay.games.checkers", "Checkers"),
    "chess": ("selfplay.games.chess", "Chess"),
}
OPENSPIEL = "openspiel"
ENTRY_POINTS = "selfplay.games"  # group in which installed packages name games of theirs
_IN_A_FILE = re.compile(r"(?P<path>.+\.py):(?P<attribute>[^:]+)(?::(?P<parameters>.*))?", re.DOTALL)


class _Source(NamedTuple):
    """Where a game comes from."""

    base: str  # a known name, or path/to/file.py:Class
    found: Any  # a class of game, or a family
    parameters: str  # as text; empty = all have their defaults


def resolve_spec(spec: str) -> str:
    """The spec in the form that is stored: a known name or an absolute path with a class, and the parameters that are
    not their defaults.

    Raises `UsageError` for an unknown name or parameter (the nearest is offered) and for a missing file.
    """
    if (found := _IN_A_FILE.fullmatch(spec)) is not None:
        if not Path(found["path"]).is_file():
            raise UsageError(f"{found['path']}: no such file; expected path/to/file.py:Class")
        base, text = f"{Path(found['path']).resolve()}:{found['attribute']}", found["parameters"]
        return _with_parameters(_Source(base, _load_from_file(base), text)) if text else base
    name, _, text = spec.partition(":")
    if name == OPENSPIEL:
        from selfplay.games.openspiel import resolve

        return f"{OPENSPIEL}:{resolve(text)}"
    return _with_parameters(_Source(name, _load_known(name, spec), text))


def _with_parameters(source: _Source) -> str:
    """The base with the parameters that matter; raises `UsageError` where they are not the game's."""
    kind = struct_of(source.found) if not isinstance(source.found, type) else None
    if kind is None:
        if source.parameters:
            raise UsageError(f'{source.base} takes no parameters, found "{source.parameters}"')
        return source.base
    text = canonical(parse(kind, source.parameters, where=source.base))
    return f"{source.base}:{text}" if text else source.base


@functools.cache
def load_rules(spec: str) -> Rules:
    """The rules of a game, compiled where they can be. Raises `UsageError` or `GameError`."""
    spec = resolve_spec(spec)
    game = load_class(spec)
    info = _describe(game, spec)
    if issubclass(game, Game):
        from selfplay.games.compiled import CompiledRules

        return CompiledRules(game, info)
    from selfplay.games.objects import ObjectRules

    return ObjectRules(game(), info)


def game_info(spec: str) -> GameInfo:
    """The figures of a game; nothing is compiled for them. Raises `UsageError` or `GameError`."""
    spec = resolve_spec(spec)
    return _describe(load_class(spec), spec)


def load_class(spec: str) -> type[Game] | type[ObjectGame]:
    """The class that a resolved spec names."""
    if (in_file := _IN_A_FILE.fullmatch(spec)) is not None:
        base, text = f"{in_file['path']}:{in_file['attribute']}", in_file["parameters"] or ""
        found = _load_from_file(base)
    else:
        base, _, text = spec.partition(":")
        if base == OPENSPIEL:
            from selfplay.games.openspiel import adapter

            return adapter(text)
        found = _load_known(base, spec)
    if isinstance(found, type):
        return found
    kind = struct_of(found)
    assert kind is not None, "nothing else is loaded"
    game = found(parse(kind, text, where=base))
    if not (isinstance(game, type) and issubclass(game, Game | ObjectGame)):
        raise GameError(f"{spec}: the family gave {game!r}; expected a subclass of Game or ObjectGame")
    return game


def rules_files(spec: str) -> list[str]:
    """The file that a game of one's own is in, whose path is part of its spec; none for a game that is installed."""
    in_file = _IN_A_FILE.fullmatch(resolve_spec(spec))
    return [in_file["path"]] if in_file is not None else []


def parameters_of(name: str) -> list[Parameter]:
    """The parameters of a known game, none where it takes none. Raises `UsageError` for an unknown name."""
    found = _load_known(name, name)
    kind = None if isinstance(found, type) else struct_of(found)
    return [] if kind is None else list(parameters(kind))


def known_games() -> list[str]:
    """Names of the games that come along, and of those that installed packages add."""
    return [*BUILT_IN, *sorted({entry.name for entry in entry_points(group=ENTRY_POINTS)} - set(BUILT_IN))]


def _load_known(name: str, spec: str) -> Any:
    """The class or family of this name; raises `UsageError` for an unknown one."""
    if name in BUILT_IN:
        module_name, attribute = BUILT_IN[name]
        return getattr(importlib.import_module(module_name), attribute)
    for entry in entry_points(group=ENTRY_POINTS, name=name):
        try:
            found = entry.load()
        except Exception as error:  # somebody else's package may fail in any way
            raise GameError(f"{name}, of {entry.value}: {type(error).__name__}: {error}") from error
        if not _is_playable(found):
            raise GameError(f"{name}: {entry.value} is no subclass of Game or ObjectGame, and no family of such")
        return found
    raise UsageError(
        f'unknown game "{spec}"{nearest(name, known_games())}; known are {", ".join(known_games())}, '
        "openspiel:NAME, and path/to/file.py:Class"
    )


def _load_from_file(base: str) -> Any:
    """The class or family that path/to/file.py:NAME names."""
    path, _, attribute = base.rpartition(":")
    module = _load_file(Path(path))
    found = getattr(module, attribute, None)
    if not _is_playable(found):
        games = [name for name, value in vars(module).items() if _is_game(value, module)]
        raise GameError(
            f"{base}: {attribute!r} is not a game in that file{nearest(attribute, games)}; "
            f"found {', '.join(games) or 'no subclass of Game or ObjectGame'}"
        )
    return found


def _is_playable(found: Any) -> bool:
    is_class = isinstance(found, type) and issubclass(found, Game | ObjectGame)
    return is_class or (inspect.isfunction(found) and struct_of(found) is not None)


def _is_game(value: Any, module: ModuleType) -> bool:
    here = getattr(value, "__module__", None) == module.__name__
    return here and ((isinstance(value, type) and issubclass(value, Description)) or _is_playable(value))


def _load_file(path: Path) -> ModuleType:
    """Import a file under a name of its own, so that two files called `mygame.py` do not meet."""
    name = f"selfplay_game_{hashlib.sha256(str(path).encode()).hexdigest()[:12]}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise GameError(f"{path} cannot be imported as Python")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        line = next((frame.lineno for frame in reversed(inspect.trace()) if frame.filename == str(path)), "?")
        raise GameError(f"{path}, line {line}: {type(error).__name__}: {error}") from error
    return module


def _describe(game: type[Game] | type[ObjectGame], spec: str) -> GameInfo:
    _check_declaration(game, spec)
    height, width = game.board_shape
    generators = [maker(game.board_shape, game.num_actions) for maker in game.symmetries]
    rules_hash, encoding_hash = _hashes(game)
    return GameInfo(
        name=_full_name(game, spec),
        spec=spec,
        board_shape=(height, width),
        num_actions=game.num_actions,
        num_planes=game.num_planes,
        max_plies=game.max_plies,
        typical_plies=min(game.typical_plies or game.max_plies, game.max_plies),
        rules_hash=rules_hash,
        encoding_hash=encoding_hash,
        symmetries=group(generators, height * width, game.num_actions),
    )


def _full_name(game: type[Game] | type[ObjectGame], spec: str) -> str:
    """The game's name, with the parameters that are not their defaults."""
    in_file = _IN_A_FILE.fullmatch(spec)
    text = (in_file["parameters"] or "") if in_file else spec.partition(":")[2]
    return f"{game.name}:{text}" if text else game.name


def _check_declaration(game: type[Game] | type[ObjectGame], spec: str) -> None:
    """Every missing or impossible declaration, before anything is compiled."""
    needed = ["name", "board_shape", "num_actions", "num_planes", "max_plies"]
    needed += ["State"] if issubclass(game, Game) else []
    missing = [attribute for attribute in needed if not hasattr(game, attribute)]
    rules = ("start", "legal", "play", "encode", "to_move", "key")
    missing += [rule for rule in rules if getattr(getattr(game, rule, None), "__isabstractmethod__", False)]
    if missing:
        raise GameError(f"{spec}: the game does not define {', '.join(missing)}")
    if not re.fullmatch(r"[a-z0-9_]+", game.name):
        raise GameError(f"{spec}: a game's name has lower-case letters, digits and _ only, found {game.name!r}")
    for figure in ("num_actions", "num_planes", "max_plies"):
        if not (isinstance(getattr(game, figure), int) and getattr(game, figure) > 0):
            raise GameError(f"{spec}: {figure} must be a whole number above 0, found {getattr(game, figure)!r}")
    if issubclass(game, Game) and "to_move" not in (np.dtype(game.State).names or ()):
        raise GameError(f'{spec}: State needs a field "to_move" (0 or 1), found {np.dtype(game.State).names}')
    if issubclass(game, Game) and np.dtype(game.State) != _without_holes(np.dtype(game.State)):
        raise GameError(
            f"{spec}: State has bytes that belong to no field, and states are told apart by all their bytes: "
            "declare it without align=True"
        )


def _without_holes(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The same fields, one behind the other."""
    return np.dtype([(name, dtype.fields[name][0]) for name in dtype.names or () if dtype.fields is not None])


def _hashes(game: type[Game] | type[ObjectGame]) -> tuple[str, str]:
    """Identities of what moves mean, and of what a network sees."""
    shape = repr((game.name, game.board_shape, game.num_actions, game.max_plies))
    if issubclass(game, Game):
        rules = [kernel(rule).identity for rule in (game.start, game.legal, game.play)]
        encoding = kernel(game.encode).identity
        rules.append(repr(game.State.descr))
    else:
        rules = [inspect.getsource(game), game.identity]
        encoding = "".join(rules)
    digest = hashlib.sha256("\0".join([shape, *rules]).encode()).hexdigest()[:16]
    return digest, hashlib.sha256(f"{shape}{game.num_planes}{encoding}".encode()).hexdigest()[:16]
