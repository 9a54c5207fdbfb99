"""Othello: discs that are enclosed in a line are turned over; who has more of them in the end wins.

A player who cannot enclose anything passes; when neither can, the game is over. The discs of a player are the bits of
one number, row by row from the top left. A step in some direction shifts all of them at once; bits that would run over
the edge of the board are masked out. Planes, as seen by the player to move: 0 own discs, 1 the opponent's, 2 cells
where the player may play.
"""

from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta

from selfplay.games.bits import NONE, bit, count, has
from selfplay.games.coordinates import LETTERS, with_coordinates
from selfplay.games.game import DRAW, LOSS, ONGOING, WIN, Game
from selfplay.games.symmetry import half_turn, transpose


class Parameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Size of the board."""

    size: Annotated[int, Meta(description="cells of a side: 8, 6 or 4", ge=4, le=8, multiple_of=2)] = 8


def othello(parameters: Parameters) -> type[Game]:
    """Enclose the opponent's discs to turn them over; more discs win."""
    size = parameters.size
    cells = size * size
    steps = steps_of(size)

    class Othello(Game):
        __doc__ = othello.__doc__

        name, board_shape, num_actions, num_planes = "othello", (size, size), cells + 1, 3  # the last action: pass
        max_plies, typical_plies = 2 * (cells - 4), cells - 4
        State = np.dtype([("discs", np.uint64, (2,)), ("to_move", np.int8)])  # of each player, a bit for each cell
        symmetries = (half_turn, transpose)  # a quarter turn would change who holds which diagonal

        def start(state):
            low, high = size // 2 - 1, size // 2
            state.discs[0] = bit(low * size + high) | bit(high * size + low)
            state.discs[1] = bit(low * size + low) | bit(high * size + high)
            state.to_move = 0

        def legal(state, mask):
            places = places_of(state.discs, state.to_move, steps, size)
            mask[cells] = places == NONE
            for cell in range(cells):
                mask[cell] = has(places, cell)

        def play(state, action):
            player = state.to_move
            state.to_move = 1 - player
            if action == cells:
                return ONGOING  # who passes does so because the other one can play
            turned = enclosed_by(state.discs, player, bit(action), steps, size)
            state.discs[player] |= turned | bit(action)
            state.discs[1 - player] &= ~turned
            if places_of(state.discs, 1 - player, steps, size) | places_of(state.discs, player, steps, size) != NONE:
                return ONGOING
            own, other = count(state.discs[player]), count(state.discs[1 - player])
            return WIN if own > other else LOSS if own < other else DRAW

        def encode(state, planes):
            places = places_of(state.discs, state.to_move, steps, size)
            for cell in range(cells):
                row, column = cell // size, cell % size
                planes[0, row, column] = has(state.discs[state.to_move], cell)
                planes[1, row, column] = has(state.discs[1 - state.to_move], cell)
                planes[2, row, column] = has(places, cell)

        def pieces(state):
            first, second = state.discs
            marks = ["X" if has(first, cell) else "O" if has(second, cell) else "." for cell in range(cells)]
            return ["".join(marks[row : row + size]) for row in range(0, cells, size)]

        def draw(state):
            first, second = (count(discs) for discs in state.discs)
            return f"{with_coordinates(Othello.pieces(state), from_top=True)}\n{first} : {second}"

        def action_name(action):  # rows count from the top here
            return "pass" if action == cells else f"{LETTERS[action % size]}{action // size + 1}"

    return Othello


def steps_of(size: int) -> np.ndarray:
    """For each of four directions how far bits are shifted, and which may go on forwards, and backwards: [4, 3]."""
    board = range(size * size)
    not_last = sum(1 << cell for cell in board if cell % size < size - 1)
    not_first = sum(1 << cell for cell in board if cell % size > 0)
    all_cells = (1 << size * size) - 1
    return np.array(
        [
            [1, not_last, not_first],
            [size, all_cells, all_cells],
            [size + 1, not_last, not_first],
            [size - 1, not_first, not_last],
        ],
        np.uint64,
    )


def shifted(discs, steps, direction):
    """All discs one step on in a direction: four ways forwards, then the same backwards."""
    if direction < 4:
        return (discs & steps[direction, 1]) << steps[direction, 0]
    return (discs & steps[direction - 4, 2]) >> steps[direction - 4, 0]


def places_of(discs, player, steps, size):
    """Free cells where a disc of the player encloses something."""
    own, other = discs[player], discs[1 - player]
    free, places = ~(own | other), NONE
    for direction in range(8):
        run = shifted(own, steps, direction) & other
        for _ in range(size - 3):
            run |= shifted(run, steps, direction) & other
        places |= shifted(run, steps, direction) & free
    return places & board_of(size)


def enclosed_by(discs, player, disc, steps, size):
    """Discs of the other player that a new disc encloses with one that is there."""
    own, other, enclosed = discs[player], discs[1 - player], NONE
    for direction in range(8):
        run = shifted(disc, steps, direction) & other
        for _ in range(size - 3):
            run |= shifted(run, steps, direction) & other
        if shifted(run, steps, direction) & own != NONE:
            enclosed |= run
    return enclosed


def board_of(size):
    """All cells of the board."""
    return ~NONE >> np.uint64(64 - size * size)
