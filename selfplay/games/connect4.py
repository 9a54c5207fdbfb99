"""Connect Four: four in a row on six rows by seven columns; stones fall to the lowest free cell of a column. Other
boards and lengths as parameters.

Row 0 is the bottom row of the state and the last row of the planes, so that planes look like the board.
Planes, as seen by the player to move: 0 own stones, 1 the opponent's, 2 ones if the player to move began the game, 3
ones in every second row. Which cells a player gets in the end depends on both of the latter (Allis 1988, "A
Knowledge-based Approach of Connect-Four"), and 3 × 3 convolutions see neither the number of stones nor the row.
"""

from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta

from selfplay.games.board import in_characters
from selfplay.games.game import DRAW, ONGOING, WIN, Game
from selfplay.games.lines import longest_line
from selfplay.games.symmetry import mirror_columns


class Parameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Size of the board, and how many stones win."""

    rows: Annotated[int, Meta(description="rows", ge=2, le=16)] = 6
    columns: Annotated[int, Meta(description="columns", ge=2, le=16)] = 7
    connect: Annotated[int, Meta(description="stones in a line that win", ge=2, le=16)] = 4


def connect_four(parameters: Parameters) -> type[Game]:
    """Drop stones into columns; four in a line wins, a full board is a draw."""
    rows, columns, connect = parameters.rows, parameters.columns, parameters.connect

    class ConnectFour(Game):
        __doc__ = connect_four.__doc__

        name, board_shape, num_actions, num_planes, max_plies = "connect4", (rows, columns), columns, 4, rows * columns
        State = np.dtype([("stones", np.int8, (rows, columns)), ("height", np.int8, (columns,)), ("to_move", np.int8)])
        symmetries = (mirror_columns,)
        board_kind = "columns"

        def start(state):
            state.to_move = 0

        def legal(state, mask):
            for column in range(columns):
                mask[column] = state.height[column] < rows

        def play(state, action):
            row = state.height[action]
            state.stones[row, action] = state.to_move + 1
            state.height[action] = row + 1
            state.to_move = 1 - state.to_move
            if longest_line(state.stones, row, action) >= connect:
                return WIN
            for column in range(columns):
                if state.height[column] < rows:
                    return ONGOING
            return DRAW

        def encode(state, planes):
            for column in range(columns):
                for row in range(state.height[column]):
                    plane = 0 if state.stones[row, column] == state.to_move + 1 else 1
                    planes[plane, rows - 1 - row, column] = 1.0
                for row in range(rows):
                    planes[2, row, column] = 1.0 - state.to_move
                    planes[3, row, column] = row % 2

        def pieces(state):
            return ["".join(".XO"[stone] for stone in state.stones[row]) for row in reversed(range(rows))]

        def cells(state, action):
            return [(rows - 1 - state.height[action], action)]

        def draw(state):
            width = len(str(columns))
            board = [[mark.rjust(width) for mark in row] for row in ConnectFour.pieces(state)]
            return in_characters([*board, [str(column + 1).rjust(width) for column in range(columns)]])

        def action_name(action):
            return str(action + 1)

    return ConnectFour
