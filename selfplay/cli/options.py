"""Options that several commands share."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from selfplay.games.game import Rules

MODEL_PATH = click.Path(path_type=Path, dir_okay=False)


AUTO = -1  # workers


def or_cores(workers: int) -> int:
    """So many workers, or as many as this machine has cores."""
    from selfplay.machine import usable_cores

    return usable_cores() if workers == AUTO else workers


class Workers(click.ParamType[int]):
    """A number of workers; `AUTO` for one on each core at hand."""

    name = "N|auto"

    def __init__(self, *, least: int = 1) -> None:
        self._least = least

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        if value == "auto":
            return AUTO
        if not str(value).isdecimal() or not self._least <= int(value) <= 4096:
            self.fail(f"expected a whole number from {self._least} to 4096, or auto; found {value!r}", param, ctx)
        return int(value)


class Moves(click.ParamType[list[str]]):
    """Moves as people call them, with commas or blanks between them."""

    name = "MOVE,MOVE,…"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> list[str]:
        return value if isinstance(value, list) else [move for move in re.split(r"[,\s]+", str(value)) if move]


def from_record(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options of a command that begins at a position of a recorded game; its parameters `record` and `ply`."""
    path = click.Path(path_type=Path, dir_okay=False)
    command = click.option("--ply", type=click.IntRange(min=0), help="Only so many of its moves.  [default: all]")(
        command
    )
    return click.option("--record", type=path, help="Take the moves from this file: SGF, PGN, or names.")(command)


def moves_given(rules: Rules, moves: list[str], record: Path | None, ply: int | None) -> list[str]:
    """The moves that --moves, or --record and --ply, ask for. Raises `UsageError` for both, `GameError` for a record
    that cannot be read."""
    if record is None:
        return moves
    if moves:
        from selfplay.errors import UsageError

        raise UsageError("give --moves or --record, not both")
    from selfplay.games.records import read_record

    return [rules.action_name(action) for action in read_record(record, rules)[:ply]]


MOVES = Moves()
as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
