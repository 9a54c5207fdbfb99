"""One simulation in each of many trees: descend by a method's choice, ask rules and evaluator, back up.

The only place where trees, rules and evaluator meet, and it knows none of them from inside. Python runs once per
step, not once per simulation. Letters: B games, N nodes, n new leaves of this step, A actions.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from selfplay.evaluation.evaluator import Evaluation, Evaluator, Positions
from selfplay.games.game import Rules, States
from selfplay.kernels import Kernel, kernel
from selfplay.search.tree import NO_CHILD, Tree, add_node, back_up, describe_leaves, finish_leaves, new_trees


def descent_kernel(choose: Kernel) -> Kernel:
    """A kernel that walks down each tree by `choose(tree, game, node, constants) -> action`.

    descend(tree, games, constants, new_games, new_parents, new_actions, new_leaves) -> n: new leaves are added
    and written to the last four arrays (a root that is not evaluated yet counts as a leaf, its parent is itself
    and its action -1); where a walk ends in a finished game, that result is backed up at once.
    """

    def descend(
        tree: Any,
        games: Any,
        constants: Any,
        new_games: Any,
        new_parents: Any,
        new_actions: Any,
        new_leaves: Any,
    ) -> int:
        count = 0
        for game in games:
            parent, action = -1, -1
            if tree.size[game] > 0:
                node = 0
                while node != NO_CHILD and not tree.terminal[game, node]:
                    parent, action = node, choose(tree, game, node, constants)
                    node = tree.child[game, node, action]
                if node != NO_CHILD:
                    back_up(tree, game, node)
                    continue
            new_games[count] = game
            new_parents[count] = max(parent, 0)
            new_actions[count] = action
            new_leaves[count] = add_node(tree, game, parent, action)
            count += 1
        return count

    return kernel(descend)


_NOTHING = Evaluation(np.empty((0, 0), np.float32), np.empty(0, np.float32))


class Simulator:
    """The arrays of B searches of one game, and the step that grows them all.

    Args:
        rules: the game.
        evaluator: judges new leaves.
        descend: a kernel made by `descent_kernel`.
        games: B.
        nodes: N, the most nodes a tree may have.
    """

    def __init__(self, rules: Rules, evaluator: Evaluator, descend: Kernel, *, games: int, nodes: int) -> None:
        self.rules = rules
        self.evaluator = evaluator
        self.tree: Tree = new_trees(games, nodes, rules.info.num_actions)
        self.states: States = rules.empty((games, nodes))  # [B, N] the state of each node
        self._descend = descend
        self._rows = np.empty(games, np.int32)  # of each new leaf among those to evaluate, -1 = the game is over there
        self._new = [np.empty(games, np.int32) for _ in range(4)]  # games, parents, actions, leaves of a step

    def step(self, games: npt.NDArray[np.int32], constants: Any) -> None:
        """One simulation in each of the given games; a fresh root gets evaluated instead, which is no visit."""
        count = self._descend(self.tree, games, constants, *self._new)
        if count == 0:
            return
        new_games, parents, actions, leaves = (column[:count] for column in self._new)
        states = self.states[new_games, parents]
        known = self.rules.advance(states, actions)
        self.states[new_games, leaves] = states
        rows = self._rows[:count]
        ongoing = describe_leaves(self.tree, new_games, leaves, known.outcomes, known.to_move, known.legal, rows)
        if ongoing == 0:
            finish_leaves(self.tree, new_games, leaves, rows, *_NOTHING)
            return
        positions = Positions(self.rules, states, known.legal, known.keys)
        if ongoing < count:
            positions = positions.take(rows >= 0)
        evaluation = self.evaluator.evaluate(positions)
        finish_leaves(self.tree, new_games, leaves, rows, evaluation.priors, evaluation.values)
