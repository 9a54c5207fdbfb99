"""Dots and Boxes: draw a line between two dots; who closes a box owns it and draws again; more boxes win.

Actions: the horizontal lines row by row, then the vertical ones. Who owns which box makes no difference for what
follows and is not part of the state, only how many more the first player has. The board of the planes, 2·rows + 1 by
2·columns + 1, has a cell for each dot, line and box. Planes: 0 lines that are drawn, 1 boxes by their sides / 4, 2
boxes with three sides, 3 how far the player to move is ahead / boxes, 4 lines to draw.
"""

from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta

from selfplay.games.board import in_characters
from selfplay.games.game import DRAW, LOSS, ONGOING, WIN, Game
from selfplay.games.symmetry import mirror_columns, mirror_rows, on_cells, rotate


class Parameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Size of the board, in boxes."""

    rows: Annotated[int, Meta(description="rows of boxes", ge=1, le=10)] = 3
    columns: Annotated[int, Meta(description="columns of boxes", ge=1, le=10)] = 3


def dots_and_boxes(parameters: Parameters) -> type[Game]:
    """Close boxes line by line; closing one lets you draw again."""
    rows, columns = parameters.rows, parameters.columns
    places = places_of(rows, columns)  # of each line, (row, column) on the board of dots, lines and boxes
    flat = [(int(row) * (2 * columns + 1) + int(column),) for row, column in places]
    turns = (rotate, mirror_columns) if rows == columns else (mirror_rows, mirror_columns)

    class DotsAndBoxes(Game):
        __doc__ = dots_and_boxes.__doc__

        name, board_shape, num_planes = "dots", (2 * rows + 1, 2 * columns + 1), 5
        num_actions = max_plies = len(places)
        State = np.dtype(
            [
                ("sides", np.int8, (2 * rows + 1, 2 * columns + 1)),  # 1 at a line that is drawn; sides of a box
                ("ahead", np.int8),  # boxes of the first player, less the second's
                ("left", np.int16),  # boxes that are open
                ("to_move", np.int8),
            ]
        )
        symmetries = tuple(on_cells(turn, flat) for turn in turns)

        def start(state):
            state.left = rows * columns
            state.to_move = 0

        def legal(state, mask):
            for action in range(len(places)):
                mask[action] = state.sides[places[action, 0], places[action, 1]] == 0

        def play(state, action):
            row, column = places[action, 0], places[action, 1]
            state.sides[row, column] = 1
            closed = 0
            for side in (-1, 1):
                r, c = (row + side, column) if row % 2 == 0 else (row, column + side)
                if 0 <= r <= 2 * rows and 0 <= c <= 2 * columns:
                    state.sides[r, c] += 1
                    closed += state.sides[r, c] == 4
            player = state.to_move
            state.left -= closed
            state.ahead += closed if player == 0 else -closed
            if closed == 0:
                state.to_move = 1 - player
            if state.left > 0:
                return ONGOING
            ahead = state.ahead if player == 0 else -state.ahead
            return WIN if ahead > 0 else LOSS if ahead < 0 else DRAW

        def encode(state, planes):
            ahead = (state.ahead if state.to_move == 0 else -state.ahead) / (rows * columns)
            for row in range(2 * rows + 1):
                for column in range(2 * columns + 1):
                    planes[3, row, column] = ahead
                    sides = state.sides[row, column]
                    if row % 2 == 1 and column % 2 == 1:
                        planes[1, row, column] = sides / 4
                        planes[2, row, column] = 1.0 if sides == 3 else 0.0
                    elif row % 2 != column % 2:
                        planes[0, row, column] = sides
                        planes[4, row, column] = 1.0 - sides

        def pieces(state):
            return [
                "".join(_mark(state.sides[r, c], r, c) for c in range(2 * columns + 1)) for r in range(2 * rows + 1)
            ]

        def cells(state, action):
            return [tuple(places[action])]

        def draw(state):
            leader = "nobody" if state.ahead == 0 else "player 1" if state.ahead > 0 else "player 2"
            boxes = abs(int(state.ahead))
            drawn = in_characters(DotsAndBoxes.pieces(state))
            return f"{drawn}\n{leader} is ahead{f' by {boxes}' if boxes else ''}; player {state.to_move + 1} to draw"

        def action_name(action):
            row, column = (int(place) for place in places[action])
            return f"{'h' if row % 2 == 0 else 'v'}{row // 2 + 1}{'abcdefghijk'[column // 2]}"

    return DotsAndBoxes


def places_of(rows: int, columns: int) -> np.ndarray:
    """The cell [A, 2] of each line: horizontal ones row by row, then vertical ones."""
    horizontal = [(2 * row, 2 * column + 1) for row in range(rows + 1) for column in range(columns)]
    vertical = [(2 * row + 1, 2 * column) for row in range(rows) for column in range(columns + 1)]
    return np.array(horizontal + vertical, np.int8)


def _mark(sides: int, row: int, column: int) -> str:
    """What is drawn on a cell: dots, lines, and boxes that somebody owns."""
    if row % 2 == 0 and column % 2 == 0:
        return "+"
    if row % 2 == 1 and column % 2 == 1:
        return "#" if sides == 4 else " "
    return "." if sides == 0 else "-" if row % 2 == 0 else "|"
