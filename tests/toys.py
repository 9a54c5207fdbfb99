"""Small games and evaluators with known values, for tests."""

from __future__ import annotations

import functools
from collections import defaultdict
from typing import Annotated, Any

import msgspec
import numpy as np
from msgspec import Meta

from selfplay.evaluation.evaluator import Evaluation, Positions
from selfplay.games.game import DRAW, ONGOING, WIN, Game, ObjectGame

PILE = 9
CALM = np.random.default_rng(0)  # for searches without chance, which draw nothing


def made(search: Any) -> int:
    """Simulations of the first slot for this move, without those kept from the move before."""
    return int(search.root(0).visits.sum() - search._visits_before[0])


class AgainGame(Game):
    """A pile of stones. Action 0 takes one and the same player moves again, but not twice in a row that way; action
    1 takes two and the turn passes. Who takes the last stone wins; who may not take exactly what is left loses a
    draw: a lone stone that may not be taken ends the game as a draw."""

    name, board_shape, num_actions, num_planes, max_plies = "again", (1, PILE), 2, 2, PILE
    State = np.dtype([("left", np.int8), ("again", np.int8), ("to_move", np.int8)])

    def start(state):
        state.left = PILE
        state.to_move = 0

    def legal(state, mask):
        mask[0] = state.again == 0
        mask[1] = state.left >= 2

    def play(state, action):
        state.left -= 1 + action
        if state.left == 0:
            state.to_move = 1 - state.to_move
            return WIN
        if action == 0:
            state.again = 1
        else:
            state.again = 0
            state.to_move = 1 - state.to_move
        if state.again == 1 and state.left < 2:
            return DRAW
        return ONGOING

    def encode(state, planes):
        for cell in range(state.left):
            planes[0, 0, cell] = 1.0
        planes[1, 0, :] = state.again

    def draw(state):
        return f"{'o' * state.left} player {state.to_move}{' again' if state.again else ''}"


@functools.cache
def again_value(left: int, again: int) -> int:
    """Perfect play of AgainGame, worked out without the rules above: the value for the player to move."""
    values = []
    if not again:
        if left == 1:
            values.append(1)
        elif left == 2:
            values.append(0)
        else:
            values.append(again_value(left - 1, 1))
    if left == 2:
        values.append(1)
    elif left > 2:
        values.append(-again_value(left - 2, 0))
    return max(values)


class TicTacToeObjects(ObjectGame):
    """Tic-tac-toe once more, over Python tuples."""

    name, board_shape, num_actions, num_planes, max_plies = "tictactoe_objects", (3, 3), 9, 2, 9
    lines = ((0, 1, 2), (3, 4, 5), (6, 7, 8), (0, 3, 6), (1, 4, 7), (2, 5, 8), (0, 4, 8), (2, 4, 6))

    def start(self) -> Any:
        return (0,) * 9

    def to_move(self, state: Any) -> int:
        return sum(cell != 0 for cell in state) % 2

    def legal(self, state: Any) -> list[int]:
        return [cell for cell in range(9) if state[cell] == 0]

    def play(self, state: Any, action: int) -> tuple[Any, int]:
        stone = self.to_move(state) + 1
        after = (*state[:action], stone, *state[action + 1 :])
        if any(all(after[cell] == stone for cell in line) for line in self.lines):
            return after, WIN
        return after, DRAW if all(after) else ONGOING

    def encode(self, state: Any, planes: Any) -> None:
        own = self.to_move(state) + 1
        for cell, stone in enumerate(state):
            if stone:
                planes[0 if stone == own else 1, cell // 3, cell % 3] = 1.0

    def key(self, state: Any) -> bytes:
        return bytes(state)

    def action_name(self, action: int) -> str:
        return str(action + 1)


class Hexapawn(ObjectGame):
    """Three pawns each on a 3 × 3 board (Gardner 1962): a step ahead onto a free cell, or one ahead and aside to take.
    Who reaches the far row, or leaves the other without a move, wins; with perfect play the second player does.

    An action is nine times the cell it leaves plus the cell it goes to."""

    name, board_shape, num_actions, num_planes, max_plies = "hexapawn", (3, 3), 81, 2, 20

    def start(self) -> Any:
        return "OOO...XXX", 0

    def to_move(self, state: Any) -> int:
        return int(state[1])

    def legal(self, state: Any) -> list[int]:
        cells, player = state
        own, other, ahead = ("X", "O", -1) if player == 0 else ("O", "X", 1)
        moves = []
        for cell in (cell for cell in range(9) if cells[cell] == own):
            row, column = cell // 3 + ahead, cell % 3
            for aside in (-1, 0, 1):
                if 0 <= row < 3 and 0 <= column + aside < 3:
                    target = 3 * row + column + aside
                    if cells[target] == (other if aside else "."):
                        moves.append(9 * cell + target)
        return moves

    def play(self, state: Any, action: int) -> tuple[Any, int]:
        cells, player = list(state[0]), state[1]
        cells[action % 9], cells[action // 9] = cells[action // 9], "."
        after = "".join(cells), 1 - player
        far = cells[:3] if player == 0 else cells[6:]
        return after, WIN if "XO"[player] in far or not self.legal(after) else ONGOING

    def encode(self, state: Any, planes: Any) -> None:
        for cell, piece in enumerate(state[0]):
            if piece != ".":
                planes[0 if "XO".index(piece) == state[1] else 1, cell // 3, cell % 3] = 1.0

    def key(self, state: Any) -> bytes:
        return f"{state[0]}{state[1]}".encode()

    def pieces(self, state: Any) -> list[str]:
        return [state[0][row : row + 3] for row in (0, 3, 6)]

    def cells(self, state: Any, action: int) -> list[tuple[int, int]]:
        return [divmod(action // 9, 3), divmod(action % 9, 3)]

    def action_name(self, action: int) -> str:
        return "".join(f"{'abc'[cell % 3]}{3 - cell // 3}" for cell in (action // 9, action % 9))


class HashEvaluator:
    """Priors and values that look random and depend on the position alone."""

    def evaluate(self, positions: Positions) -> Evaluation:
        columns = np.arange(1, positions.legal.shape[1] + 2, dtype=np.uint64)
        with np.errstate(over="ignore"):
            mixed = positions.keys[:, :1] * (2 * columns + np.uint64(1)) ^ positions.keys[:, 1:] * columns
            mixed ^= mixed >> np.uint64(29)
            mixed *= np.uint64(0xBF58476D1CE4E5B9)
        unit = (mixed >> np.uint64(40)).astype(np.float32) / np.float32(1 << 24)
        weights = np.where(positions.legal, unit[:, :-1] + np.float32(0.05), np.float32(0))
        priors = weights / weights.sum(axis=1, keepdims=True)
        return Evaluation(priors.astype(np.float32), unit[:, -1] * np.float32(2) - np.float32(1))


_VALUES: defaultdict[str, dict[bytes, int]] = defaultdict(dict)  # found by minimax, of each game's positions


def minimax(rules: Any, moves: tuple[int, ...]) -> int:
    """The value for the player to move after `moves`, by full search over the rules."""
    states, known = rules.replay(list(moves))
    seen = _VALUES[rules.info.rules_hash]
    return best_value(rules, states[-1:], int(known.to_move[-1]), known.legal[-1], seen)


def best_value(rules: Any, state: Any, mover: int, legal: Any, seen: dict[bytes, int]) -> int:
    """The value of a position [1] for its player to move; `seen` remembers values between calls."""
    key = state.tobytes()
    if key not in seen:
        seen[key] = max(value_after(rules, state, mover, action, seen) for action in np.flatnonzero(legal))
    return seen[key]


def value_after(rules: Any, state: Any, mover: int, action: int, seen: dict[bytes, int]) -> int:
    """The value of playing `action` in a position [1], for the player who plays it."""
    after = state.copy()
    known = rules.advance(after, np.array([action], np.int32))
    if known.outcomes[0] != ONGOING:
        return int(known.outcomes[0])
    value = best_value(rules, after, int(known.to_move[0]), known.legal[0], seen)
    return value if known.to_move[0] == mover else -value


def reachable(rules: Any) -> dict[bytes, tuple[Any, int, Any]]:
    """All ongoing positions of a small game: state bytes -> (state [1], player to move, legal [A])."""
    start = rules.start(1)
    known = rules.describe(start)
    found = {start.tobytes(): (start, int(known.to_move[0]), known.legal[0])}
    stack = [start]
    while stack:
        state = stack.pop()
        _, _, legal = found[state.tobytes()]
        for action in np.flatnonzero(legal):
            after = state.copy()
            known = rules.advance(after, np.array([action], np.int32))
            if known.outcomes[0] == ONGOING and after.tobytes() not in found:
                found[after.tobytes()] = (after, int(known.to_move[0]), known.legal[0])
                stack.append(after)
    return found


class PileParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How large the pile is."""

    stones: Annotated[int, Meta(description="stones at the start", ge=1, le=100)] = PILE


def pile_of(parameters: PileParameters) -> type[Game]:
    """A family: take one or two stones, who takes the last one wins."""
    stones = parameters.stones

    class Pile(Game):
        name, board_shape, num_actions, num_planes, max_plies = "pile", (1, stones), 2, 1, stones
        State = np.dtype([("left", np.int8), ("to_move", np.int8)])

        def start(state):
            state.left = stones
            state.to_move = 0

        def legal(state, mask):
            mask[0] = True
            mask[1] = state.left >= 2

        def play(state, action):
            state.left -= 1 + action
            state.to_move = 1 - state.to_move
            return WIN if state.left == 0 else ONGOING

        def encode(state, planes):
            for cell in range(state.left):
                planes[0, 0, cell] = 1.0

    return Pile
