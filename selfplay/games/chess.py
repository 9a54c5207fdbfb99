"""Chess, by FIDE's laws: checkmate wins; stalemate, the third time of a position, fifty moves without capture or pawn
move, and material with which nobody can mate are draws, at once and unasked.

Squares are numbered row by row from a8. Actions are all moves that some piece could make on an empty board, named as in
UCI ("e2e4", "e7e8q"); castling is the king's move. Planes, as seen by the player to move: 0 to 5 own pawns, knights,
bishops, rooks, queens, king, 6 to 11 the opponent's, 12 to 15 own right to castle on the king's and on the queen's
side, and the opponent's, 16 the square behind a pawn that may be taken in passing, 17 plies without capture or pawn
move / 100, 18 ones if the position was there before, 19 ones if white is to move.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from selfplay.errors import GameError
from selfplay.games.bits import NONE, bit, has
from selfplay.games.coordinates import cell_name, with_coordinates
from selfplay.games.game import DRAW, ONGOING, WIN, Game

PAWN, KNIGHT, BISHOP, ROOK, QUEEN, KING = range(6)  # kinds; a piece is 1 + kind, and 6 more for black
LETTERS = ".PNBRQKpnbrqk"
QUIET_PLIES = 100  # a draw after so many
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
