"""Alpha-beta search to a fixed depth that knows the rules and nothing else: what lies deeper counts as a draw.

A baseline of known strength (Knuth and Moore 1975, "An Analysis of Alpha-Beta Pruning"), not a way to train. Letters:
D depth, A actions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from selfplay.games.game import ONGOING, Rules, States

MOST_DEPTH = 64
_NOTHING = -1000  # below every value


class AlphaBeta:
    """Values of actions by looking `depth` plies ahead."""

    def __init__(self, rules: Rules, *, depth: int) -> None:
        self._rules = rules
        self._value_of = rules.build_in(alpha_beta)
        self._states = rules.empty((depth + 1,))
        self._masks = np.zeros((depth + 1, rules.info.num_actions), np.bool_)
        self._key = np.empty(2, np.uint64)
        self._levels = np.zeros((depth + 1, 5), np.int32)
        self._depth = depth

    def best_actions(self, state: States) -> npt.NDArray[np.int64]:
        """The actions of the highest value in an ongoing position [1]: soonest wins, latest losses."""
        known = self._rules.describe(state.copy())
        actions = known.legal[0].nonzero()[0]
        values: list[int] = []
        for action in actions:
            at_least = max(values, default=_NOTHING) - 1  # so that equals of the best so far get their exact value
            values.append(self._value(state, int(action), int(known.to_move[0]), at_least=at_least))
        best: npt.NDArray[np.int64] = actions[np.array(values) == max(values)]
        return best

    def _value(self, state: States, action: int, mover: int, *, at_least: int) -> int:
        """An action's value for the player who plays it; any lower one where it is not above `at_least`."""
        after = state.copy()
        known = self._rules.advance(after, np.array([action], np.int32))
        if known.outcomes[0] != ONGOING:
            return int(known.outcomes[0]) * (MOST_DEPTH + 1)
        self._states[0] = after[0]
        room, same = self._rules.room(self._states), known.to_move[0] == mover
        window = (at_least, -_NOTHING) if same else (_NOTHING, -at_least)
        found = int(self._value_of(room, self._depth - 1, *window, self._masks, self._key, self._levels))
        return found if same else -found


def alpha_beta(advance_one: Any, outcome_of: Any) -> Callable[..., int]:
    """value_of(room, depth, lowest, highest, masks, key, levels) -> the value of the room's first state.

    It is that of its player to move, exact between lowest and highest, else a bound.

    A win n plies ahead is worth MOST_DEPTH + 1 - n, a loss as much below zero, all else nothing.

    Args of `value_of`:
        room: of D + 1 states; the rest is overwritten.
        depth: plies to look ahead.
        lowest, highest: the window.
        masks: [D + 1, A] bool, overwritten: what is legal at each level.
        key: [2] uint64, overwritten.
        levels: [D + 1, 5] int32, overwritten: of each level, who is to move, the next action, the best value so far,
            and the window's lower and upper end.
    """
    player, cursor, best, low, high = 0, 1, 2, 3, 4

    def value_of(room: Any, depth: int, lowest: int, highest: int, masks: Any, key: Any, levels: Any) -> int:
        if depth == 0:
            return 0
        masks[0, :] = False
        levels[0, player] = advance_one(room, 0, 0, -1, masks[0], key)[1]
        levels[0, cursor], levels[0, best] = 0, _NOTHING
        levels[0, low], levels[0, high] = lowest, highest
        level = 0
        while True:
            action = levels[level, cursor]
            while action < masks.shape[1] and not masks[level, action]:
                action += 1
            if action == masks.shape[1] or levels[level, low] >= levels[level, high]:  # done, or refuted
                value = levels[level, best]
                if level == 0:
                    return int(value)
                if levels[level, player] != levels[level - 1, player]:
                    value = -value
                level -= 1
            else:
                levels[level, cursor] = action + 1
                masks[level + 1, :] = False
                outcome, mover = advance_one(room, level, level + 1, action, masks[level + 1], key)
                if outcome == ONGOING and level + 1 < depth:
                    same = mover == levels[level, player]
                    level += 1
                    levels[level, player], levels[level, cursor], levels[level, best] = mover, 0, _NOTHING
                    levels[level, low] = levels[level - 1, low] if same else -levels[level - 1, high]
                    levels[level, high] = levels[level - 1, high] if same else -levels[level - 1, low]
                    continue
                value = 0 if outcome == ONGOING else outcome * (MOST_DEPTH - level)
            levels[level, best] = max(levels[level, best], value)
            levels[level, low] = max(levels[level, low], value)

    return value_of
