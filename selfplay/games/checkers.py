"""Checkers (English draughts): men move diagonally forward, kings both ways; who can take must, and goes on taking.

The first player has the lower side. A jump is a ply of its own: who can take on with the same piece moves again, unless
it has just been crowned. Who cannot move has lost; forty plies without a capture are a draw. An action is a cell × four
directions (up-left, up-right, down-right, down-left) × (step, jump); as in OpenSpiel. Planes, as seen by the player to
move: 0 own men, 1 own kings, 2 and 3 the opponent's, 4 the piece that must take on, 5 ones if the first player is to
move (whose men go up), 6 plies without a capture / 40.
"""

import numpy as np

from selfplay.games.bits import NONE, bit, has
from selfplay.games.coordinates import cell_name, with_coordinates
from selfplay.games.game import DRAW, ONGOING, WIN, Game

SIDE, MOST_QUIET = 8, 40
STEPS = ((-1, -1), (-1, 1), (1, 1), (1, -1))  # (down, right) of each direction; the opposite one is two further on
LEFT = np.uint64(0x0101010101010101)  # the leftmost column
RIGHT = np.uint64(0x8080808080808080)
NINE, SEVEN = np.uint64(9), np.uint64(7)


class Checkers(Game):
    """Take all of the other one's pieces, or shut them in."""

    name, board_shape, num_actions, num_planes = "checkers", (SIDE, SIDE), SIDE * SIDE * 8, 7
    board_kind = "chequered"
    max_plies, typical_plies = 1000, 80  # 24 captures, and at most 40 plies between two
    State = np.dtype(
        [
            ("men", np.uint64, (2,)),  # of each player, a bit for each cell
            ("kings", np.uint64, (2,)),
            ("jumps_on", np.int8),  # cell of the piece that must take on, plus 1; 0 = none
            ("quiet", np.int8),  # plies since the last capture
            ("to_move", np.int8),
        ]
    )

    def start(state):
        for cell in range(SIDE * SIDE):
            row, column = cell // SIDE, cell % SIDE
            if (row + column) % 2 == 1 and row not in (3, 4):
                state.men[1 if row < 3 else 0] |= bit(cell)
        state.to_move = 0

    def legal(state, mask):
        must_jump = state.jumps_on > 0 or can_go(state, state.to_move, True)
        for direction in range(4):
            ready = ready_to_go(state, state.to_move, direction, must_jump)
            if state.jumps_on > 0:
                ready &= bit(state.jumps_on - 1)
            for cell in range(SIDE * SIDE):
                if has(ready, cell):
                    mask[cell * 8 + direction * 2 + must_jump] = True

    def play(state, action):
        player, cell, direction, is_jump = state.to_move, action // 8, action % 8 // 2, action % 2
        piece = bit(cell)
        target = moved(piece, direction)
        state.quiet += 1
        state.jumps_on = 0
        if is_jump:
            state.men[1 - player] &= ~target
            state.kings[1 - player] &= ~target
            target = moved(target, direction)
            state.quiet = 0
        is_man = state.men[player] & piece != NONE
        row = cell // SIDE + (1 + is_jump) * (-1 if direction < 2 else 1)
        crowned = is_man and row == (0 if player == 0 else SIDE - 1)
        state.men[player] &= ~piece
        state.kings[player] &= ~piece
        if is_man and not crowned:
            state.men[player] |= target
        else:
            state.kings[player] |= target
        if is_jump and not crowned:
            for on in range(4):
                if ready_to_go(state, player, on, True) & target != NONE:
                    state.jumps_on = 1 + cell + 2 * ((-9, -7, 9, 7)[direction])
                    return ONGOING
        state.to_move = 1 - player
        if state.quiet >= MOST_QUIET:
            return DRAW
        return ONGOING if can_go(state, 1 - player, False) or can_go(state, 1 - player, True) else WIN

    def encode(state, planes):
        own, other = state.to_move, 1 - state.to_move
        for cell in range(SIDE * SIDE):
            row, column = cell // SIDE, cell % SIDE
            planes[0, row, column] = has(state.men[own], cell)
            planes[1, row, column] = has(state.kings[own], cell)
            planes[2, row, column] = has(state.men[other], cell)
            planes[3, row, column] = has(state.kings[other], cell)
            planes[4, row, column] = state.jumps_on == cell + 1
            planes[5, row, column] = 1.0 - own
            planes[6, row, column] = state.quiet / MOST_QUIET

    def pieces(state):
        # Kings as letters, large for the first player.
        sets = [(state.men[0], "X"), (state.men[1], "O"), (state.kings[0], "K"), (state.kings[1], "k")]
        board = ["."] * (SIDE * SIDE)
        for cell in range(SIDE * SIDE):
            board[cell] = next((mark for cells, mark in sets if has(cells, cell)), board[cell])
        return ["".join(board[row : row + SIDE]) for row in range(0, SIDE * SIDE, SIDE)]

    def cells(state, action):
        return ends_of(action)

    def draw(state):
        return with_coordinates(Checkers.pieces(state))

    def action_name(action):
        (row, column), (r, c) = ends_of(action)
        inside = 0 <= r < SIDE and 0 <= c < SIDE
        target = cell_name(r, c, SIDE) if inside else f"off {action % 8 // 2}"  # off the board is never legal
        return f"{cell_name(row, column, SIDE)}{'x' if action % 2 else ''}{target}"


def ends_of(action: int) -> list[tuple[int, int]]:
    """(row, column) from where and to where."""
    row, column = divmod(action // 8, SIDE)
    down, right = (step * (1 + action % 2) for step in STEPS[action % 8 // 2])
    return [(row, column), (row + down, column + right)]


def moved(cells, direction):
    """All cells of a set one step on; those that would leave the board are gone."""
    if direction == 0:
        return (cells & ~LEFT) >> NINE
    if direction == 1:
        return (cells & ~RIGHT) >> SEVEN
    if direction == 2:
        return (cells & ~RIGHT) << NINE
    return (cells & ~LEFT) << SEVEN


def ready_to_go(state, player, direction, jumps):
    """The player's pieces that can step, or jump, in a direction."""
    pieces = state.kings[player]
    if (direction < 2) == (player == 0):
        pieces |= state.men[player]
    others = state.men[1 - player] | state.kings[1 - player]
    free = ~(others | state.men[player] | state.kings[player])
    back = (direction + 2) % 4
    before = moved(free, back)  # cells whose next one is free
    return pieces & (moved(others & before, back) if jumps else before)


def can_go(state, player, jumps):
    """Whether some piece of the player can step, or jump."""
    for direction in range(4):
        if ready_to_go(state, player, direction, jumps) != NONE:
            return True
    return False
