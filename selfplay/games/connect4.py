"""Connect Four: four in a row on six rows by seven columns; stones fall to the lowest free cell of a column.

Row 0 is the bottom row of the state and the last row of the planes, so that planes look like the board.
Planes, as seen by the player to move: 0 own stones, 1 the opponent's, 2 ones if the player to move began the game, 3
ones in every second row. Which cells a player gets in the end depends on both of the latter (Allis 1988, "A
Knowledge-based Approach of Connect-Four"), and 3 × 3 convolutions see neither the number of stones nor the row.
"""

import numpy as np

from selfplay.games.board import in_characters
from selfplay.games.game import DRAW, ONGOING, WIN, Game
from selfplay.games.symmetry import mirror_columns

ROWS, COLUMNS, CONNECT = 6, 7, 4


class ConnectFour(Game):
    """Drop stones into seven columns; four in a line wins, a full board is a draw."""

    name, board_shape, num_actions, num_planes, max_plies = (
        "connect4",
        (ROWS, COLUMNS),
        COLUMNS,
        4,
        ROWS * COLUMNS,
    )
    State = np.dtype([("stones", np.int8, (ROWS, COLUMNS)), ("height", np.int8, (COLUMNS,)), ("to_move", np.int8)])
    symmetries = (mirror_columns,)
    board_kind = "columns"

    def start(state):
        state.to_move = 0

    def legal(state, mask):
        for column in range(COLUMNS):
            mask[column] = state.height[column] < ROWS

    def play(state, action):
        row = state.height[action]
        state.stones[row, action] = state.to_move + 1
        state.height[action] = row + 1
        state.to_move = 1 - state.to_move
        if completes_a_line(state.stones, row, action):
            return WIN
        for column in range(COLUMNS):
            if state.height[column] < ROWS:
                return ONGOING
        return DRAW

    def encode(state, planes):
        for column in range(COLUMNS):
            for row in range(state.height[column]):
                plane = 0 if state.stones[row, column] == state.to_move + 1 else 1
                planes[plane, ROWS - 1 - row, column] = 1.0
            for row in range(ROWS):
                planes[2, row, column] = 1.0 - state.to_move
                planes[3, row, column] = row % 2

    def pieces(state):
        return ["".join(".XO"[stone] for stone in state.stones[row]) for row in reversed(range(ROWS))]

    def cells(state, action):
        return [(ROWS - 1 - state.height[action], action)]

    def draw(state):
        return in_characters([*ConnectFour.pieces(state), [str(column + 1) for column in range(COLUMNS)]])

    def action_name(action):
        return str(action + 1)


def completes_a_line(stones, row, column):
    """Whether the stone at (row, column) stands in a line of at least CONNECT of its colour."""
    stone = stones[row, column]
    for down, right in ((0, 1), (1, 0), (1, 1), (1, -1)):
        length = 1
        for sign in (-1, 1):
            r, c = row + sign * down, column + sign * right
            while 0 <= r < ROWS and 0 <= c < COLUMNS and stones[r, c] == stone:
                length += 1
                r, c = r + sign * down, c + sign * right
        if length >= CONNECT:
            return True
    return False
