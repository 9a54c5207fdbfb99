"""Games in which stones are set on free cells and a line of them wins: m,n,k games, and Gomoku among them.

Planes, as seen by the player to move: 0 own stones, 1 the opponent's, 2 ones if the player to move began the game.
"""

from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta

from selfplay.games.coordinates import cell_name, with_coordinates
from selfplay.games.game import DRAW, ONGOING, WIN, Game
from selfplay.games.lines import longest_line, makes_exactly
from selfplay.games.symmetry import mirror_columns, mirror_rows, rotate


class Parameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Size of the board, and what wins."""

    rows: Annotated[int, Meta(description="rows", ge=1, le=19)] = 5
    columns: Annotated[int, Meta(description="columns", ge=1, le=19)] = 5
    connect: Annotated[int, Meta(description="stones in a line that win", ge=2, le=19)] = 4
    exactly: Annotated[bool, Meta(description="longer lines do not win")] = False


class GomokuParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Size of the board, and whether six in a line win."""

    size: Annotated[int, Meta(description="cells of a side; 15 and 9 are usual", ge=5, le=19)] = 15
    exactly: Annotated[bool, Meta(description="exactly five win; six and more do not")] = False


def mnk_game(parameters: Parameters) -> type[Game]:
    """Set stones on any free cell; so many in a line win, a full board is a draw."""
    return line_game("mnk", parameters, kind="squares", about=mnk_game.__doc__)


def gomoku(parameters: GomokuParameters) -> type[Game]:
    """Five in a line win: free style, or exactly five as an option."""
    size = parameters.size
    lines = Parameters(rows=size, columns=size, connect=5, exactly=parameters.exactly)
    return line_game("gomoku", lines, kind="crossings", about=gomoku.__doc__)


def line_game(called: str, parameters: Parameters, *, kind: str, about: str | None) -> type[Game]:
    """The game of this name on such a board."""
    rows, columns, connect, exactly = parameters.rows, parameters.columns, parameters.connect, parameters.exactly

    class LineGame(Game):
        __doc__ = about

        name, board_shape, num_actions, num_planes = called, (rows, columns), rows * columns, 3
        max_plies = rows * columns
        board_kind = kind
        State = np.dtype([("stones", np.int8, (rows, columns)), ("plies", np.int16), ("to_move", np.int8)])
        symmetries = (rotate, mirror_columns) if rows == columns else (mirror_rows, mirror_columns)

        def start(state):
            state.to_move = 0

        def legal(state, mask):
            for row in range(rows):
                for column in range(columns):
                    mask[row * columns + column] = state.stones[row, column] == 0

        def play(state, action):
            row, column = action // columns, action % columns
            state.stones[row, column] = state.to_move + 1
            state.to_move = 1 - state.to_move
            state.plies += 1
            if exactly:
                wins = makes_exactly(state.stones, row, column, connect)
            else:
                wins = longest_line(state.stones, row, column) >= connect
            if wins:
                return WIN
            return DRAW if state.plies == rows * columns else ONGOING

        def encode(state, planes):
            for row in range(rows):
                for column in range(columns):
                    planes[2, row, column] = 1.0 - state.to_move
                    if state.stones[row, column] != 0:
                        plane = 0 if state.stones[row, column] == state.to_move + 1 else 1
                        planes[plane, row, column] = 1.0

        def pieces(state):
            return ["".join(".XO"[stone] for stone in row) for row in state.stones]

        def draw(state):
            return with_coordinates(LineGame.pieces(state))

        def action_name(action):
            return cell_name(action // columns, action % columns, rows)

    return LineGame
