"""From clicks on a board to a move, or to why there is none. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from selfplay.games.board import EMPTY, HOLE, Board, Cell


@dataclass(frozen=True)
class Plays:
    """The clicks so far are a whole move; where several actions share these cells, one has to be chosen."""

    actions: tuple[int, ...]


@dataclass(frozen=True)
class Goes:
    """The clicks so far begin a move; none chosen = the beginning was taken back."""

    chosen: tuple[Cell, ...]


@dataclass(frozen=True)
class Refused:
    """No move goes through that cell."""

    reason: str


def read_click(board: Board, chosen: Sequence[Cell], cell: Cell) -> Plays | Goes | Refused:
    """What a click means.

    Args:
        board: with the cells of all legal actions.
        chosen: cells clicked before, the beginning of a legal action.
        cell: the one clicked now; it may lie anywhere.
    """
    if board.at(cell) == HOLE:
        return Refused("that is not on the board")
    if chosen and cell == chosen[-1]:
        return Goes(())
    for begun in ((*chosen, cell), (cell,)):  # going on, or beginning anew
        found = [action for action, cells in board.cells.items() if _begins(board, cells, begun)]
        whole = tuple(action for action in found if len(board.cells[action]) == len(begun))
        if whole:
            return Plays(whole)
        if found:
            return Goes(begun)
    return Refused(_reason(board, chosen, cell))


def targets(board: Board, chosen: Sequence[Cell]) -> set[Cell]:
    """Cells that may be clicked next."""
    place = len(chosen)
    return {cells[place] for cells in board.cells.values() if len(cells) > place and _begins(board, cells, chosen)}


def moved_cursor(board: Board, cursor: Cell | None, step: tuple[int, int]) -> Cell:
    """Where the keyboard's cursor goes: the next cell in a direction, around the edge; from nowhere to the middle."""
    rows, columns = len(board.rows), len(board.rows[0])
    if cursor is None:
        return rows // 2, columns // 2
    row, column = cursor
    for _ in range(max(rows, columns)):
        row, column = (row + step[0]) % rows, (column + step[1]) % columns
        if board.at((row, column)) != HOLE:
            break
    return row, column


def _begins(board: Board, cells: Sequence[Cell], begun: Sequence[Cell]) -> bool:
    if len(cells) < len(begun):
        return False
    if board.kind == "columns":  # stones fall: any cell of the column will do
        return all(a[1] == b[1] for a, b in zip(cells, begun, strict=False))
    return tuple(cells[: len(begun)]) == tuple(begun)


def _reason(board: Board, chosen: Sequence[Cell], cell: Cell) -> str:
    row, column = cell
    if board.kind == "columns":
        return f"column {column + 1} is full"
    if chosen:
        return "that piece cannot go there"
    where = f"row {row + 1}, column {column + 1}"
    is_moved = any(len(cells) > 1 for cells in board.cells.values())
    if is_moved:
        return f"no move begins at {where}"
    return f"{where} cannot be played" if board.at(cell) == EMPTY else f"{where} is taken"
