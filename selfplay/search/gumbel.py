"""Gumbel AlphaZero: the root's actions drawn without replacement and halved, a policy target that is sure to improve.

    root    argmax g(a) + log P(a) + sigma(Q(a)) among the actions whose turn it is (`halving.py`)
    below   argmax P'(a) - N(a) / (1 + N),   P' = softmax(log P + sigma(Q))
    target  P' at the root
    sigma(q) = (c_visit + max N) · c_scale · q,   q = completed Q, -1 to 1

Danihelka, Guez, Schrittwieser, Silver 2022, "Policy improvement by planning with Gumbel"; Q is completed by the mixed
value of its appendix D. Unlike mctx's default Q is not stretched to the node's own range: the smallest difference would
then weigh as much as a win against a loss. Knows nothing of games or networks. Letters: A actions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from selfplay.kernels import kernel
from selfplay.search.halving import wanted_visits
from selfplay.search.search import Decisions, Slots, Turn
from selfplay.search.simulate import growth_loop
from selfplay.search.tree import Tree, edge_bounds
from selfplay.settings import SearchSettings

TARGET_SUM = 10_000  # policy targets are filed as whole numbers of about this sum
_SMALLEST_PRIOR = 1e-30  # what softmax has rounded to zero still has a logarithm


class GumbelConstants(NamedTuple):
    """Settings as the kernel sees them, and memory to work in."""

    plan: npt.NDArray[np.int32]  # [most actions + 1, simulations] `wanted_visits` for each number of actions
    c_visit: float
    c_scale: float
    scratch: npt.NDArray[np.float32]  # [A]


@kernel
def choose_gumbel(tree: Any, game: int, node: int, constants: Any) -> int:
    """The live action that comes next; the lowest-numbered of equals."""
    if node == 0:
        return int(choose_at_root(tree, game, constants))
    weights = constants.scratch
    improved_policy(tree, game, node, constants, weights)
    visits = 1
    for action in range(len(weights)):
        visits += tree.visits[game, node, action]
    best, best_score = -1, -np.inf
    for action in range(len(weights)):
        score = weights[action] - tree.visits[game, node, action] / visits
        if tree.live[game, node, action] and score > best_score:
            best, best_score = action, score
    return best


@kernel
def choose_at_root(tree: Any, game: int, constants: Any) -> int:
    """The best of the live actions that have as many visits as the plan wants; where proofs have upset the plan, of
    those with most visits."""
    actions, made, most = 0, 0, 0
    for action in range(tree.visits.shape[2]):
        actions += tree.prior[game, 0, action] > 0.0
        made += tree.visits[game, 0, action]
        if tree.live[game, 0, action]:
            most = max(most, tree.visits[game, 0, action])
    considered = min(actions, len(constants.plan) - 1)
    wanted = constants.plan[considered, min(made, constants.plan.shape[1] - 1)]
    best = best_with_visits(tree, game, constants, wanted)
    return int(best if best >= 0 else best_with_visits(tree, game, constants, most))


@kernel
def best_with_visits(tree: Any, game: int, constants: Any, wanted: int) -> int:
    """The live action of the root with the highest g + log P + sigma(Q) among those with so many visits, or -1."""
    best, best_score = -1, -np.inf
    q = constants.scratch
    scaled_q(tree, game, 0, constants, q)
    for action in range(len(q)):
        if tree.live[game, 0, action] and tree.visits[game, 0, action] == wanted:
            logit = np.log(max(tree.prior[game, 0, action], np.float32(_SMALLEST_PRIOR)))
            score = tree.noise[game, action] + logit + q[action]
            if score > best_score:
                best, best_score = action, score
    return best


@kernel
def improved_policy(tree: Any, game: int, node: int, constants: Any, weights: Any) -> None:
    """Write P' [A] = softmax(log P + sigma(Q)) over live actions; zeros elsewhere."""
    scaled_q(tree, game, node, constants, weights)
    highest, total = np.float32(-np.inf), np.float32(0.0)
    for action in range(len(weights)):
        if tree.live[game, node, action]:
            highest = max(highest, weights[action])
    for action in range(len(weights)):
        prior = tree.prior[game, node, action] if tree.live[game, node, action] else np.float32(0.0)
        weights[action] = prior * np.exp(min(weights[action] - highest, np.float32(0.0)))
        total += weights[action]
    for action in range(len(weights)):
        weights[action] /= max(total, np.float32(_SMALLEST_PRIOR))


@kernel
def scaled_q(tree: Any, game: int, node: int, constants: Any, q: Any) -> None:
    """Write sigma of the completed Q [A]: unvisited actions have the node's mixed value."""
    visits, most, weighted, seen = 0, 0, np.float32(0.0), np.float32(0.0)
    for action in range(len(q)):
        count = tree.visits[game, node, action]
        if count > 0:
            visits, most = visits + count, max(most, count)
            q[action] = tree.value_sum[game, node, action] / np.float32(count)
            weighted += tree.prior[game, node, action] * q[action]
            seen += tree.prior[game, node, action]
    mean = weighted / max(seen, np.float32(_SMALLEST_PRIOR))
    mixed = (tree.value[game, node] + np.float32(visits) * mean) / np.float32(visits + 1)
    scale = np.float32((constants.c_visit + most) * constants.c_scale)
    for action in range(len(q)):
        q[action] = scale * (q[action] if tree.visits[game, node, action] > 0 else mixed)


class Gumbel:
    """The search method Gumbel AlphaZero, as `search/search.py` uses it. Explores only where it gets a generator."""

    loop = staticmethod(growth_loop(choose_gumbel))
    reuses_tree = False  # halving begins with actions that nobody has visited yet

    def __init__(self, settings: SearchSettings, *, actions: int) -> None:
        self._settings = settings
        most = min(settings.considered_actions, actions)
        plan = [wanted_visits(number, settings.simulations) for number in range(most + 1)]
        self.constants = GumbelConstants(
            np.array(plan, np.int32), settings.gumbel_visits, settings.gumbel_scale, np.empty(actions, np.float32)
        )

    def begin_moves(self, tree: Tree, games: Slots, legal: npt.NDArray[np.bool_], turns: Sequence[Turn]) -> None:
        """Draw the roots' Gumbel noise [n, A], scaled by the temperature of the ply."""
        settings, noise = self._settings, np.zeros(legal.shape, np.float32)
        for row, (ply, rng) in zip(noise, turns, strict=True):
            temperature = settings.temperature if ply < settings.temperature_plies else settings.late_temperature
            if temperature > 0.0:
                row[:] = temperature * rng.gumbel(size=len(row))
        tree.noise[games] = noise

    def decide(self, tree: Tree, games: Slots, turns: Sequence[Turn]) -> Decisions:
        """The best of the actions that were visited most (where the root is solved, one that leads there), and the
        improved policy [n, A], as shares of TARGET_SUM."""
        weights, actions = np.empty((len(games), tree.visits.shape[2]), np.float32), np.empty(len(games), np.int64)
        decide_at_roots(tree, games, self.constants, actions, weights)
        return Decisions(actions, np.rint(TARGET_SUM * weights).astype(np.int32))


@kernel
def decide_at_roots(tree: Any, games: Any, constants: Any, actions: Any, weights: Any) -> None:
    """Write the actions to play [n] and the targets [n, A]."""
    for i in range(len(games)):
        target_at_root(tree, games[i], constants, weights[i])
        actions[i] = final_choice(tree, games[i], constants)


@kernel
def target_at_root(tree: Any, game: int, constants: Any, weights: Any) -> None:
    """Write P' [A] of the root; where it is solved, over the visited actions that lead to its outcome."""
    improved_policy(tree, game, 0, constants, weights)
    if tree.lower[game, 0] != tree.upper[game, 0]:
        return
    total = np.float32(0.0)
    for action in range(len(weights)):
        leads_there = edge_bounds(tree, game, 0, action)[0] == tree.lower[game, 0]
        visited = tree.visits[game, 0, action] > 0
        weights[action] = np.float32(tree.visits[game, 0, action]) if leads_there and visited else np.float32(0.0)
        total += weights[action]
    for action in range(len(weights)):
        weights[action] /= total


@kernel
def final_choice(tree: Any, game: int, constants: Any) -> int:
    """The action to play."""
    solved, most = tree.lower[game, 0] == tree.upper[game, 0], 0
    best, most_visits = -1, 0
    for action in range(tree.visits.shape[2]):
        count = tree.visits[game, 0, action]
        if solved and count > most_visits and edge_bounds(tree, game, 0, action)[0] == tree.lower[game, 0]:
            best, most_visits = action, count
        if tree.live[game, 0, action]:
            most = max(most, count)
    if best < 0 and most > 0:
        best = best_with_visits(tree, game, constants, most)
    return int(best if best >= 0 else tree.visits[game, 0].argmax())
