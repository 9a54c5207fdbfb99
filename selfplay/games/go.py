"""Go: surround points; stones without liberties are taken. Area scoring, no suicide, positional superko.

Superko: a move that makes a whole board that was there before is not legal, whoever is to move (Tromp and Taylor, "The
game of Go"). Two passes, or twice as many plies as the board has points, end the game; stones and points that only one
colour reaches count, komi goes to the second player. Points are numbered row by row from the top; the last action is a
pass. Planes, as seen by the player to move: 0 own stones, 1 the opponent's, 2 and 3 own chains with one liberty and
with few, 4 and 5 the opponent's, 6 points where the player may play, 7 ones after a pass, 8 ones if the first player
(black) is to move, 9 plies / most plies.
"""

from typing import Annotated, Any, NamedTuple

import msgspec
import numpy as np
from msgspec import Meta

from selfplay.games.coordinates import cell_name, with_coordinates
from selfplay.games.game import DRAW, LOSS, ONGOING, WIN, Game
from selfplay.games.symmetry import mirror_columns, rotate

LETTERS = "ABCDEFGHJKLMNOPQRST"  # there is no I
MOST_POINTS = 19 * 19
MARKS = 1024  # bits that tell which boards were certainly not there before
OFF = 3  # in place of a stone: off the board
FEW = 4  # liberties, each counted for every stone that it touches
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
    most, around = 2 * points, neighbours_of(size)

    class Go(Game):
        __doc__ = go_game.__doc__

        name, board_shape, num_actions, num_planes = "go", (size, size), points + 1, 10
        max_plies, typical_plies = most, points
        State = np.dtype(
            [
                ("boards", np.uint64, (most + 1,)),  # hashes of all boards so far; the last one is boards[plies]
                ("marks", np.uint64, (MARKS // 64,)),  # bit h % MARKS is set for each of them
                # Chains, kept up to date. The first five are those of the chain whose head is at the point.
                ("hashes", np.uint64, (points,)),  # XOR of its stones' numbers
                ("squares", np.int32, (points,)),  # sum of squares of the points of its liberties, as below
                ("sums", np.int32, (points,)),  # sum of their points
                ("liberties", np.int16, (points,)),  # their number; one that touches two of its stones counts twice
                ("last", np.int16, (points,)),  # its liberty + 1 where it has one alone (atari), else 0
                ("head", np.uint16, (points + 1,)),  # of the chain that a stone belongs to
                ("after", np.uint16, (points,)),  # the stone that follows it in its chain, round and round
                ("plies", np.int16),
                ("number", np.int16),  # of stones on the board
                ("most", np.int16),  # of stones on any board so far: a board with more is a new one
                ("stones", np.int8, (points + 1,)),  # 0 none, else player + 1; behind the last point OFF
                ("room", np.int8, (points,)),  # free points beside each point
                ("ataris", np.int8, (points,)),  # chains whose last liberty the point is
                ("passed", np.int8),  # 1 where the last ply was a pass
                ("to_move", np.int8),
                ("spare", np.int8, (8 - (27 * points + 11) % 8,)),  # states of whole words are hashed by words
            ]
        )
        symmetries = (rotate, mirror_columns)
        board_kind = "crossings"

        def start(state):
            state.stones[points], state.head[points] = OFF, points
            for point in range(points):
                for side in range(4):
                    state.room[point] += around[point, side] < points
            note_board(state.boards, state.marks, 0, np.uint64(0))
            state.to_move = 0

        def legal(state, mask):
            mark_legal(state, around, mask)
            mask[points] = True

        def play(state, action):
            player = state.to_move
            board = state.boards[state.plies]
            if action < points:
                board ^= set_stone(state, around, action)
            state.plies += 1
            state.most = max(state.most, state.number)
            note_board(state.boards, state.marks, state.plies, board)
            state.to_move = 1 - player
            ends = action == points and state.passed == 1
            state.passed = 1 if action == points else 0
            if not ends and state.plies < most:
                return ONGOING
            ahead = area_of(state.stones, around) - komi
            ahead = ahead if player == 0 else -ahead
            return WIN if ahead > 0 else LOSS if ahead < 0 else DRAW

        def encode(state, planes):
            mask = np.zeros(points + 1, np.bool_)
            mark_legal(state, around, mask)
            for point in range(points):
                row, column = point // size, point % size
                if state.stones[point] != 0:
                    other = 0 if state.stones[point] == state.to_move + 1 else 1
                    planes[other, row, column] = 1.0
                    head = state.head[point]
                    if state.last[head] != 0:
                        planes[2 + 2 * other, row, column] = 1.0
                    elif state.liberties[head] <= FEW:
                        planes[3 + 2 * other, row, column] = 1.0
                planes[6, row, column] = mask[point]
                planes[7, row, column] = state.passed
                planes[8, row, column] = 1.0 - state.to_move
                planes[9, row, column] = state.plies / most

        def pieces(state):
            return ["".join(".XO"[stone] for stone in row) for row in state.stones[:points].reshape(size, size)]

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


def is_marked(marks, board):
    """Whether a board with this hash may have been there before."""
    bit = board % np.uint64(MARKS)
    return (marks[bit // np.uint64(64)] >> (bit % np.uint64(64))) & np.uint64(1) != np.uint64(0)


def was_there(state, board):
    """Whether a board with this hash was there before."""
    found = False
    for before in state.boards[: state.plies + 1]:
        found |= before == board  # to the end: several are compared at once
    return found


def neighbours_of(size: int) -> np.ndarray:
    """The points [points, 4] around each point; off the board is the number behind the last point."""
    board = np.pad(np.arange(size * size).reshape(size, size), 1, constant_values=size * size)
    sides = (board[:-2, 1:-1], board[1:-1, :-2], board[1:-1, 2:], board[2:, 1:-1])
    return np.stack([side.ravel() for side in sides], axis=1).astype(np.uint16)


class Chains(NamedTuple):
    """What is asked where a stone would touch a chain in atari."""

    stones: Any  # [points + 1]
    head: Any  # [points + 1]
    last: Any  # [points]
    hashes: Any  # [points]


def mark_legal(state, around, mask):
    """Set the mask on points where the player to move may play."""
    stones, room, ataris, points = state.stones, state.room, state.ataris, len(around)
    own, now, marks = state.to_move + 1, state.boards[state.plies], state.marks
    chains = Chains(stones, state.head, state.last, state.hashes)
    may_repeat = state.number < state.most
    for point in range(points):  # without a branch: several points are looked at at once
        mask[point] = (stones[point] == 0) & (room[point] > 0)
    for point in range(points):
        if (stones[point] == 0) & ((ataris[point] != 0) | (room[point] == 0) | may_repeat):
            breathes, board = room[point] > 0, now ^ ZOBRIST[own - 1, point]
            if ataris[point] != 0:
                breathes, board = look_closer(chains, around[point], own, board)
            elif not breathes:
                breathes = touches(stones, around[point], own)
            is_new = not (may_repeat or ataris[point] != 0) or not is_marked(marks, board)
            mask[point] = breathes and (is_new or not was_there(state, board))


def touches(stones, near, own):
    """Whether one of the points `near` has a stone of this player."""
    return (stones[near[0]] == own) | (stones[near[1]] == own) | (stones[near[2]] == own) | (stones[near[3]] == own)


def look_closer(chains, near, own, board):
    """Whether a stone has a liberty after what it takes, and the board's hash then; `near` are the points around it."""
    breathes = False
    taken = (-1, -1, -1)  # heads of the chains that are taken, each once
    for side in range(4):
        stone, head = chains.stones[near[side]], chains.head[near[side]]
        if stone == 0:
            breathes = True
        elif stone == own:
            breathes = breathes or chains.last[head] == 0
        elif stone != OFF and chains.last[head] != 0:
            breathes = True
            if head != taken[0] and head != taken[1] and head != taken[2]:
                board ^= chains.hashes[head]
                taken = (taken[1], taken[2], int(head))
    return breathes, board


def set_stone(state, around, point):
    """Set a stone of the player to move and take what has no liberty left; the change of the board's hash."""
    stones, head, own = state.stones, state.head, state.to_move + 1
    change = ZOBRIST[own - 1, point]
    stones[point] = own
    state.number += 1
    head[point] = state.after[point] = point
    state.hashes[point] = change
    state.liberties[point] = state.sums[point] = state.squares[point] = 0
    for side in range(4):
        near = around[point, side]
        if stones[near] != OFF:
            state.room[near] -= 1
            if stones[near] == 0:
                count_liberty(state, point, near, 1)
            else:
                count_liberty(state, head[near], point, -1)
    for side in range(4):
        near = around[point, side]
        if stones[near] == own and head[near] != head[point]:
            join(state, head[near], head[point])
        elif stones[near] == 3 - own and state.liberties[head[near]] == 0:
            change ^= state.hashes[head[near]]
            take(state, around, near)
    return change


def count_liberty(state, head, point, number):
    """A free point more around one of a chain's stones, or one less."""
    point = np.int64(point)
    state.liberties[head] += number
    state.sums[head] += number * point
    state.squares[head] += number * point * point
    note_atari(state, head)


def note_atari(state, head):
    """Note whether all free points around a chain are one and the same: n numbers p are equal where n · Σp² = (Σp)²."""
    number, total = np.int64(state.liberties[head]), np.int64(state.sums[head])
    last, before = 0, state.last[head]
    if number > 0 and number * np.int64(state.squares[head]) == total * total:
        last = total // number + 1
    if last != before:
        if before != 0:
            state.ataris[before - 1] -= 1
        if last != 0:
            state.ataris[last - 1] += 1
        state.last[head] = last


def join(state, one, other):
    """Make one chain of two, by their heads."""
    stone = one
    state.head[one] = other
    while state.after[stone] != one:
        stone = state.after[stone]
        state.head[stone] = other
    state.after[stone] = state.after[other]
    state.after[other] = one
    state.hashes[other] ^= state.hashes[one]
    state.liberties[other] += state.liberties[one]
    state.sums[other] += state.sums[one]
    state.squares[other] += state.squares[one]
    state.liberties[one] = 0
    note_atari(state, one)  # there is no such chain any more
    note_atari(state, other)


def take(state, around, first):
    """Take the chain of a stone off the board."""
    taken, stone = state.stones[first], first
    going = True
    while going:
        state.stones[stone] = 0
        state.number -= 1
        for side in range(4):
            near = around[stone, side]
            if state.stones[near] != OFF:
                state.room[near] += 1
                if state.stones[near] == 3 - taken:
                    count_liberty(state, state.head[near], stone, 1)
        stone = state.after[stone]
        going = stone != first


def area_of(stones, around):
    """Points of the first player less those of the second: stones, and free regions that only one colour touches."""
    area = 0
    seen, waiting = np.zeros(len(stones), np.bool_), np.empty(len(stones), np.int16)
    for first in range(len(around)):
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
                near = around[point, side]
                touches |= stones[near] if stones[near] != OFF else 0
                if stones[near] == 0 and not seen[near]:
                    seen[near] = True
                    waiting[count] = near
                    count += 1
        area += region if touches == 1 else -region if touches == 2 else 0
    return area
