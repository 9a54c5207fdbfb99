"""Options that several commands share."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click

MODEL_PATH = click.Path(path_type=Path, dir_okay=False)


class Workers(click.ParamType[int]):
    """A number of workers, or `auto` for the cores this process may use."""

    name = "N|auto"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        if value == "auto":
            from selfplay.machine import usable_cores

            return usable_cores()
        if not str(value).isdecimal() or not 1 <= int(value) <= 4096:
            self.fail(f"expected a whole number from 1 to 4096, or auto; found {value!r}", param, ctx)
        return int(value)


class Moves(click.ParamType[list[str]]):
    """Moves as people call them, with commas or blanks between them."""

    name = "MOVE,MOVE,…"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> list[str]:
        return value if isinstance(value, list) else [move for move in re.split(r"[,\s]+", str(value)) if move]


MOVES = Moves()
as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
