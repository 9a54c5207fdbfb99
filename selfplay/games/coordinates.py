"""Cells as people call them: a letter for the column and a number for the row; and boards drawn with both.

Knows no game. Rows and columns of cells count from the top left, from 0, as everywhere else; the numbers that people
see count from the bottom, or from the top where a game's players do it so.
"""

from __future__ import annotations

from collections.abc import Sequence

LETTERS = "abcdefghijklmnopqrstuvwxyz"


def cell_name(row: int, column: int, rows: int, *, letters: str = LETTERS) -> str:
    """`e4` of the cell in a board of so many rows, counted from the bottom."""
    return f"{letters[column]}{rows - row}"


def with_coordinates(
    pieces: Sequence[Sequence[str]], *, letters: str = LETTERS, slanted: bool = False, from_top: bool = False
) -> str:
    """Rows of a board for a terminal, numbers at the left and letters below; `slanted` shifts each row half a cell."""
    rows, width = len(pieces), len(str(len(pieces)))
    lines = []
    for row, marks in enumerate(pieces):
        number = row + 1 if from_top else rows - row
        lines.append(f"{' ' * row if slanted else ''}{number:>{width}} {' '.join(marks)}")
    lines.append(f"{' ' * rows if slanted else ''}{' ' * width} {' '.join(letters[: len(pieces[0])])}")
    return "\n".join(lines)
