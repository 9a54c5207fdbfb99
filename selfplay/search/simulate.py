"""Simulations in many trees at once: descend by a method's choice, ask rules and evaluator, back up.

The only place where trees, rules and evaluator meet, and it knows none of them from inside. One step lets every
tree grow until it needs an evaluation that nobody remembers, then evaluates these leaves together: Python runs
once per step, and the network gets a full batch each time. Letters: B games, N nodes per tree, A actions,
n leaves that wait for their evaluation.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from selfplay.evaluation.cache import CachedEvaluator, recall
from selfplay.evaluation.evaluator import Positions
from selfplay.games.game import WIN, LoopMaker, Rules, States
from selfplay.kernels import Kernel, kernel
from selfplay.search.tree import (
    NO_CHILD,
    Tree,
    add_node,
    back_up,
    carry_up_proofs,
    describe_node,
    finish_leaves,
    is_decided,
    new_trees,
    settle,
)
from selfplay.settings import SearchSettings


class Proofs(NamedTuple):
    """What is made of results that are certain, as the kernel sees it."""

    win_in_one: bool  # the rules are asked for them at leaves
    solver: bool  # proven results are carried up the tree


def growth_loop(choose: Kernel) -> LoopMaker:
    """The loop that grows trees whose actions are chosen by `choose(tree, game, node, constants) -> action`.

    What is returned takes the game's rules (see `Rules.build_in`) and gives
    grow(tree, room, table, steps_left, proofs, constants, games, leaves, keys) -> (n, simulations, recalled): in each
    game with steps left, simulate until they are used up, or the root is solved, or a leaf is reached that neither the
    table knows nor, with `proofs.win_in_one`, the rules decide. Such leaves are written to the last three arrays. A
    root that is not evaluated yet counts as a leaf, but not as a simulation.
    """
    walk = _walk_kernel(choose)

    def make(advance_one: Any, outcome_of: Any) -> Callable[..., tuple[int, int, int]]:
        share_wins = _wins_in_one(outcome_of)

        def grow(
            tree: Any,
            room: Any,
            table: Any,
            steps_left: Any,
            proofs: Any,
            constants: Any,
            games: Any,
            leaves: Any,
            keys: Any,
        ) -> tuple[int, int, int]:
            waiting, simulations, recalled = 0, 0, 0
            spare = tree.parent.size  # index of a state that belongs to no node
            for game in range(len(steps_left)):
                while steps_left[game] > 0:
                    if proofs.solver and is_decided(tree, game):
                        steps_left[game] = 0
                        break
                    steps_left[game] -= 1
                    leaf = walk(tree, game, constants)
                    simulations += leaf != 0
                    if leaf < 0:
                        continue
                    first, action = game * tree.parent.shape[1], tree.parent_action[game, leaf]
                    parent = max(tree.parent[game, leaf], 0)
                    outcome, to_move = advance_one(
                        room, first + parent, first + leaf, action, tree.live[game, leaf], keys[waiting]
                    )
                    if describe_node(tree, game, leaf, outcome, to_move):
                        value = recall(table, keys[waiting], tree.prior[game, leaf])
                        recalled += not np.isnan(value)
                        if np.isnan(value) and proofs.win_in_one:
                            value = share_wins(room, first + leaf, spare, tree.live[game, leaf], tree.prior[game, leaf])
                            if value == WIN and proofs.solver:
                                settle(tree, game, leaf, WIN)
                        if np.isnan(value):
                            games[waiting], leaves[waiting] = game, leaf
                            waiting += 1
                            break
                        tree.value[game, leaf] = value
                    if proofs.solver and tree.lower[game, leaf] == tree.upper[game, leaf]:
                        carry_up_proofs(tree, game, leaf)
                    back_up(tree, game, leaf)
            return waiting, simulations, recalled

        return grow

    return make


def _walk_kernel(choose: Kernel) -> Kernel:
    """walk(tree, game, constants) -> a new leaf, which is added to the tree; -1 where the walk ends in a solved node,
    whose outcome is then backed up."""

    def walk(tree: Any, game: int, constants: Any) -> int:
        parent, action = -1, -1
        if tree.size[game] > 0:
            node = 0
            while node != NO_CHILD and (node == 0 or tree.lower[game, node] < tree.upper[game, node]):
                parent, action = node, choose(tree, game, node, constants)
                node = tree.child[game, node, action]
            if node != NO_CHILD:
                back_up(tree, game, node)
                return -1
        return int(add_node(tree, game, parent, action))

    return kernel(walk)


def _wins_in_one(outcome_of: Any) -> Callable[..., float]:
    """share_wins(room, state, spare, legal, prior) -> 1 where a legal action wins at once, the prior then shared out
    among those that do; NaN where none does. The rules know that better than any network, and for less."""

    def share_wins(room: Any, state: int, spare: int, legal: Any, prior: Any) -> float:
        wins = 0
        for action in range(len(legal)):
            if legal[action] and outcome_of(room, state, spare, action) == WIN:
                prior[action] = 1.0
                wins += 1
        if wins == 0:
            return np.nan
        for action in range(len(legal)):
            prior[action] /= wins
        return 1.0

    return share_wins


class Simulator:
    """The arrays of B searches of one game, and the step that grows them all.

    Args:
        rules: the game.
        evaluator: judges new leaves.
        loop: made by `growth_loop`.
        settings: N is one more than its simulations.
        games: B.
    """

    def __init__(
        self, rules: Rules, evaluator: CachedEvaluator, loop: LoopMaker, settings: SearchSettings, *, games: int
    ) -> None:
        # A subtree visited v times holds at most v nodes, so reuse never needs more than the visits to reach.
        nodes = settings.simulations + 1
        self.rules = rules
        self.evaluator = evaluator
        self.tree: Tree = new_trees(games, nodes, rules.info.num_actions)
        states = rules.empty((games * nodes + 1,))  # the last one is room to try actions in
        self.states: States = states[:-1].reshape(games, nodes)  # [B, N] the state of each node
        self.steps_left = np.zeros(games, np.int64)  # [B] simulations to make; a fresh root's evaluation is one more
        self._grow = rules.build_in(loop)
        self._room = rules.room(states)
        self._proofs = Proofs(settings.win_in_one, settings.solver)
        # Leaves that wait for their evaluation, at most one in each game: game, node, key
        self._games, self._leaves = np.empty(games, np.int32), np.empty(games, np.int32)
        self._keys = np.empty((games, 2), np.uint64)

    def step(self, constants: Any) -> int:
        """Grow every tree that has steps left, evaluate what is new; the number of simulations begun."""
        table, waiting = self.evaluator.table, (self._games, self._leaves, self._keys)
        count, simulations, recalled = self._grow(
            self.tree, self._room, table, self.steps_left, self._proofs, constants, *waiting
        )
        self.evaluator.counts.count_recalled(recalled)
        if count:
            games, leaves = self._games[:count], self._leaves[:count]
            states, legal = self.states[games, leaves], self.tree.live[games, leaves]
            positions = Positions(self.rules, states, legal, self._keys[:count])
            finish_leaves(self.tree, games, leaves, *self.evaluator.evaluate(positions))
        return int(simulations)
