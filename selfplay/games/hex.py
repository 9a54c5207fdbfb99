"""Hex: the first player joins top and bottom, the second left and right; there are no draws.

Each row lies half a cell further to the right than the one above; a cell has up to six neighbours. With `swap` the
second player may take over the first stone instead of answering it: it changes its colour and moves to the cell
mirrored at the long diagonal, which is the same position for the other player. Planes, as seen by the player to move: 0
own stones, 1 the opponent's, 2 and 3 those that are joined with one of their player's edges, 4 ones if the first player
is to move (which edges to join), 5 ones if swapping is allowed.
"""

from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta

from selfplay.games.coordinates import LETTERS, with_coordinates
from selfplay.games.game import ONGOING, WIN, Game
from selfplay.games.symmetry import half_turn

NEIGHBOURS = np.array([[-1, 0], [-1, 1], [0, -1], [0, 1], [1, -1], [1, 0]])
FIRST_EDGE, LAST_EDGE = 1, 2  # what a stone is joined with: bits


class Parameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Size of the board, and the swap rule."""

    size: Annotated[int, Meta(description="cells of a side", ge=2, le=19)] = 11
    swap: Annotated[bool, Meta(description="the second player may take over the first stone")] = True


def hex_game(parameters: Parameters) -> type[Game]:
    """Join your two sides of the board with stones before the other one does."""
    size, swap = parameters.size, parameters.swap
    cells = size * size

    class Hex(Game):
        __doc__ = hex_game.__doc__

        name, board_shape, num_planes, max_plies = "hex", (size, size), 6, cells + swap
        num_actions = cells + 1 if swap else cells  # the last one: swap
        State = np.dtype(
            [
                ("stones", np.int8, (size, size)),  # 0 none, else player + 1
                ("joined", np.int8, (size, size)),  # bits: with which of its player's edges a stone is joined
                ("stage", np.int8),  # 0 before the first stone, 1 before the answer to it, 2 afterwards
                ("to_move", np.int8),
            ]
        )
        symmetries = (half_turn,)
        board_kind = "hexagons"

        def start(state):
            state.to_move = 0

        def legal(state, mask):
            for row in range(size):
                for column in range(size):
                    mask[row * size + column] = state.stones[row, column] == 0
            if swap and state.stage == 1:
                mask[cells] = True

        def play(state, action):
            player, row, column = state.to_move, action // size, action % size
            state.to_move = 1 - player
            if action == cells:
                row, column = swapped(state.stones)
            state.stage = min(state.stage + 1, 2)
            state.stones[row, column] = player + 1
            return WIN if joins_edges(state.stones, state.joined, row, column) else ONGOING

        def encode(state, planes):
            for row in range(size):
                for column in range(size):
                    planes[4, row, column] = 1.0 - state.to_move
                    planes[5, row, column] = 1.0 if swap and state.stage == 1 else 0.0
                    if state.stones[row, column] != 0:
                        other = 0 if state.stones[row, column] == state.to_move + 1 else 1
                        planes[other, row, column] = 1.0
                        planes[2 + other, row, column] = 1.0 if state.joined[row, column] != 0 else 0.0

        def pieces(state):
            return ["".join(".XO"[stone] for stone in row) for row in state.stones]

        def draw(state):
            return with_coordinates(Hex.pieces(state), slanted=True, from_top=True)

        def action_name(action):  # rows count from the top here
            return "swap" if action == cells else f"{LETTERS[action % size]}{action // size + 1}"

    return Hex


def swapped(stones):
    """Take the only stone away; the cell (row, column) where the other player's takes its place."""
    for row in range(stones.shape[0]):
        for column in range(stones.shape[1]):
            if stones[row, column] != 0:
                stones[row, column] = 0
                return column, row
    return 0, 0


def joins_edges(stones, joined, row, column):
    """Note what the new stone at (row, column) joins; whether both edges of its player are joined by it."""
    size, stone = stones.shape[0], stones[row, column]
    along = row if stone == 1 else column
    found = (FIRST_EDGE if along == 0 else 0) | (LAST_EDGE if along == size - 1 else 0)
    for side in range(6):
        r, c = row + NEIGHBOURS[side, 0], column + NEIGHBOURS[side, 1]
        if 0 <= r < size and 0 <= c < size and stones[r, c] == stone:
            found |= joined[r, c]
    joined[row, column] = found
    if found == FIRST_EDGE | LAST_EDGE:
        return True
    if found != 0:
        spread(stones, joined, row, column)
    return False


def spread(stones, joined, row, column):
    """Tell the stones that hang together with the one at (row, column) what it is joined with."""
    size, stone, found = stones.shape[0], stones[row, column], joined[row, column]
    waiting = np.empty(stones.size, np.int16)
    waiting[0], count = row * size + column, 1
    while count > 0:
        count -= 1
        row, column = waiting[count] // size, waiting[count] % size
        for side in range(6):
            r, c = row + NEIGHBOURS[side, 0], column + NEIGHBOURS[side, 1]
            if 0 <= r < size and 0 <= c < size and stones[r, c] == stone and joined[r, c] != found:
                joined[r, c] = found
                waiting[count] = r * size + c
                count += 1
