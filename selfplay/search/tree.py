"""Search trees of B games as arrays, and the kernels that grow, update and re-root them.

Knows no game's rules, no network, and not how an action is chosen. Letters: B games, N nodes per tree, A actions.

Node 0 is the root. A node's value is seen by the player to move in that node; an edge's values by the player to
move in the node the edge leaves. Players may move twice running, so signs come from `to_move`, never from depth.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from selfplay.games.game import ONGOING
from selfplay.kernels import kernel

NO_CHILD = -1


class Tree(NamedTuple):
    """B trees side by side; all arrays are allocated once."""

    size: npt.NDArray[np.int32]  # [B] nodes in use; 0 = the root's state is known, but it is not evaluated yet
    parent: npt.NDArray[np.int32]  # [B, N] node the node hangs under; the root's is -1
    parent_action: npt.NDArray[np.int32]  # [B, N] action that leads here; the root's is -1
    to_move: npt.NDArray[np.int8]  # [B, N] player to move, 0 or 1
    terminal: npt.NDArray[np.bool_]  # [B, N] the game is over here
    value: npt.NDArray[np.float32]  # [B, N] evaluation or outcome, seen by the player to move here
    legal: npt.NDArray[np.bool_]  # [B, N, A] True = may be played
    prior: npt.NDArray[np.float32]  # [B, N, A] the evaluator's probability, 0 where not legal
    child: npt.NDArray[np.int32]  # [B, N, A] node reached, or NO_CHILD
    visits: npt.NDArray[np.int32]  # [B, N, A] simulations through the edge
    value_sum: npt.NDArray[np.float32]  # [B, N, A] sum of their values, seen by the player to move in the node
    noise: npt.NDArray[np.float32]  # [B, A] exploration noise over the root's legal actions; zeros = none


def new_trees(games: int, nodes: int, actions: int) -> Tree:
    """Empty trees for `games` games of at most `nodes` nodes each."""
    edges = (games, nodes, actions)
    return Tree(
        size=np.zeros(games, np.int32),
        parent=np.full((games, nodes), -1, np.int32),
        parent_action=np.full((games, nodes), -1, np.int32),
        to_move=np.zeros((games, nodes), np.int8),
        terminal=np.zeros((games, nodes), np.bool_),
        value=np.zeros((games, nodes), np.float32),
        legal=np.zeros(edges, np.bool_),
        prior=np.zeros(edges, np.float32),
        child=np.full(edges, NO_CHILD, np.int32),
        visits=np.zeros(edges, np.int32),
        value_sum=np.zeros(edges, np.float32),
        noise=np.zeros((games, actions), np.float32),
    )


@kernel
def add_node(tree: Any, game: int, parent: int, action: int) -> int:
    """A fresh node under `parent` (the root where that is -1); its index."""
    node = tree.size[game]
    tree.size[game] = node + 1
    tree.parent[game, node] = parent
    tree.parent_action[game, node] = action
    for edge in range(tree.child.shape[2]):
        tree.legal[game, node, edge] = False
        tree.prior[game, node, edge] = 0.0
        tree.child[game, node, edge] = NO_CHILD
        tree.visits[game, node, edge] = 0
        tree.value_sum[game, node, edge] = 0.0
    if parent >= 0:
        tree.child[game, parent, action] = node
    return int(node)


@kernel
def back_up(tree: Any, game: int, leaf: int) -> None:
    """Count one simulation on every edge from the root to `leaf`, with the leaf's value seen from each edge."""
    value, mover = tree.value[game, leaf], tree.to_move[game, leaf]
    node = leaf
    while tree.parent[game, node] >= 0:
        action, node = tree.parent_action[game, node], tree.parent[game, node]
        tree.visits[game, node, action] += 1
        tree.value_sum[game, node, action] += value if tree.to_move[game, node] == mover else -value


@kernel
def root_value(tree: Any, game: int) -> float:
    """Mean of the root's evaluation and all simulations, seen by the player to move there."""
    visits, total = 1, float(tree.value[game, 0])
    for action in range(tree.visits.shape[2]):
        visits += tree.visits[game, 0, action]
        total += tree.value_sum[game, 0, action]
    return total / visits


@kernel
def describe_node(tree: Any, game: int, node: int, outcome: int, to_move: int) -> bool:
    """Write what the rules say of a new node; whether the game goes on there. An outcome is seen by the parent's
    mover."""
    tree.to_move[game, node] = to_move
    tree.terminal[game, node] = outcome != ONGOING
    if outcome != ONGOING:
        same_player = tree.to_move[game, tree.parent[game, node]] == to_move
        tree.value[game, node] = outcome if same_player else -outcome
    return bool(outcome == ONGOING)


@kernel
def finish_leaves(tree: Any, games: Any, leaves: Any, priors: Any, values: Any) -> None:
    """Write evaluations [n] to the leaves [n] they belong to, and back all up."""
    for i in range(len(games)):
        for action in range(priors.shape[1]):
            tree.prior[games[i], leaves[i], action] = priors[i, action]
        tree.value[games[i], leaves[i]] = values[i]
        back_up(tree, games[i], leaves[i])


@kernel
def leave_root(tree: Any, game: int, action: int, kept: Any) -> tuple[float, int, int, int]:
    """Move on to the root's child by a visited action, unless the game ends there.

    Returns the value of the root that was left, the child's outcome (seen by the player who moves there) and player
    to move, and how many nodes stay; `kept` as in `reroot`.
    """
    value, mover, child = root_value(tree, game), tree.to_move[game, 0], tree.child[game, 0, action]
    to_move = tree.to_move[game, child]
    if tree.terminal[game, child]:
        result = int(tree.value[game, child])
        return value, result if to_move == mover else -result, to_move, 0
    tree.noise[game] = 0.0
    return value, ONGOING, to_move, reroot(tree, game, action, kept)


@kernel
def reroot(tree: Any, game: int, action: int, kept: Any) -> int:
    """Make the root's child by `action` the root, dropping all else.

    The child must be there. Returns the number of nodes that stay; kept[new index] = old index. Works in place: a
    child's index is always above its parent's, so every node moves down or stays.
    """
    top = tree.child[game, 0, action]
    new_index = np.full(tree.size[game], NO_CHILD, np.int32)
    count = 0
    for old in range(top, tree.size[game]):
        inside = old == top or new_index[tree.parent[game, old]] != NO_CHILD
        if inside:
            new_index[old] = count
            kept[count] = old
            count += 1
    for new in range(count):
        old = kept[new]
        move_node(tree, game, old, new)
        tree.parent[game, new] = new_index[tree.parent[game, new]] if new > 0 else -1
        for edge in range(tree.child.shape[2]):
            if tree.child[game, new, edge] != NO_CHILD:
                tree.child[game, new, edge] = new_index[tree.child[game, new, edge]]
    tree.parent_action[game, 0] = -1
    tree.size[game] = count
    return count


@kernel
def move_node(tree: Any, game: int, old: int, new: int) -> None:
    """Copy everything of a node to another index."""
    tree.parent[game, new] = tree.parent[game, old]
    tree.parent_action[game, new] = tree.parent_action[game, old]
    tree.to_move[game, new] = tree.to_move[game, old]
    tree.terminal[game, new] = tree.terminal[game, old]
    tree.value[game, new] = tree.value[game, old]
    for edge in range(tree.child.shape[2]):
        tree.legal[game, new, edge] = tree.legal[game, old, edge]
        tree.prior[game, new, edge] = tree.prior[game, old, edge]
        tree.child[game, new, edge] = tree.child[game, old, edge]
        tree.visits[game, new, edge] = tree.visits[game, old, edge]
        tree.value_sum[game, new, edge] = tree.value_sum[game, old, edge]
