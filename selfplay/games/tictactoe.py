"""Tic-tac-toe: three in a row on three by three cells. Cells are numbered row by row from the top left.

Planes, as seen by the player to move: 0 own stones, 1 the opponent's.
"""

import numpy as np

from selfplay.games.game import DRAW, ONGOING, WIN, Game
from selfplay.games.symmetry import mirror_columns, rotate

LINES = np.array(
    [[0, 1, 2], [3, 4, 5], [6, 7, 8], [0, 3, 6], [1, 4, 7], [2, 5, 8], [0, 4, 8], [2, 4, 6]],
    np.int8,
)


class TicTacToe(Game):
    """Two players fill a 3 × 3 board; three in a line wins, a full board is a draw."""

    name, board_shape, num_actions, num_planes, max_plies = "tictactoe", (3, 3), 9, 2, 9
    State = np.dtype([("cells", np.int8, (9,)), ("to_move", np.int8)])  # a cell: 0 empty, player + 1 otherwise
    symmetries = (rotate, mirror_columns)

    def start(state):
        state.to_move = 0

    def legal(state, mask):
        for cell in range(9):
            mask[cell] = state.cells[cell] == 0

    def play(state, action):
        stone = state.to_move + 1
        state.cells[action] = stone
        state.to_move = 1 - state.to_move
        for line in LINES:
            if state.cells[line[0]] == stone and state.cells[line[1]] == stone and state.cells[line[2]] == stone:
                return WIN
        for cell in range(9):
            if state.cells[cell] == 0:
                return ONGOING
        return DRAW

    def encode(state, planes):
        for cell in range(9):
            if state.cells[cell] != 0:
                plane = 0 if state.cells[cell] == state.to_move + 1 else 1
                planes[plane, cell // 3, cell % 3] = 1.0

    def pieces(state):
        return ["".join(".XO"[stone] for stone in state.cells[row : row + 3]) for row in (0, 3, 6)]

    def draw(state):
        marks = [str(cell + 1) if stone == 0 else "XO"[stone - 1] for cell, stone in enumerate(state.cells)]
        return "\n---+---+---\n".join(" " + " | ".join(marks[row : row + 3]) for row in (0, 3, 6))

    def action_name(action):
        return str(action + 1)
