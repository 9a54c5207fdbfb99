"""Checkers (English draughts): men move diagonally forward, kings both ways; who can take must, and goes on taking.

The first player has the lower side. A jump is a ply of its own: who can take on with the same piece moves again, unless it
has just been crowned. Who cannot move has lost; forty plies without a capture are a draw.
An action is a cell × four directions (up-left, up-right, down-right, down-left) × (step, jump); as in OpenSpiel.
Planes, as seen by the player to move: 0 own men, 1 own kings, 2 and 3 the opponent's, 4 the piece that must take on, 5 ones
if the first player is to move (whose men go up), 6 plies without a capture / 40.
"""

import numpy as np

from selfplay.games.coordinates import cell_name, with_coordinates
from selfplay.games.game import DRAW, ONGOING, WIN, Game

SIDE, MOST_QUIET = 8, 40
STEPS = np.array([[-1, -1], [-1, 1], [1, 1], [1, -1]], np.int8)  # (down, right) of each direction
KING = 2  # added to player + 1 for a crowned piece: 1 and 2 are men, 3 and 4 kings


class Checkers(Game):
    """Take all of the other one's pieces, or shut them in."""

    name, board_shape, num_actions, num_planes = "checkers", (SIDE, SIDE), SIDE * SIDE * 8, 7
    max_plies, typical_plies = 1000, 80  # 24 captures, and at most 40 plies between two
    State = np.dtype(
        [
            ("pieces", np.int8, (SIDE, SIDE)),
            ("jumps_on", np.int8),  # cell of the piece that must take on, plus 1; 0 = none
            ("quiet", np.int8),  # plies since the last capture
            ("to_move", np.int8),
        ]
    )

    def start(state):
        for row in range(SIDE):
            for column in range(SIDE):
                if (row + column) % 2 == 1 and row not in (3, 4):
                    state.pieces[row, column] = 2 if row < 3 else 1
        state.to_move = 0

    def legal(state, mask):
        must_jump = state.jumps_on > 0 or has_move(state.pieces, state.to_move, True)
        for cell in range(SIDE * SIDE):
            if state.jumps_on > 0 and state.jumps_on != cell + 1:
                continue
            for direction in range(4):
                if can_go(state.pieces, state.to_move, cell, direction, must_jump):
                    mask[cell * 8 + direction * 2 + must_jump] = True

    def play(state, action):
        player, cell, direction, is_jump = state.to_move, action // 8, action % 8 // 2, action % 2
        row, column = cell // SIDE, cell % SIDE
        down, right = STEPS[direction, 0], STEPS[direction, 1]
        r, c = row + (1 + is_jump) * down, column + (1 + is_jump) * right
        piece = state.pieces[row, column]
        crowned = piece <= 2 and r == (0 if player == 0 else SIDE - 1)
        state.pieces[r, c] = piece + KING if crowned else piece
        state.pieces[row, column] = 0
        state.quiet += 1
        state.jumps_on = 0
        if is_jump:
            state.pieces[row + down, column + right] = 0
            state.quiet = 0
            for on in range(4):
                if not crowned and can_go(state.pieces, player, r * SIDE + c, on, True):
                    state.jumps_on = r * SIDE + c + 1
                    return ONGOING
        state.to_move = 1 - player
        if state.quiet >= MOST_QUIET:
            return DRAW
        moves = has_move(state.pieces, 1 - player, False) or has_move(state.pieces, 1 - player, True)
        return ONGOING if moves else WIN

    def encode(state, planes):
        for row in range(SIDE):
            for column in range(SIDE):
                piece = state.pieces[row, column]
                if piece != 0:
                    other = 0 if owner_of(piece) == state.to_move else 2
                    planes[other + (piece > 2), row, column] = 1.0
                planes[5, row, column] = 1.0 - state.to_move
                planes[6, row, column] = state.quiet / MOST_QUIET
        if state.jumps_on > 0:
            planes[4, (state.jumps_on - 1) // SIDE, (state.jumps_on - 1) % SIDE] = 1.0

    def pieces(state):
        # Kings as letters, large for the first player.
        return [
            "".join(" " if (row + column) % 2 == 0 else ".XOKk"[state.pieces[row, column]] for column in range(SIDE))
            for row in range(SIDE)
        ]

    def cells(state, action):
        (row, column), (r, c) = ends_of(action)
        return [(row, column), (r, c)]

    def draw(state):
        return with_coordinates(Checkers.pieces(state))

    def action_name(action):
        (row, column), (r, c) = ends_of(action)
        inside = 0 <= r < SIDE and 0 <= c < SIDE
        target = cell_name(r, c, SIDE) if inside else f"off {action % 8 // 2}"  # off the board is never legal
        return f"{cell_name(row, column, SIDE)}{'x' if action % 2 else ''}{target}"


def ends_of(action: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """(row, column) from where and to where."""
    row, column = divmod(action // 8, SIDE)
    down, right = (int(step) * (1 + action % 2) for step in STEPS[action % 8 // 2])
    return (row, column), (row + down, column + right)


def owner_of(piece):
    """The player whose piece it is."""
    return (piece - 1) % KING


def can_go(pieces, player, cell, direction, jumps):
    """Whether a piece of the player stands on the cell and can step, or jump, in the direction."""
    piece = pieces[cell // SIDE, cell % SIDE]
    if piece == 0 or owner_of(piece) != player:
        return False
    if piece <= 2 and (direction > 1) == (player == 0):
        return False
    down, right = STEPS[direction, 0], STEPS[direction, 1]
    row, column = cell // SIDE + down, cell % SIDE + right
    if not (0 <= row < SIDE and 0 <= column < SIDE):
        return False
    there = pieces[row, column]
    if not jumps:
        return there == 0
    r, c = row + down, column + right
    is_inside = 0 <= r < SIDE and 0 <= c < SIDE
    return is_inside and there != 0 and owner_of(there) != player and pieces[r, c] == 0


def has_move(pieces, player, jumps):
    """Whether some piece of the player can step, or jump."""
    for cell in range(SIDE * SIDE):
        for direction in range(4):
            if can_go(pieces, player, cell, direction, jumps):
                return True
    return False
