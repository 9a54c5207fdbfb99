"""Searches that are asked for one slot at a time."""

from __future__ import annotations

import numpy as np

from selfplay.search.search import Turn


def decide(search, slot, ply, rng):
    """The action to play, and the target [A]."""
    decided = search.decide(np.array([slot]), [Turn(ply, rng)])
    return int(decided.actions[0]), decided.targets[0]


def advance(search, slot, action):
    """What is said of the root that is left: value, simulations, outcome, player to move, live actions [A]."""
    return [column[0] for column in search.advance(np.array([slot]), np.array([action]))]


def explore(search, slot, *, ply, legal, rng):
    """Prepare the root."""
    search.explore(np.array([slot]), legal[None], [Turn(ply, rng)])
