"""Chess, by FIDE's laws: checkmate wins; stalemate, the third time of a position, fifty moves without capture or pawn
move, and material with which nobody can mate are draws, at once and unasked.

Squares are numbered row by row from a8. Actions are all moves that some piece could make on an empty board, named as in
UCI ("e2e4", "e7e8q"); castling is the king's move. Planes, as seen by the player to move: 0 to 5 own pawns, knights,
bishops, rooks, queens, king, 6 to 11 the opponent's, 12 to 15 own right to castle on the king's and on the queen's
side, and the opponent's, 16 the square behind a pawn that may be taken in passing, 17 plies without capture or pawn
move / 100, 18 ones if the position was there before, 19 ones if white is to move.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from selfplay.errors import GameError
from selfplay.games.chess_moves import (
    A1,
    A8,
    BISHOP,
    E1,
    E8,
    H1,
    H8,
    KEPT_RIGHTS,
    KING,
    KNIGHT,
    MOVES,
    PAWN,
    QUEEN,
    ROOK,
    can_take_in_passing,
    is_attacked,
    kind_of,
    mark_moves,
    move_piece,
    owner_of,
)
from selfplay.games.coordinates import cell_name, with_coordinates
from selfplay.games.game import DRAW, ONGOING, WIN, Game

LETTERS = ".PNBRQKpnbrqk"
QUIET_PLIES = 100  # a draw after so many
# Numbers whose XOR is a position's hash (Zobrist 1970): pieces on squares, rights, squares in passing, player to move.
ZOBRIST = np.random.default_rng(64).integers(1, 2**64, (15, 64), dtype=np.uint64)


class Chess(Game):
    """Checkmate the other king."""

    name, board_shape, num_actions, num_planes = "chess", (8, 8), len(MOVES), 20
    board_kind = "chequered"
    max_plies, typical_plies = 17_697, 120  # no game can be longer: fifty moves between two captures or pawn moves
    State = np.dtype(
        [
            ("seen", np.uint64, (QUIET_PLIES + 1,)),  # hashes since the last capture or pawn move; now is seen[quiet]
            ("board", np.int8, (64,)),
            ("kings", np.int8, (2,)),  # squares
            ("rights", np.int8),
            ("passing", np.int8),  # square behind a pawn that may be taken in passing; 0 = none
            ("quiet", np.int16),
            ("to_move", np.int8),
            ("spare", np.int8),  # a state of whole words is hashed by words
        ]
    )

    def start(state):
        for column in range(8):
            kind = (ROOK, KNIGHT, BISHOP, QUEEN, KING, BISHOP, KNIGHT, ROOK)[column]
            state.board[column], state.board[A1 + column] = 7 + kind, 1 + kind
            state.board[8 + column], state.board[48 + column] = 7 + PAWN, 1 + PAWN
        state.kings[0], state.kings[1] = E1, E8
        state.rights = 15
        state.to_move = 0
        state.seen[0] = hash_of(state)

    def legal(state, mask):
        mark_moves(state, mask, False)

    def play(state, action):
        source, target, becomes = MOVES[action, 0], MOVES[action, 1], MOVES[action, 2]
        player, piece = state.to_move, state.board[source]
        lasts = state.board[target] != 0 or kind_of(piece) == PAWN
        move_piece(state, source, target, becomes)
        state.rights &= KEPT_RIGHTS[source] & KEPT_RIGHTS[target]
        state.to_move = 1 - player
        state.passing = 0
        if kind_of(piece) == PAWN and abs(target - source) == 16:
            state.passing = (source + target) // 2
            if not can_take_in_passing(state):
                state.passing = 0
        if lasts:
            state.seen[: state.quiet + 1] = 0
            state.quiet = -1
        state.quiet += 1
        state.seen[state.quiet] = hash_of(state)
        if not mark_moves(state, np.empty(0, np.bool_), True):
            return WIN if is_attacked(state.board, state.kings[1 - player], player) else DRAW
        if state.quiet >= QUIET_PLIES or times_seen(state) >= 3 or nobody_can_mate(state.board):
            return DRAW
        return ONGOING

    def encode(state, planes):
        for square in range(64):
            piece = state.board[square]
            if piece != 0:
                other = 0 if owner_of(piece) == state.to_move else 6
                planes[other + kind_of(piece), square // 8, square % 8] = 1.0
        for right in range(4):
            shift = right if state.to_move == 0 else (right + 2) % 4
            planes[12 + right, :, :] = (state.rights >> shift) & 1
        if state.passing > 0:
            planes[16, state.passing // 8, state.passing % 8] = 1.0
        planes[17, :, :] = state.quiet / QUIET_PLIES
        planes[18, :, :] = 1.0 if times_seen(state) > 1 else 0.0
        planes[19, :, :] = 1.0 - state.to_move

    def pieces(state):
        return ["".join(LETTERS[piece] for piece in row) for row in state.board.reshape(8, 8)]

    def cells(state, action):
        source, target, becomes = (int(part) for part in MOVES[action])
        # Four promotions share their squares: the queen is clicked, the others have buttons.
        return [] if becomes not in (-1, QUEEN) else [divmod(source, 8), divmod(target, 8)]

    def draw(state):
        return with_coordinates(Chess.pieces(state))

    def action_name(action):
        source, target, becomes = (int(part) for part in MOVES[action])
        promotion = "" if becomes < 0 else "pnbrqk"[becomes]
        return cell_name(source // 8, source % 8, 8) + cell_name(target // 8, target % 8, 8) + promotion


def hash_of(state):
    """The hash of what makes two positions the same for the third time."""
    found = ZOBRIST[12, state.rights] ^ ZOBRIST[13, state.passing] ^ ZOBRIST[14, state.to_move]
    for square in range(64):
        if state.board[square] != 0:
            found ^= ZOBRIST[state.board[square] - 1, square]
    return found


def times_seen(state):
    """How often this position was there, this time counted."""
    times = 0
    for ply in range(state.quiet + 1):
        times += state.seen[ply] == state.seen[state.quiet]
    return times


def nobody_can_mate(board):
    """Two kings, and besides them one knight, or bishops on squares of one colour."""
    knights, light, dark = 0, 0, 0
    for square in range(64):
        if board[square] == 0:
            continue
        kind = kind_of(board[square])
        if kind in (PAWN, ROOK, QUEEN):
            return False
        if kind == KNIGHT:
            knights += 1
        elif kind == BISHOP:
            if (square // 8 + square % 8) % 2 == 0:
                light += 1
            else:
                dark += 1
    bishops = light + dark
    return (knights == 0 and (light == 0 or dark == 0)) or (knights == 1 and bishops == 0)


def state_from_fen(fen: str) -> Any:
    """The state [1] of a position in Forsyth-Edwards notation; raises `GameError` where it is none.

    What was there before counts as forgotten.
    """
    parts = fen.split()
    state = np.zeros(1, Chess.State).view(np.recarray)
    record = state[0]
    try:
        placed = "".join(int(sign) * "." if sign.isdigit() else sign for sign in parts[0].replace("/", ""))
        record.board[:] = [LETTERS.index(sign) for sign in placed]
        kings = placed.index("K"), placed.index("k")
        record.to_move = "wb".index(parts[1])
        record.rights = sum(bit for sign, bit in zip("KQkq", (1, 2, 4, 8), strict=True) if sign in parts[2])
        record.passing = 0 if parts[3] == "-" else 8 * (8 - int(parts[3][1])) + "abcdefgh".index(parts[3][0])
        record.quiet = 0
    except (ValueError, IndexError) as error:
        raise GameError(f'"{fen}" is no position in FEN ({error})') from None
    record.kings[:] = kings
    for square, right, piece in ((E1, 3, "K"), (E8, 12, "k"), (H1, 1, "R"), (A1, 2, "R"), (H8, 4, "r"), (A8, 8, "r")):
        if placed[square] != piece:
            record.rights &= ~right
    if record.passing and not can_take_in_passing(record):
        record.passing = 0
    record.seen[0] = hash_of(record)
    return np.array(state, Chess.State)
