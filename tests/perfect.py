"""Measures an agent against full enumeration of a small game."""

from __future__ import annotations

from typing import Any

import numpy as np
from toys import _minimax, reachable

from selfplay.games.game import ONGOING


def mistakes(rules: Any, player: Any) -> tuple[int, int]:
    """(positions in which the agent's move throws a win or a draw away, positions looked at).

    Every ongoing position that any play can reach is looked at: an agent without mistakes never loses to anybody
    from any opening that is not lost already.
    """
    positions = list(reachable(rules).values())
    states = np.concatenate([state for state, _, _ in positions])
    seen: dict[bytes, int] = {}
    wrong = 0
    actions = player.choose(states, [np.random.default_rng(0)] * len(states))
    for (state, mover, legal), action in zip(positions, actions, strict=True):
        best = _minimax(rules, state, mover, legal, seen)
        after = state.copy()
        known = rules.advance(after, np.array([action], np.int32))
        if known.outcomes[0] != ONGOING:
            value = int(known.outcomes[0])
        else:
            value = _minimax(rules, after, int(known.to_move[0]), known.legal[0], seen)
            value = value if known.to_move[0] == mover else -value
        wrong += value < best
    return wrong, len(positions)
