"""Games as text, out and in: plain lists of moves, and the game's own notation where there is one.

    moves   names of moves with blanks between them, a game a line; every game
    sgf     Smart Game Format, FF[4]: Go and Gomoku; through sgfmill
    pgn     Portable Game Notation: chess; through python-chess

The last two need the extra `records`. Only the main line of a record is read. Letters: A actions.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from selfplay.errors import GameError, UsageError
from selfplay.files import read_file
from selfplay.games.game import ONGOING, Rules

MOST_BYTES = 1 << 22  # of a record that is read
_SGF_GAMES = {"go": b"1", "gomoku": b"4"}  # the number of the game in SGF
_RESULTS = {1: "1-0", 0: "1/2-1/2", -1: "0-1"}


@dataclass(frozen=True)
class Played:
    """A game to be written."""

    moves: Sequence[int]
    outcome: int | None = None  # 1, 0 or -1 as the first player won, drew or lost; None = it goes on
    players: tuple[str, str] = ("selfplay", "selfplay")
    event: str = ""  # what people want to know of where it comes from


def formats(rules: Rules) -> tuple[str, ...]:
    """What records of this game can be written and read as."""
    name = _base_name(rules)
    return ("moves", *(("sgf",) if name in _SGF_GAMES else ()), *(("pgn",) if name == "chess" else ()))


def write_record(rules: Rules, played: Played, form: str) -> str:
    """A game as text in one of its `formats`; raises `UsageError` for another one, or where its library is missing."""
    if form not in formats(rules):
        raise UsageError(f"{rules.info.name} has no records as {form}; there are {', '.join(formats(rules))}")
    if form == "sgf":
        return _to_sgf(rules, played)
    return _to_pgn(rules, played) if form == "pgn" else " ".join(map(rules.action_name, played.moves)) + "\n"


def read_record(path: Path, rules: Rules) -> list[int]:
    """The moves of the first game in a file, its main line.

    Raises `GameError` where the file cannot be read, is of another game, or holds a move that is not legal.
    """
    content = read_file(path, what="record of a game", error=GameError, most_bytes=MOST_BYTES)
    text = content.decode("utf-8", "replace")
    form = next(
        (name for name, sign in (("sgf", r"\s*\(\s*;"), ("pgn", r"\s*\[\w+ ")) if re.match(sign, text)), "moves"
    )
    if form not in formats(rules):
        raise GameError(f"{path}: a record in {form.upper()}, which {rules.info.name} has not")
    reader = {"sgf": _from_sgf, "pgn": _from_pgn, "moves": _from_names}[form]
    try:
        moves = reader(rules, content)
        rules.replay(moves)
    except GameError as error:
        raise GameError(f"{path}: {error}") from None
    except ValueError as error:  # what the libraries say of a text that is none
        raise GameError(f"{path}: not a record in {form.upper()}: {error}") from None
    return moves


def _base_name(rules: Rules) -> str:
    """The name without parameters, of a game that comes along; a stranger's game of that name has no notation."""
    name = rules.info.spec.partition(":")[0]
    return name if name == rules.info.name.partition(":")[0] else ""


def _from_names(rules: Rules, content: bytes) -> list[int]:
    lines = [line.partition("#")[0] for line in content.decode("utf-8", "replace").splitlines()]
    first = next((line for line in lines if line.strip()), "")
    moves = []
    for name in re.split(r"[,\s]+", first.strip()):
        action = rules.find_action(name) if name else None
        if action is None:
            raise GameError(f"{rules.info.name} has no move {name!r}")
        moves.append(action)
    return moves


def _to_sgf(rules: Rules, played: Played) -> str:
    from importlib.metadata import version

    sgf = _library("sgfmill.sgf")
    size = rules.info.board_shape[0]
    game = sgf.Sgf_game(size=size)
    root = game.get_root()
    root.set_raw("GM", _SGF_GAMES[_base_name(rules)])
    root.set("AP", ("selfplay", version("selfplay")))
    for key, text in zip(("PB", "PW"), played.players, strict=True):
        root.set(key, text)
    if played.event:
        root.set("GC", played.event)
    if played.outcome is not None:
        root.set("RE", {1: "B+", 0: "0", -1: "W+"}[played.outcome])
    if (komi := komi_of(rules)) is not None:
        root.set("KM", komi)
    for ply, action in enumerate(played.moves):
        row, column = divmod(action, size)
        point = None if action == size * size else (size - 1 - row, column)  # rows from the bottom there
        game.extend_main_sequence().set_move("bw"[ply % 2], point)
    content: bytes = game.serialise()
    return content.decode()


def komi_of(rules: Rules) -> float | None:
    """Points that the second player of Go gets; None in other games."""
    if _base_name(rules) != "go":
        return None
    found = re.search(r"komi=([-\d.]+)", rules.info.spec)
    return float(found[1]) if found else 7.5


def _from_sgf(rules: Rules, content: bytes) -> list[int]:
    sgf = _library("sgfmill.sgf")
    game = sgf.Sgf_game.from_bytes(content)
    root, size = game.get_root(), rules.info.board_shape[0]
    number = root.get_raw("GM") if root.has_property("GM") else b"1"
    if number != _SGF_GAMES[_base_name(rules)]:
        raise GameError(f"it is of another game (GM[{number.decode()}]) than {rules.info.name}")
    if game.get_size() != size:
        raise GameError(f"its board has {game.get_size()} lines, {rules.info.name} has {size}")
    if root.has_setup_stones():
        raise GameError("it begins with stones set up, games begin with an empty board here")
    moves: list[int] = []
    for node in game.get_main_sequence()[1:]:
        colour, point = node.get_move()
        if colour is None:
            continue
        if colour != "bw"[len(moves) % 2]:
            raise GameError(f"move {len(moves) + 1} is {'white' if colour == 'w' else 'black'}'s, out of turn")
        moves.append(size * size if point is None else (size - 1 - point[0]) * size + point[1])
    return moves


def _to_pgn(rules: Rules, played: Played) -> str:
    chess, pgn = _library("chess"), _library("chess.pgn")
    board = chess.Board()
    for action in played.moves:
        board.push_uci(rules.action_name(action))
    game = pgn.Game.from_board(board)
    game.headers["Event"] = played.event or "selfplay"
    game.headers["White"], game.headers["Black"] = played.players
    game.headers["Result"] = "*" if played.outcome is None else _RESULTS[played.outcome]
    return f"{game}\n\n"


def _from_pgn(rules: Rules, content: bytes) -> list[int]:
    import io

    game = _library("chess.pgn").read_game(io.StringIO(content.decode("utf-8", "replace")))
    if game is None:
        raise GameError("no game is in it")
    if game.errors:
        raise GameError(str(game.errors[0]))
    if "FEN" in game.headers:
        raise GameError("it begins with a position of its own, games begin with the usual one here")
    moves: list[int] = []
    for move in game.mainline_moves():
        if rules.replay(moves)[1].outcomes[-1] != ONGOING:  # goes on where a draw could have been claimed
            break
        action = rules.find_action(move.uci())
        assert action is not None, "every move of chess is an action"
        moves.append(action)
    return moves


def _library(name: str) -> Any:
    """A library for a notation; raises `UsageError` where it is not installed."""
    import importlib

    try:
        return importlib.import_module(name)
    except ImportError:
        raise UsageError(
            f"records in this notation need {name.partition('.')[0]} (the extra `records`): "
            "pip install 'selfplay[records]'"
        ) from None
