"""Positions out of games played at random: for measurements, and where nobody has played yet. Letters: n positions."""

from __future__ import annotations

import numpy as np

from selfplay.games.game import Rules, States


def random_positions(rules: Rules, count: int, *, seed: int) -> States:
    """The first `count` ongoing positions [n] of games whose plies are uniformly random: a function of the seed."""
    rng = np.random.default_rng(seed)
    positions = rules.empty((count,))
    found = 0
    while found < count:
        state = rules.start(1)
        legal = rules.describe(state).legal[0]
        while legal.any() and found < count:
            positions[found] = state[0]
            found += 1
            action = int(rng.choice(np.flatnonzero(legal)))
            legal = rules.advance(state, np.array([action], np.int32)).legal[0]
    return positions
