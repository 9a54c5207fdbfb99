"""Positions out of games played at random: for measurements, and where nobody has played yet. Letters: n positions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

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
    walk, state = rules.build_in(random_walk), rules.empty((1,))
    legal, key = np.empty(rules.info.num_actions, np.bool_), np.empty(2, np.uint64)
    for attempt in range(_ATTEMPTS * (plies + 1)):
        moves = np.empty(plies - attempt // _ATTEMPTS, np.int32)
        state[:] = rules.start(1)
        outcome, to_move = walk(rules.room(state), rng.random(len(moves)), moves, legal, key)
        if outcome == ONGOING:
            return Opening(state, legal, int(to_move), moves.tolist())
    raise AssertionError("a game is ongoing at its start")


def random_game(rules: Rules, rng: np.random.Generator) -> list[int]:
    """The moves of a whole game of uniformly random plies."""
    walk, state = rules.build_in(random_walk), rules.start(1)
    legal, key = np.empty(rules.info.num_actions, np.bool_), np.empty(2, np.uint64)
    moves = np.full(rules.info.max_plies, -1, np.int32)
    walk(rules.room(state), rng.random(len(moves)), moves, legal, key)
    found: list[int] = moves[moves >= 0].tolist()
    return found


def random_walk(advance_one: Any, outcome_of: Any) -> Callable[..., tuple[int, int]]:
    """walk(room, uniforms, moves, legal, key) -> (outcome, to_move): plays from the only state of the room one legal
    action for each number from 0 to 1, until the game is over; all are written down."""

    def walk(room: Any, uniforms: Any, moves: Any, legal: Any, key: Any) -> tuple[int, int]:
        legal[:] = False
        outcome, to_move = advance_one(room, 0, 0, -1, legal, key)
        for ply in range(len(moves)):
            if outcome != ONGOING:
                break
            rank = int(uniforms[ply] * legal.sum())
            action = 0
            while rank > 0 or not legal[action]:
                rank -= legal[action]
                action += 1
            moves[ply] = action
            legal[:] = False
            outcome, to_move = advance_one(room, 0, 0, action, legal, key)
        return outcome, to_move

    return walk


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
