"""Positions out of games played at random: for measurements, and where nobody has played yet. Letters: n positions."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from selfplay.games.game import ONGOING, Rules, States

_ATTEMPTS = 100


class Opening(NamedTuple):
    """An ongoing position after some random plies."""

    state: States  # [1]
    legal: npt.NDArray[np.bool_]  # [A] True = may be played
    to_move: int  # 0 or 1
    moves: list[int]


def random_opening(rules: Rules, plies: int, rng: np.random.Generator) -> Opening:
    """The position after so many uniformly random plies; after fewer, where games are over by then every time."""
    for attempt in range(_ATTEMPTS * (plies + 1)):
        state, moves = rules.start(1), []
        known = rules.describe(state)
        for _ in range(plies - attempt // _ATTEMPTS):
            if known.outcomes[0] != ONGOING:
                break
            moves.append(int(rng.choice(known.legal[0].nonzero()[0])))
            known = rules.advance(state, np.array(moves[-1:], np.int32))
        if known.outcomes[0] == ONGOING:
            return Opening(state, known.legal[0], int(known.to_move[0]), moves)
    raise AssertionError("a game is ongoing at its start")


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
