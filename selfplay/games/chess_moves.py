"""How pieces move in chess: tables of the empty board, attacks, legal moves. Knows no game's end and no planes.

Squares are numbered row by row from a8. A piece is 1 + its kind, and 6 more for black; player 0 is white. What is
called `state` is a record of `Chess.State`. Sets of squares are bits of a number (`bits.py`). Compiled with the rules
that call it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from selfplay.games.bits import NONE, bit, has

PAWN, KNIGHT, BISHOP, ROOK, QUEEN, KING = range(6)  # kinds; a piece is 1 + kind, and 6 more for black
WHITE_SHORT, WHITE_LONG, BLACK_SHORT, BLACK_LONG = 1, 2, 4, 8  # rights to castle: bits
A1, E1, H1, A8, E8, H8 = 56, 60, 63, 0, 4, 7
PROMOTIONS = (QUEEN, ROOK, BISHOP, KNIGHT)
STEPS = ((-1, 0), (1, 0), (0, -1), (0, 1), (-1, -1), (-1, 1), (1, -1), (1, 1))  # of rooks, then of bishops
LEAPS = ((-2, -1), (-2, 1), (-1, -2), (-1, 2), (1, -2), (1, 2), (2, -1), (2, 1))


def _targets(steps: tuple[tuple[int, int], ...], most: int) -> npt.NDArray[np.int8]:
    """Squares [64, steps, most + 1] on the way from each square in each direction; -1 behind the last one."""
    table = np.full((64, len(steps), most + 1), -1, np.int8)
    for square in range(64):
        for way, (down, right) in enumerate(steps):
            for far in range(1, most + 1):
                row, column = square // 8 + far * down, square % 8 + far * right
                if 0 <= row < 8 and 0 <= column < 8:
                    table[square, way, far - 1] = 8 * row + column
    return table


def _sets(targets: npt.NDArray[np.int8]) -> npt.NDArray[np.uint64]:
    """The squares in each row of a table [64, k], as sets."""
    return np.array([sum(1 << int(target) for target in row if target >= 0) for row in targets], np.uint64)


def _moves() -> list[tuple[int, int, int]]:
    """(from, to, kind that a pawn becomes or -1) of every action."""
    moves = []
    for square in range(64):
        reached = {int(target) for table in (RAYS, HOPS) for target in table[square].flat if target >= 0}
        moves += [(square, target, -1) for target in sorted(reached)]
    for row, last in ((1, 0), (6, 7)):
        for column in range(8):
            for to_column in range(max(0, column - 1), min(8, column + 2)):
                moves += [(8 * row + column, 8 * last + to_column, kind) for kind in PROMOTIONS]
    return moves


RAYS, HOPS = _targets(STEPS, 7), _targets(LEAPS, 1)  # [64, 8, 8] and [64, 8, 2]
MOVES = np.array(_moves(), np.int8)  # [A, 3]
MOVE_OF = np.full((64, 64), -1, np.int16)  # the action that goes from one square to another
PROMOTION_OF = np.full((64, 64), -1, np.int16)  # the first of four, in the order of PROMOTIONS
KEPT_RIGHTS = np.full(64, 15, np.int8)  # rights to castle that are left when something moves from or to a square
for _action, (_source, _target, _kind) in enumerate(MOVES):
    if _kind < 0:
        MOVE_OF[_source, _target] = _action
    elif _kind == PROMOTIONS[0]:
        PROMOTION_OF[_source, _target] = _action
KNIGHT_SETS, KING_SETS = _sets(HOPS[:, :, 0]), _sets(RAYS[:, :, 0])
PAWN_SETS = np.stack([_sets(RAYS[:, ways, 0]) for ways in ([4, 5], [6, 7])])  # [2, 64] white pawns attack upwards
for _square, _right in ((H1, WHITE_SHORT), (A1, WHITE_LONG), (H8, BLACK_SHORT), (A8, BLACK_LONG)):
    KEPT_RIGHTS[_square] -= _right
KEPT_RIGHTS[E1] -= WHITE_SHORT + WHITE_LONG
KEPT_RIGHTS[E8] -= BLACK_SHORT + BLACK_LONG


def owner_of(piece):
    """0 white, 1 black."""
    return 0 if piece <= 6 else 1


def kind_of(piece):
    """PAWN to KING."""
    return (piece - 1) % 6


def move_piece(state, source, target, becomes):
    """Move what stands on `source`, with what goes along: the rook, a pawn taken in passing, a pawn's promotion."""
    board, piece = state.board, state.board[source]
    if kind_of(piece) == PAWN and target == state.passing and state.passing > 0:
        board[target + (8 if piece == 1 + PAWN else -8)] = 0
    if kind_of(piece) == KING:
        state.kings[owner_of(piece)] = target
        if abs(target - source) == 2:
            corner = source + 3 if target > source else source - 4
            board[(source + target) // 2] = board[corner]
            board[corner] = 0
    board[target] = piece if becomes < 0 else piece - PAWN + becomes
    board[source] = 0


class Scan(NamedTuple):
    """What is known while the moves of a position are looked for."""

    board: Any  # [64]; changed and put back on the way
    player: int  # to move
    king: int  # where that player's king stands
    attacked: Any  # squares that the other player attacks, the king seen through: a set (`bits.py`)
    in_check: bool  # whether the king is attacked now, or may be
    pinned: Any  # pieces of one's own between the king and a piece that would attack it: a set
    mask: Any  # [A] to be set on legal moves
    any_will_do: bool  # only whether there is a move is asked, and the mask has no room


def scan_of(state, mask, any_will_do):
    """A scan of the position."""
    king = state.kings[state.to_move]
    attacked = attacked_by(state.board, 1 - state.to_move, king)
    pinned = pinned_pieces(state.board, state.to_move, king)
    return Scan(state.board, state.to_move, king, attacked, has(attacked, king), pinned, mask, any_will_do)


def mark_moves(state, mask, any_will_do):
    """Set the mask on all legal moves, or only find out whether there is one."""
    found, scan = False, scan_of(state, mask, any_will_do)
    for source in range(64):
        piece = scan.board[source]
        if piece == 0 or owner_of(piece) != scan.player:
            continue
        kind = kind_of(piece)
        if kind == PAWN:
            found |= mark_pawn(scan, source, state.passing)
        elif kind == KNIGHT:
            found |= mark_along(scan, source, HOPS, 0, 8)
        elif kind == KING:
            found |= mark_king(scan, source, (state.rights >> (2 * scan.player)) & 3)
        else:
            found |= mark_along(scan, source, RAYS, 4 if kind == BISHOP else 0, 4 if kind == ROOK else 8)
        if found and any_will_do:
            return True
    return found


def mark_along(scan, source, table, first, last):
    """Moves of a piece along some of the rays or hops in a table."""
    found = False
    for way in range(first, last):
        for far in range(table.shape[2]):
            target = table[source, way, far]
            if target < 0:
                break
            there = scan.board[target]
            if there != 0 and owner_of(there) == scan.player:
                break
            if is_safe(scan, source, target, target):
                found = True
                if scan.any_will_do:
                    return True
                scan.mask[MOVE_OF[source, target]] = True
            if there != 0:
                break
    return found


def mark_king(scan, source, rights):
    """Moves of a king, castling among them; `rights` are the player's own."""
    found, board = False, scan.board
    for way in range(8):
        target = RAYS[source, way, 0]
        if target < 0 or has(scan.attacked, target):
            continue
        if board[target] == 0 or owner_of(board[target]) != scan.player:
            found = True
            if scan.any_will_do:
                return True
            scan.mask[MOVE_OF[source, target]] = True
    if scan.any_will_do or rights == 0 or scan.in_check:
        return found  # who can castle can also move a rook
    for side in range(2):
        step, between = (1, 2) if side == 0 else (-1, 3)
        free = (rights >> side) & 1 == 1
        for far in range(1, between + 1):
            free = free and board[source + far * step] == 0
        for far in range(1, 3):
            free = free and not has(scan.attacked, source + far * step)
        if free:
            found = True
            scan.mask[MOVE_OF[source, source + 2 * step]] = True
    return found


def mark_pawn(scan, source, passing):
    """Moves of a pawn."""
    player, found = scan.player, False
    ahead = -8 if player == 0 else 8
    steps = 2 if source // 8 == (6 if player == 0 else 1) else 1
    for far in range(1, steps + 1):
        target = source + far * ahead
        if scan.board[target] != 0:
            break
        if is_safe(scan, source, target, target):
            found = True
            mark_pawn_move(scan, source, target)
    for side in (-1, 1):
        if not 0 <= source % 8 + side < 8:
            continue
        target = source + ahead + side
        there = scan.board[target]
        takes = there != 0 and owner_of(there) != player
        passes = target == passing and passing > 0
        if (takes or passes) and is_safe(scan, source, target, target - ahead if passes else target):
            found = True
            mark_pawn_move(scan, source, target)
    return found


def mark_pawn_move(scan, source, target):
    """Set the mask on a pawn's move, or on all its promotions."""
    if scan.any_will_do:
        return
    if 8 <= target < 56:
        scan.mask[MOVE_OF[source, target]] = True
    else:
        for choice in range(4):
            scan.mask[PROMOTION_OF[source, target] + choice] = True


def is_safe(scan, source, target, taken):
    """Whether the own king is not attacked after another piece's move that takes what stands on `taken`."""
    board, king = scan.board, scan.king
    if taken == target and not scan.in_check and not has(scan.pinned, source):
        return True
    mover, victim = board[source], board[taken]
    board[source] = board[taken] = 0
    board[target] = mover
    safe = not is_attacked(board, king, 1 - scan.player)
    board[target] = 0
    board[taken], board[source] = victim, mover
    return safe


def attacked_by(board, by, king):
    """The squares that player `by` attacks, as a set; the king on `king` covers nothing behind it."""
    found = NONE
    for square in range(64):
        piece = board[square]
        if piece == 0 or owner_of(piece) != by:
            continue
        kind = kind_of(piece)
        if kind == PAWN:
            found |= PAWN_SETS[by, square]
        elif kind == KNIGHT:
            found |= KNIGHT_SETS[square]
        elif kind == KING:
            found |= KING_SETS[square]
        else:
            for way in range(4 if kind == BISHOP else 0, 4 if kind == ROOK else 8):
                for far in range(7):
                    target = RAYS[square, way, far]
                    if target < 0:
                        break
                    found |= bit(target)
                    if board[target] != 0 and target != king:
                        break
    return found


def pinned_pieces(board, player, king):
    """Pieces of the player that alone stand between the king and a rook, bishop or queen on the same line."""
    pinned = NONE
    for way in range(8):
        shield = -1
        for far in range(7):
            target = RAYS[king, way, far]
            if target < 0:
                break
            piece = board[target]
            if piece == 0:
                continue
            if owner_of(piece) == player:
                if shield >= 0:
                    break
                shield = target
                continue
            kind = kind_of(piece)
            if shield >= 0 and (kind == QUEEN or kind == (ROOK if way < 4 else BISHOP)):
                pinned |= bit(shield)
            break
    return pinned


def is_attacked(board, square, by):
    """Whether a piece of player `by` attacks the square."""
    base = 1 + 6 * by
    down = 1 if by == 0 else -1  # white pawns attack upwards: they stand below
    row, column = square // 8 + down, square % 8
    if 0 <= row < 8:
        if column > 0 and board[8 * row + column - 1] == base + PAWN:
            return True
        if column < 7 and board[8 * row + column + 1] == base + PAWN:
            return True
    for way in range(8):
        hop = HOPS[square, way, 0]
        if hop >= 0 and board[hop] == base + KNIGHT:
            return True
    for way in range(8):
        slider = base + (ROOK if way < 4 else BISHOP)
        for far in range(7):
            target = RAYS[square, way, far]
            if target < 0:
                break
            piece = board[target]
            if piece != 0:
                if piece == slider or piece == base + QUEEN or (far == 0 and piece == base + KING):
                    return True
                break
    return False


def can_take_in_passing(state):
    """Whether the player to move has a legal capture on the square in passing."""
    victim = state.passing - (-8 if state.to_move == 0 else 8)
    scan = scan_of(state, np.empty(0, np.bool_), True)
    for side in (-1, 1):
        source = victim + side
        if source // 8 == victim // 8 and state.board[source] == 1 + 6 * state.to_move + PAWN:
            if is_safe(scan, source, state.passing, victim):
                return True
    return False
