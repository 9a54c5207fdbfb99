"""A position as a board that can be drawn and clicked, out of what a game says of itself. Knows no screen and no page.

A game declares what stands on its cells (`pieces`) and which cells play an action (`cells`). Rows count from the top,
columns from the left, both from 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from selfplay.errors import GameError

EMPTY, HOLE = ".", " "  # a free cell; a place of the rectangle that is no cell
FIRST, SECOND = "X", "O"  # the players' stones; any other character is drawn as it is
KINDS = ("squares", "chequered", "crossings", "columns", "hexagons")
_MOST_SIDE = 64

Cell = tuple[int, int]  # row, column


@dataclass(frozen=True)
class Board:
    """What one position looks like.

    Attributes:
        kind: `squares`; `chequered`, light and dark ones; `crossings`, where stones stand on lines; `columns`, where
            stones fall and a click anywhere in a column counts; `hexagons`, each row half a cell further to the right
            than the one above.
        rows: one character per cell, from the top.
        cells: action -> the cells that one clicks to play it, in order: where a stone goes, or from where to where.
            An action without any gets a button.
    """

    kind: str
    rows: tuple[str, ...]
    cells: Mapping[int, tuple[Cell, ...]]

    def heat(self, shares: Mapping[int, float]) -> dict[Cell, float]:
        """Shares of actions as shares of the cells where they end; actions without a cell are left out."""
        heat: dict[Cell, float] = {}
        for action, share in shares.items():
            if cells := self.cells[action]:
                heat[cells[-1]] = heat.get(cells[-1], 0.0) + share
        return heat

    def arrows(self, action: int) -> list[tuple[Cell, Cell]]:
        """From where to where an action goes; none for one that is played on a single cell."""
        cells = self.cells[action]
        return [(cells[0], cells[-1])] if len(cells) > 1 else []

    def at(self, cell: Cell) -> str:
        """What stands on a cell, `HOLE` off the board."""
        row, column = cell
        if 0 <= row < len(self.rows) and 0 <= column < len(self.rows[0]):
            return self.rows[row][column]
        return HOLE


def in_characters(rows: Sequence[str]) -> str:
    """The rows of a board for a terminal."""
    return "\n".join(" ".join(row) for row in rows)


def column_names(boards: Iterable[Board], name_of: Callable[[int], str]) -> dict[int, str]:
    """Column -> what people call the action that drops a stone there, out of boards that show it; for `columns`."""
    return {
        cells[0][1]: name_of(action)
        for board in boards
        if board.kind == "columns"
        for action, cells in board.cells.items()
        if cells
    }


def make_board(
    kind: str,
    rows: Sequence[str],
    cells: Callable[[int], Iterable[Sequence[int]] | None],
    actions: Iterable[int],
) -> Board:
    """The board that a game's answers describe; raises `GameError` where they make none.

    Args:
        kind: one of `KINDS`.
        rows: as the game's `pieces` gave them.
        cells: the game's `cells` of one action; None = cells are numbered row by row.
        actions: those to ask for.
    """
    if kind not in KINDS:
        raise GameError(f"`board_kind` is {kind!r}; expected one of {', '.join(KINDS)}")
    rows = tuple(rows)
    if not rows or not all(isinstance(row, str) and len(row) == len(rows[0]) for row in rows):
        raise GameError(f"`pieces` gave {rows!r}; expected rows of text, all of one length")
    if not 1 <= len(rows[0]) <= _MOST_SIDE or len(rows) > _MOST_SIDE:
        raise GameError(f"`pieces` gave {len(rows)} rows of {len(rows[0])} cells; expected 1 to {_MOST_SIDE} of each")
    board = Board(kind, rows, {})
    return Board(kind, rows, {action: _cells_of(action, cells(action), board) for action in actions})


def _cells_of(action: int, given: Iterable[Sequence[int]] | None, board: Board) -> tuple[Cell, ...]:
    if given is None:
        width = len(board.rows[0])
        return (divmod(action, width),) if action < len(board.rows) * width else ()
    found = tuple((int(row), int(column)) for row, column in given)
    for cell in found:
        if board.at(cell) == HOLE:
            raise GameError(f"`cells` of action {action} names (row {cell[0]}, column {cell[1]}), which is no cell")
    return found
