"""Measures an agent against full enumeration of a small game."""

from __future__ import annotations

from typing import Any

import numpy as np
from toys import best_value, reachable, value_after


def mistakes(rules: Any, player: Any) -> tuple[int, int]:
    """(positions in which the agent's move throws a win or a draw away, positions looked at).

    Every ongoing position that any play can reach is looked at: an agent without mistakes never loses to anybody
    from any opening that is not lost already.
    """
    positions = list(reachable(rules).values())
    states = np.concatenate([state for state, _, _ in positions])
    actions = player.choose(states, [np.random.default_rng(0)] * len(states))
    seen: dict[bytes, int] = {}
    wrong = sum(
        value_after(rules, state, mover, action, seen) < best_value(rules, state, mover, legal, seen)
        for (state, mover, legal), action in zip(positions, actions, strict=True)
    )
    return wrong, len(positions)
