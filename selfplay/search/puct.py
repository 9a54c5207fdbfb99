"""PUCT: which action next, and what a search recommends, as in AlphaZero.

    score(a) = Q(a) + c · P(a) · sqrt(N) / (1 + N(a)),   c = c_puct + log((N + c_puct_base + 1) / c_puct_base)

Silver et al. 2018, "A general reinforcement learning algorithm that masters chess, shogi and Go", supplementary
pseudocode; first-play urgency by reduction as in KataGo (Wu 2019, "Accelerating Self-Play Learning in Go", 3.1)
and Leela Zero. Knows nothing of games or networks. Letters: A actions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from selfplay.kernels import kernel
from selfplay.search.search import Decisions, Slots, Turn
from selfplay.search.simulate import growth_loop
from selfplay.search.tree import Tree, sound_visits
from selfplay.settings import SearchSettings

_SMALLEST_SUM = 1e-300  # gamma draws of a tiny alpha may all be zero: then there is no noise in this move


class PuctConstants(NamedTuple):
    """Settings as the kernel sees them."""

    c_puct: float
    c_puct_base: float
    fpu_reduction: float
    noise_fraction: float  # of the root's noise array in its priors
    prunes_targets: bool


@kernel
def choose_puct(tree: Any, game: int, node: int, constants: Any) -> int:
    """The live action with the highest score; the lowest-numbered of equals. Noise counts at the root only."""
    visits, total, value, visited_prior, noise = 0, tree.value[game, node], 0.0, 0.0, 0.0
    for action in range(tree.visits.shape[2]):
        if node == 0 and tree.noise[game, action] > 0.0:
            noise = constants.noise_fraction
        if tree.live[game, node, action] and tree.visits[game, node, action] > 0:
            visits += tree.visits[game, node, action]
            total += tree.value_sum[game, node, action]
            visited_prior += tree.prior[game, node, action]
    value = total / (1 + visits)  # the node's own evaluation counts as one visit
    unvisited = value - constants.fpu_reduction * math.sqrt(visited_prior)
    exploration = exploration_weight(visits, constants)
    best, best_score = -1, -np.inf
    for action in range(tree.visits.shape[2]):
        if not tree.live[game, node, action]:
            continue
        count = tree.visits[game, node, action]
        q = tree.value_sum[game, node, action] / count if count > 0 else unvisited
        prior = tree.prior[game, node, action]
        if noise > 0.0:
            prior = (1.0 - noise) * prior + noise * tree.noise[game, action]
        score = q + exploration * prior / (1 + count)
        if score > best_score:
            best, best_score = action, score
    return best


@kernel
def exploration_weight(visits: int, constants: Any) -> float:
    """c · sqrt(N) of the formula above, at a node of so many visits N."""
    weight = constants.c_puct + math.log((visits + constants.c_puct_base + 1) / constants.c_puct_base)
    return float(weight * math.sqrt(max(visits, 1)))


class Puct:
    """The search method PUCT, as `search/search.py` uses it. Explores only where it is given a generator."""

    loop = staticmethod(growth_loop(choose_puct))

    def __init__(self, settings: SearchSettings) -> None:
        self._settings = settings
        self.reuses_tree = settings.reuse_tree
        self.constants = PuctConstants(
            settings.c_puct,
            settings.c_puct_base,
            settings.fpu_reduction,
            settings.noise_fraction,
            settings.prune_targets,
        )

    def begin_moves(self, tree: Tree, games: Slots, legal: npt.NDArray[np.bool_], turns: Sequence[Turn]) -> None:
        """Draw the roots' exploration noise over their legal actions [n, A]."""
        if self.constants.noise_fraction > 0.0:
            # A Dirichlet draw is a normalised vector of gamma draws; illegal actions keep a share of zero.
            alpha, actions = self._settings.noise_alpha, legal.shape[1]
            draws = np.array([rng.standard_gamma(alpha, actions) for _, rng in turns])
            share_out(draws, legal, games, tree.noise)

    def decide(self, tree: Tree, games: Slots, turns: Sequence[Turn]) -> Decisions:
        """The moves to play in self-play games, drawn by temperature from the roots' visits [n, A], and these visits,
        which the network shall learn; proven mistakes left out of both."""
        settings, chances = self._settings, np.zeros((len(games), 2))
        for chance, (ply, rng) in zip(chances, turns, strict=True):
            temperature = settings.temperature if ply < settings.temperature_plies else settings.late_temperature
            if temperature > 0.0:
                chance[:] = 1.0 / temperature, rng.random()
        found = Decisions(np.empty(len(games), np.int64), np.empty((len(games), tree.visits.shape[2]), np.int32))
        draw_visits(tree, games, self.constants, chances, *found)
        return found


@kernel
def share_out(draws: Any, legal: Any, games: Any, noise: Any) -> None:
    """Write to the noise [B, A] of `games` [n] the share that each legal action's draw [n, A] has in the sum of all of
    theirs; zeros where all are zero."""
    for i in range(len(games)):
        total = 0.0
        for action in range(draws.shape[1]):
            total += draws[i, action] if legal[i, action] else 0.0
        for action in range(draws.shape[1]):
            noise[games[i], action] = draws[i, action] / max(total, _SMALLEST_SUM) if legal[i, action] else 0.0


@kernel
def draw_visits(tree: Any, games: Any, constants: Any, chances: Any, actions: Any, visits: Any) -> None:
    """Write the roots' sound visits [n, A], pruned where that is wanted, and actions drawn from them as in `draw` with
    a power and a uniform [n, 2]; with power 0 the most visited."""
    for i in range(len(games)):
        sound_visits(tree, games[i], visits[i])
        if constants.prunes_targets:
            prune_visits(tree, games[i], constants, visits[i])
        power, uniform = chances[i, 0], chances[i, 1]
        actions[i] = draw(visits[i], power, uniform) if power > 0.0 else visits[i].argmax()


@kernel
def prune_visits(tree: Any, game: int, constants: Any, visits: Any) -> None:
    """Leave of the root's visits [A] to each action as many as it takes to score no more, without noise, than the most
    visited: policy target pruning (Wu 2019, 3.2). Q in that score is what all visits have found, pruned ones too."""
    total = 0
    for action in range(len(visits)):
        total += visits[action]
    exploration, best = exploration_weight(total, constants), visits.argmax()
    q = tree.value_sum[game, 0, best] / visits[best]
    score = q + exploration * tree.prior[game, 0, best] / (1 + visits[best])
    for action in range(len(visits)):
        if action != best and visits[action] > 0:
            gap = score - tree.value_sum[game, 0, action] / tree.visits[game, 0, action]
            if gap > 0.0:
                wanted = math.ceil(exploration * tree.prior[game, 0, action] / gap - 1.0)
                visits[action] = min(visits[action], max(0, wanted))


@kernel
def draw(visits: Any, power: float, uniform: float) -> int:
    """The action at which the running sum of visits^power passes the share `uniform` (0 to 1) of the whole."""
    highest, total = 0, 0.0
    for action in range(len(visits)):
        highest = max(highest, visits[action])
    for action in range(len(visits)):
        total += (visits[action] / highest) ** power
    left, last = uniform * total, 0
    for action in range(len(visits)):
        if visits[action] > 0:
            last = action
            left -= (visits[action] / highest) ** power
            if left < 0.0:
                break
    return last
