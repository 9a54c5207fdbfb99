"""A board as SVG: stones, what was played last, visits as heat. A pure function; colours are classes of `style.css`.

Every cell carries `data-cell="row,column"`, by which a click is told. Everything that comes from a game is escaped.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape

from selfplay.games.board import EMPTY, FIRST, HOLE, SECOND, Board, Cell

_SIDE = 40.0  # of a cell
_RADIUS = 0.4 * _SIDE
_NAMES_HEIGHT = 18.0
_LEAST_SHOWN = 0.01  # share of visits that is written on a cell
_STRONGEST = 0.85  # opacity
_GLYPHS = dict(zip("PNBRQK", "♟♞♝♜♛♚", strict=True))  # of pieces on a chequered board
_HALF_WIDTH = math.sqrt(3) / 2  # of a hexagon with side 1


@dataclass(frozen=True)
class Marks:
    """What is drawn on top of a position."""

    last: Sequence[Cell] = ()  # cells of the last move
    chosen: Sequence[Cell] = ()  # clicked so far
    cursor: Cell | None = None  # of the keyboard
    heat: Mapping[Cell, float] = field(default_factory=dict)  # cell -> share of visits, 0 to 1
    arrows: Sequence[tuple[Cell, Cell]] = ()  # from, to
    names: Mapping[int, str] = field(default_factory=dict)  # column -> what people call it


def board_svg(board: Board, marks: Marks, *, label: str) -> str:
    """The picture; `label` says what it shows to who cannot see it."""
    is_hexagonal = board.kind == "hexagons"
    width, height = _extent(board)
    names = _NAMES_HEIGHT if marks.names else 0.0
    parts = [
        f'<svg class="board {board.kind}" viewBox="0 0 {width:g} {height + names:g}" role="img" '
        f'aria-label="{escape(label)}" xmlns="http://www.w3.org/2000/svg">',
        '<defs><marker id="head" viewBox="0 0 6 6" refX="4" refY="3" markerWidth="3" markerHeight="3" '
        'orient="auto"><path d="M0 0 6 3 0 6z" fill="#00a676"/></marker></defs>',
    ]
    if not is_hexagonal:
        parts.append(f'<rect class="ground" width="{width:g}" height="{height:g}" rx="6"/>')
    for row, line in enumerate(board.rows):
        parts += [_cell(board, (row, column), marks) for column in range(len(line)) if line[column] != HOLE]
    parts += _overlays(board, marks)
    for column, name in marks.names.items():
        x, _ = _centre(board, (0, column))
        parts.append(f'<text class="name" x="{x:g}" y="{height + 13:g}">{escape(name)}</text>')
    return "".join(parts) + "</svg>"


def _extent(board: Board) -> tuple[float, float]:
    rows, columns = len(board.rows), len(board.rows[0])
    if board.kind == "hexagons":
        side = _SIDE / 2 / _HALF_WIDTH
        return _SIDE * (columns + (rows - 1) / 2), side * (1.5 * rows + 0.5)
    return _SIDE * columns, _SIDE * rows


def _centre(board: Board, cell: Cell) -> tuple[float, float]:
    row, column = cell
    if board.kind == "hexagons":
        side = _SIDE / 2 / _HALF_WIDTH
        return _SIDE * (column + row / 2 + 0.5), side * (1.5 * row + 1)
    return _SIDE * (column + 0.5), _SIDE * (row + 0.5)


def _cell(board: Board, cell: Cell, marks: Marks) -> str:
    """Ground, heat and what stands there."""
    x, y = _centre(board, cell)
    share = marks.heat.get(cell, 0.0)
    shade = " dark" if board.kind == "chequered" and sum(cell) % 2 else ""
    inside = [_shape(board, cell, f"cell{shade}")]
    if board.kind == "crossings":
        inside.append(_lines(board, cell))
    if share > 0 and board.at(cell) == EMPTY:
        inside.append(_shape(board, cell, "heat", f' fill-opacity="{_STRONGEST * share:.3f}"'))
    inside.append(_piece(board.at(cell), x, y, is_chequered=board.kind == "chequered"))
    if share >= _LEAST_SHOWN and board.at(cell) == EMPTY:
        inside.append(f'<text class="share" x="{x:g}" y="{y + 3:g}">{share:.0%}</text>')
    row, column = cell
    return f'<g data-cell="{row},{column}">{"".join(inside)}</g>'


def _lines(board: Board, cell: Cell) -> str:
    """From a crossing half of the way to each neighbour that is there."""
    x, y = _centre(board, cell)
    row, column = cell
    steps = [(r, c) for r, c in ((-1, 0), (1, 0), (0, -1), (0, 1)) if board.at((row + r, column + c)) != HOLE]
    path = "".join(f"M{x:g} {y:g}l{c * _SIDE / 2:g} {r * _SIDE / 2:g}" for r, c in steps)
    return f'<path class="grid" d="{path}"/>'


def _shape(board: Board, cell: Cell, kind: str, more: str = "") -> str:
    x, y = _centre(board, cell)
    if board.kind == "columns":
        return f'<circle class="{kind}" cx="{x:g}" cy="{y:g}" r="{_RADIUS + 1:g}"{more}/>{_catcher(board, cell, kind)}'
    if board.kind == "hexagons":
        side = _SIDE / 2 / _HALF_WIDTH
        angles = [math.radians(60 * corner + 30) for corner in range(6)]
        corners = " ".join(f"{x + side * math.cos(angle):.1f},{y + side * math.sin(angle):.1f}" for angle in angles)
        return f'<polygon class="{kind}" points="{corners}"{more}/>'
    left, top = x - _SIDE / 2, y - _SIDE / 2
    return f'<rect class="{kind}" x="{left:g}" y="{top:g}" width="{_SIDE:g}" height="{_SIDE:g}"{more}/>'


def _catcher(board: Board, cell: Cell, kind: str) -> str:
    """Clicks beside the hole count too."""
    if kind != "cell":
        return ""
    x, y = _centre(board, cell)
    left, top = x - _SIDE / 2, y - _SIDE / 2
    return f'<rect x="{left:g}" y="{top:g}" width="{_SIDE:g}" height="{_SIDE:g}" fill="transparent"/>'


def _piece(piece: str, x: float, y: float, *, is_chequered: bool) -> str:
    if piece == EMPTY:
        return ""
    if piece in (FIRST, SECOND):
        owner = "first" if piece == FIRST else "second"
        return f'<circle class="stone {owner}" cx="{x:g}" cy="{y:g}" r="{_RADIUS:g}"/>'
    owner = "second" if piece.islower() else "first"
    if is_chequered and piece.upper() in _GLYPHS:
        return f'<text class="piece glyph {owner}" x="{x:g}" y="{y:g}">{_GLYPHS[piece.upper()]}</text>'
    return f'<text class="piece {owner}" x="{x:g}" y="{y:g}">{escape(piece)}</text>'


def _overlays(board: Board, marks: Marks) -> Iterator[str]:
    for cell in marks.chosen:
        yield _shape(board, cell, "chosen")
    for cell in marks.last:
        x, y = _centre(board, cell)
        yield f'<circle class="last" cx="{x:g}" cy="{y:g}" r="{_RADIUS / 2.5:g}"/>'
    for begin, end in marks.arrows:
        (x1, y1), (x2, y2) = _centre(board, begin), _centre(board, end)
        yield f'<line class="arrow" x1="{x1:g}" y1="{y1:g}" x2="{x2:g}" y2="{y2:g}"/>'
    if marks.cursor is not None:
        yield _shape(board, marks.cursor, "cursor")
