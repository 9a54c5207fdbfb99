"""Go: surround points; stones without liberties are taken. Area scoring, no suicide, positional superko.

Superko: a move that makes a whole board that was there before is not legal, whoever is to move (Tromp and Taylor, "The game
of Go"). Two passes, or twice as many plies as the board has points, end the game; stones and points that only one colour
reaches count, komi goes to the second player.
Points are numbered row by row from the top; the last action is a pass.
Planes, as seen by the player to move: 0 own stones, 1 the opponent's, 2 and 3 own chains with one and with two liberties, 4
and 5 the opponent's, 6 points where the player may play, 7 ones after a pass, 8 ones if the first player (black) is to
move, 9 plies / most plies.
"""

from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta

from selfplay.games.coordinates import cell_name, with_coordinates
from selfplay.games.game import DRAW, LOSS, ONGOING, WIN, Game
from selfplay.games.symmetry import mirror_columns, rotate

LETTERS = "ABCDEFGHJKLMNOPQRST"  # there is no I
MOST_POINTS = 19 * 19
MARKS = 1024  # bits that tell which boards were certainly not there before
# A number for each stone on each point; a board's hash is the XOR of its stones' (Zobrist 1970).
ZOBRIST = np.random.default_rng(19).integers(1, 2**64, (2, MOST_POINTS), dtype=np.uint64)


class Parameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Size of the board, and komi."""

    size: Annotated[int, Meta(description="points of a side; 9, 13 and 19 are usual", ge=2, le=19)] = 9
    komi: Annotated[float, Meta(description="points that the second player gets", ge=-400, le=400)] = 7.5


def go_game(parameters: Parameters) -> type[Game]:
    """Surround more points than the other one."""
    size, komi = parameters.size, parameters.komi
    points = size * size
    most = 2 * points

    class Go(Game):
        __doc__ = go_game.__doc__

        name, board_shape, num_actions, num_planes = "go", (size, size), points + 1, 10
        max_plies, typical_plies = most, points
        State = np.dtype(
            [
                ("boards", np.uint64, (most + 1,)),  # hashes of all boards so far; the last one is boards[plies]
                ("marks", np.uint64, (MARKS // 64,)),  # bit h % MARKS is set for each of them
                ("stones", np.int8, (points,)),  # 0 none, else player + 1
                ("plies", np.int16),
                ("passed", np.int8),  # 1 where the last ply was a pass
                ("to_move", np.int8),
            ]
        )
        symmetries = (rotate, mirror_columns)

        def start(state):
            note_board(state.boards, state.marks, 0, np.uint64(0))
            state.to_move = 0

        def legal(state, mask):
            mark_legal(state, size, mask)
            mask[points] = True

        def play(state, action):
            player = state.to_move
            board = state.boards[state.plies]
            if action < points:
                board ^= ZOBRIST[player, action]
                state.stones[action] = player + 1
                board ^= take_around(state.stones, size, action)
            state.plies += 1
            note_board(state.boards, state.marks, state.plies, board)
            state.to_move = 1 - player
            ends = action == points and state.passed == 1
            state.passed = 1 if action == points else 0
            if not ends and state.plies < most:
                return ONGOING
            ahead = area_of(state.stones, size) - komi
            ahead = ahead if player == 0 else -ahead
            return WIN if ahead > 0 else LOSS if ahead < 0 else DRAW

        def encode(state, planes):
            chain, liberties, _ = chains_of(state.stones, size)
            mask = np.zeros(points + 1, np.bool_)
            mark_legal(state, size, mask)
            for point in range(points):
                row, column = point // size, point % size
                if state.stones[point] != 0:
                    other = 0 if state.stones[point] == state.to_move + 1 else 1
                    planes[other, row, column] = 1.0
                    few = liberties[chain[point]]
                    if few <= 2:
                        planes[1 + 2 * other + few, row, column] = 1.0
                planes[6, row, column] = mask[point]
                planes[7, row, column] = state.passed
                planes[8, row, column] = 1.0 - state.to_move
                planes[9, row, column] = state.plies / most

        def pieces(state):
            return ["".join(".XO"[stone] for stone in row) for row in state.stones.reshape(size, size)]

        def draw(state):
            return with_coordinates(Go.pieces(state), letters=LETTERS)

        def action_name(action):
            return "pass" if action == points else cell_name(action // size, action % size, size, letters=LETTERS)

    return Go


def note_board(boards, marks, ply, board):
    """Remember the hash of a board."""
    boards[ply] = board
    bit = board % np.uint64(MARKS)
    marks[bit // np.uint64(64)] |= np.uint64(1) << (bit % np.uint64(64))


def was_there(state, board):
    """Whether a board with this hash was there before."""
    bit = board % np.uint64(MARKS)
    if not (state.marks[bit // np.uint64(64)] >> (bit % np.uint64(64))) & np.uint64(1):
        return False
    for ply in range(state.plies + 1):
        if state.boards[ply] == board:
            return True
    return False


def neighbour(point, size, side):
    """The point above, to the left, to the right or below (side 0 to 3); -1 off the board."""
    if side == 0:
        return point - size if point >= size else -1
    if side == 1:
        return point - 1 if point % size > 0 else -1
    if side == 2:
        return point + 1 if point % size < size - 1 else -1
    return point + size if point < size * size - size else -1


def chains_of(stones, size):
    """Of each stone the first point of its chain; of each first point the liberties, 1, 2 or 3 for more, and the XOR of
    its stones' numbers: three arrays [points]."""
    points = size * size
    chain, liberties = np.full(points, -1, np.int16), np.zeros(points, np.int8)
    hashes, waiting = np.zeros(points, np.uint64), np.empty(points, np.int16)
    for first in range(points):
        if stones[first] == 0 or chain[first] >= 0:
            continue
        stone = stones[first]
        one, two, more = -1, -1, False  # liberties found
        chain[first] = first
        waiting[0], count = first, 1
        while count > 0:
            count -= 1
            point = waiting[count]
            hashes[first] ^= ZOBRIST[stone - 1, point]
            for side in range(4):
                near = neighbour(point, size, side)
                if near < 0:
                    continue
                if stones[near] == 0:
                    if one < 0 or one == near:
                        one = near
                    elif two < 0 or two == near:
                        two = near
                    else:
                        more = True
                elif stones[near] == stone and chain[near] < 0:
                    chain[near] = first
                    waiting[count] = near
                    count += 1
        liberties[first] = 3 if more else 2 if two >= 0 else 1 if one >= 0 else 0
    return chain, liberties, hashes


def mark_legal(state, size, mask):
    """Set the mask on points where the player to move may play."""
    stones, player = state.stones, state.to_move
    chain, liberties, hashes = chains_of(stones, size)
    now = state.boards[state.plies]
    for point in range(size * size):
        if stones[point] != 0:
            continue
        breathes, board = False, now ^ ZOBRIST[player, point]
        taken = (-1, -1, -1)  # first points of the chains that are taken, each once
        for side in range(4):
            near = neighbour(point, size, side)
            if near < 0:
                continue
            if stones[near] == 0:
                breathes = True
                continue
            first = chain[near]
            if stones[near] == player + 1:
                breathes = breathes or liberties[first] > 1
            elif liberties[first] == 1:
                breathes = True
                if first != taken[0] and first != taken[1] and first != taken[2]:
                    board ^= hashes[first]
                    taken = (taken[1], taken[2], int(first))
        mask[point] = breathes and not was_there(state, board)


def take_around(stones, size, point):
    """Take the chains of the other colour that the stone just set on a point has left without liberties; the XOR of the
    taken stones' numbers."""
    change, other = np.uint64(0), 3 - stones[point]
    for side in range(4):
        near = neighbour(point, size, side)
        if near >= 0 and stones[near] == other:
            change ^= take_if_dead(stones, size, near)
    return change


def take_if_dead(stones, size, first):
    """Take the chain of a stone if it has no liberty; the XOR of the taken stones' numbers."""
    stone = stones[first]
    found, seen = np.empty(len(stones), np.int16), np.zeros(len(stones), np.bool_)
    found[0], count, looked_at = first, 1, 0
    seen[first] = True
    while looked_at < count:
        point = found[looked_at]
        looked_at += 1
        for side in range(4):
            near = neighbour(point, size, side)
            if near < 0 or seen[near]:
                continue
            if stones[near] == 0:
                return np.uint64(0)
            if stones[near] == stone:
                seen[near] = True
                found[count] = near
                count += 1
    change = np.uint64(0)
    for taken in range(count):
        stones[found[taken]] = 0
        change ^= ZOBRIST[stone - 1, found[taken]]
    return change


def area_of(stones, size):
    """Points of the first player less those of the second: stones, and free regions that only one colour touches."""
    area = 0
    seen, waiting = np.zeros(len(stones), np.bool_), np.empty(len(stones), np.int16)
    for first in range(len(stones)):
        if stones[first] != 0:
            area += 1 if stones[first] == 1 else -1
            continue
        if seen[first]:
            continue
        touches, region = 0, 0  # colours as bits; points
        seen[first] = True
        waiting[0], count = first, 1
        while count > 0:
            count -= 1
            point = waiting[count]
            region += 1
            for side in range(4):
                near = neighbour(point, size, side)
                if near < 0:
                    continue
                touches |= stones[near]
                if stones[near] == 0 and not seen[near]:
                    seen[near] = True
                    waiting[count] = near
                    count += 1
        area += region if touches == 1 else -region if touches == 2 else 0
    return area
