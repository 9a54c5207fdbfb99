"""From what a user calls a game to its rules: `connect4`, or `path/to/file.py:MyGame`."""

from __future__ import annotations

import functools
import hashlib
import importlib
import importlib.util
import inspect
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from selfplay.errors import GameError, UsageError, nearest
from selfplay.games.game import Description, Game, GameInfo, ObjectGame, Rules
from selfplay.games.symmetry import group
from selfplay.kernels import kernel

BUILT_IN = {
    "tictactoe": ("selfplay.games.tictactoe", "TicTacToe"),
    "connect4": ("selfplay.games.connect4", "ConnectFour"),
}


def resolve_spec(spec: str) -> str:
    """The spec in the form that is stored: a known name, or an absolute path with a class.

    Raises `UsageError` for an unknown name (the nearest is offered) and for a missing file.
    """
    path, colon, attribute = spec.rpartition(":")
    if colon and path.endswith(".py"):
        if not Path(path).is_file():
            raise UsageError(f"{path}: no such file; expected path/to/file.py:Class")
        return f"{Path(path).resolve()}:{attribute}"
    name = spec.partition(":")[0]
    if name not in BUILT_IN:
        known = ", ".join(BUILT_IN)
        raise UsageError(
            f'unknown game "{spec}"{nearest(name, BUILT_IN)}; known are {known}, and path/to/file.py:Class'
        )
    if spec != name:
        raise UsageError(f'{name} takes no parameters, found "{spec}"')
    return name


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


def load_class(spec: str) -> type[Game] | type[ObjectGame]:
    """The class that a resolved spec names."""
    if spec in BUILT_IN:
        module_name, attribute = BUILT_IN[spec]
        module = importlib.import_module(module_name)
    else:
        path, _, attribute = spec.rpartition(":")
        module = _load_file(Path(path))
    found = getattr(module, attribute, None)
    if not (isinstance(found, type) and issubclass(found, Game | ObjectGame)):
        games = [name for name, value in vars(module).items() if _is_game(value, module)]
        raise GameError(
            f"{spec}: {attribute!r} is not a game in that file{nearest(attribute, games)}; "
            f"found {', '.join(games) or 'no subclass of Game or ObjectGame'}"
        )
    return found


def _is_game(value: Any, module: ModuleType) -> bool:
    return isinstance(value, type) and issubclass(value, Description) and value.__module__ == module.__name__


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
        name=game.name,
        spec=spec,
        board_shape=(height, width),
        num_actions=game.num_actions,
        num_planes=game.num_planes,
        max_plies=game.max_plies,
        rules_hash=rules_hash,
        encoding_hash=encoding_hash,
        symmetries=group(generators, height * width, game.num_actions),
    )


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


def _hashes(game: type[Game] | type[ObjectGame]) -> tuple[str, str]:
    """Identities of what moves mean, and of what a network sees."""
    shape = repr((game.name, game.board_shape, game.num_actions, game.max_plies))
    if issubclass(game, Game):
        rules = [kernel(rule).identity for rule in (game.start, game.legal, game.play)]
        encoding = kernel(game.encode).identity
        rules.append(repr(game.State.descr))
    else:
        rules = [inspect.getsource(game)]
        encoding = rules[0]
    digest = hashlib.sha256("\0".join([shape, *rules]).encode()).hexdigest()[:16]
    return digest, hashlib.sha256(f"{shape}{game.num_planes}{encoding}".encode()).hexdigest()[:16]
