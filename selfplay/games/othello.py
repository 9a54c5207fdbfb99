"""Othello: discs that are enclosed in a line are turned over; who has more of them in the end wins.

A player who cannot enclose anything passes; when neither can, the game is over.
Planes, as seen by the player to move: 0 own discs, 1 the opponent's, 2 cells where the player may play.
"""

from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta

from selfplay.games.coordinates import LETTERS, with_coordinates
from selfplay.games.game import DRAW, LOSS, ONGOING, WIN, Game
from selfplay.games.symmetry import half_turn, transpose

DIRECTIONS = np.array([[-1, -1], [-1, 0], [-1, 1], [0, -1], [0, 1], [1, -1], [1, 0], [1, 1]], np.int8)


class Parameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Size of the board."""

    size: Annotated[int, Meta(description="cells of a side, an even number; 8 and 6 are usual", ge=4, le=16,
                              multiple_of=2)] = 8  # fmt: skip


def othello(parameters: Parameters) -> type[Game]:
    """Enclose the opponent's discs to turn them over; more discs win."""
    size = parameters.size
    cells = size * size

    class Othello(Game):
        __doc__ = othello.__doc__

        name, board_shape, num_actions, num_planes = "othello", (size, size), cells + 1, 3  # the last action: pass
        max_plies, typical_plies = 2 * (cells - 4), cells - 4
        State = np.dtype([("discs", np.int8, (size, size)), ("to_move", np.int8)])  # 0 none, else player + 1
        symmetries = (half_turn, transpose)  # a quarter turn would change who holds which diagonal

        def start(state):
            middle = size // 2
            state.discs[middle - 1, middle] = state.discs[middle, middle - 1] = 1
            state.discs[middle - 1, middle - 1] = state.discs[middle, middle] = 2
            state.to_move = 0

        def legal(state, mask):
            passes = True
            for action in range(cells):
                if encloses(state.discs, action // size, action % size, state.to_move + 1):
                    mask[action] = True
                    passes = False
            mask[cells] = passes

        def play(state, action):
            disc = state.to_move + 1
            state.to_move = 1 - state.to_move
            if action == cells:
                return ONGOING  # who passes does so because the other one can play
            turn_over(state.discs, action // size, action % size, disc)
            if can_play(state.discs, 3 - disc) or can_play(state.discs, disc):
                return ONGOING
            ahead = 0
            for cell in range(cells):
                owner = state.discs[cell // size, cell % size]
                if owner != 0:
                    ahead += 1 if owner == disc else -1
            return WIN if ahead > 0 else LOSS if ahead < 0 else DRAW

        def encode(state, planes):
            for row in range(size):
                for column in range(size):
                    if state.discs[row, column] != 0:
                        planes[0 if state.discs[row, column] == state.to_move + 1 else 1, row, column] = 1.0
                    elif encloses(state.discs, row, column, state.to_move + 1):
                        planes[2, row, column] = 1.0

        def pieces(state):
            return ["".join(".XO"[disc] for disc in row) for row in state.discs]

        def draw(state):
            first, second = int((state.discs == 1).sum()), int((state.discs == 2).sum())
            return f"{with_coordinates(Othello.pieces(state), from_top=True)}\n{first} : {second}"

        def action_name(action):  # rows count from the top here
            return "pass" if action == cells else f"{LETTERS[action % size]}{action // size + 1}"

    return Othello


def encloses(discs, row, column, disc):
    """Whether a disc on the cell would turn some over."""
    if discs[row, column] != 0:
        return False
    for direction in range(8):
        if enclosed(discs, row, column, disc, direction) > 0:
            return True
    return False


def can_play(discs, disc):
    """Whether there is a cell on which such a disc encloses something."""
    for row in range(discs.shape[0]):
        for column in range(discs.shape[1]):
            if encloses(discs, row, column, disc):
                return True
    return False


def turn_over(discs, row, column, disc):
    """Set a disc on the cell and turn all that it encloses."""
    for direction in range(8):
        for step in range(enclosed(discs, row, column, disc, direction)):
            discs[row + (step + 1) * DIRECTIONS[direction, 0], column + (step + 1) * DIRECTIONS[direction, 1]] = disc
    discs[row, column] = disc


def enclosed(discs, row, column, disc, direction):
    """How many discs in a direction lie between the cell and another such disc."""
    down, right = DIRECTIONS[direction, 0], DIRECTIONS[direction, 1]
    r, c, count = row + down, column + right, 0
    while 0 <= r < discs.shape[0] and 0 <= c < discs.shape[1] and discs[r, c] == 3 - disc:
        r, c, count = r + down, c + right, count + 1
    inside = 0 <= r < discs.shape[0] and 0 <= c < discs.shape[1]
    return count if inside and discs[r, c] == disc else 0
