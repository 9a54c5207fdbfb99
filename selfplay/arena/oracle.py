"""Perfect play: what every move leads to if nobody errs any more.

Two kinds: `bitbully` (PyPI) solves Connect Four on its usual board, and any game small enough is enumerated whole.
Letters: n positions, A actions, m edges from a layer to the next.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from selfplay.errors import UsageError
from selfplay.games.game import LOSS, ONGOING, Rules, States

UNPLAYABLE = -2  # in place of an outcome, where an action is not legal
MOST_POSITIONS = 2_000_000  # of a game that is enumerated
_COLUMNS = 7  # of the Connect Four that is solved


class Oracle(Protocol):
    """Knows perfect play of one game."""

    name: str

    def outcomes(self, moves: Sequence[int]) -> npt.NDArray[np.int8]:
        """WIN, DRAW or LOSS [A] after each action in the ongoing position after these moves, for the player who plays
        it; UNPLAYABLE where it is not legal."""
        ...

    def outcomes_at(self, state: States) -> npt.NDArray[np.int8]:
        """The same of an ongoing position [1], however it came about."""
        ...


def open_oracle(rules: Rules, *, most_positions: int = MOST_POSITIONS) -> Oracle:
    """Perfect play of a game. Raises `UsageError` where there is none: the game is neither known nor small enough."""
    if (
        rules.info.spec == "connect4"
    ):  # ours, on the usual board: a game of that name from somebody's file may have other rules
        return ConnectFourOracle()
    return EnumeratedGame(rules, most_positions=most_positions)


class ConnectFourOracle:
    """Connect Four on six rows by seven columns, by bitbully; milliseconds per position, seconds for a few."""

    name = "bitbully"

    def __init__(self) -> None:
        try:
            from bitbully import BitBully, Board
        except ImportError:
            raise UsageError(
                "perfect play of Connect Four needs the package bitbully (the extra `oracle`): pip install bitbully"
            ) from None
        self._board, self._solver = Board, BitBully()

    def outcomes(self, moves: Sequence[int]) -> npt.NDArray[np.int8]:
        return self._outcomes(self._board(list(moves)))

    def outcomes_at(self, state: States) -> npt.NDArray[np.int8]:
        return self._outcomes(self._board(state["stones"][0, ::-1].tolist()))  # bitbully's first row is the top one

    def _outcomes(self, board: Any) -> npt.NDArray[np.int8]:
        found = np.full(_COLUMNS, UNPLAYABLE, np.int8)
        # Scores count the stones that the winner has left: their sign is the outcome.
        for action, score in self._solver.score_all_moves(board).items():
            found[action] = np.sign(score)
        return found


class _Layer(NamedTuple):
    """All ongoing positions after so many plies, and what their actions lead to."""

    keys: list[bytes]  # [n]
    shape: tuple[int, int]  # (n, A)
    rows: npt.NDArray[Any]  # [m] position that an edge leaves
    actions: npt.NDArray[Any]  # [m] its action
    outcomes: npt.NDArray[np.int8]  # [m] for the player who plays it; ONGOING where the game goes on
    child: npt.NDArray[Any]  # [m] row in the next layer, without meaning where the game is over
    same_mover: npt.NDArray[np.bool_]  # [m] the same player is to move there


class EnumeratedGame:
    """Every position that any play can reach, valued from the last ply to the first."""

    name = "enumeration"

    def __init__(self, rules: Rules, *, most_positions: int) -> None:
        self._rules = rules
        layers: list[_Layer] = []
        states, count = rules.start(1), 0
        while len(states):
            count += len(states)
            if count > most_positions:
                raise UsageError(
                    f"no perfect play of {rules.info.spec}: it has more than {most_positions:,} positions within "
                    f"{len(layers)} plies, too many to enumerate"
                )
            layer, states = _step(rules, states)
            layers.append(layer)
        self._outcomes: dict[bytes, npt.NDArray[np.int8]] = {}
        values = np.empty(0, np.int8)
        for layer in reversed(layers):
            outcomes = _outcomes(layer, values)
            values = outcomes.max(axis=1)
            self._outcomes.update(zip(layer.keys, outcomes, strict=True))

    def outcomes(self, moves: Sequence[int]) -> npt.NDArray[np.int8]:
        return self._outcomes[self._rules.replay(moves)[1].keys[-1].tobytes()]

    def outcomes_at(self, state: States) -> npt.NDArray[np.int8]:
        return self._outcomes[self._rules.describe(state.copy()).keys[0].tobytes()]


def _step(rules: Rules, states: States) -> tuple[_Layer, States]:
    """The layer of these different ongoing positions, and those of the next."""
    known = rules.describe(states)
    rows, actions = known.legal.nonzero()
    children = states[rows]
    after = rules.advance(children, actions.astype(np.int32))
    goes_on = after.outcomes == ONGOING
    pairs = np.ascontiguousarray(after.keys[goes_on]).view([("low", np.uint64), ("high", np.uint64)])[:, 0]
    _, first, places = np.unique(pairs, return_index=True, return_inverse=True)
    child = np.zeros(len(rows), np.int64)
    child[goes_on] = places
    same_mover = after.to_move == known.to_move[rows]
    keys = [key.tobytes() for key in known.keys]
    return (
        _Layer(keys, known.legal.shape, rows, actions, after.outcomes, child, same_mover),
        children[goes_on][first],
    )


def _outcomes(layer: _Layer, values: npt.NDArray[np.int8]) -> npt.NDArray[np.int8]:
    """Outcomes [n, A] of a layer, from the values of the next one for its players to move."""
    outcomes = np.full(layer.shape, UNPLAYABLE, np.int8)
    goes_on = layer.outcomes == ONGOING
    of_edges = layer.outcomes.copy()
    of_edges[goes_on] = values[layer.child[goes_on]] * np.where(layer.same_mover[goes_on], 1, -1)
    outcomes[layer.rows, layer.actions] = of_edges
    assert UNPLAYABLE < LOSS  # so that the best action is never one that is not legal
    return outcomes
