"""Search trees of B games as arrays, and the kernels that grow, update and re-root them.

Knows no game's rules, no network, and not how an action is chosen. Letters: B games, N nodes per tree, A actions.

Node 0 is the root. A node's value is seen by the player to move in that node; an edge's values by the player to
move in the node the edge leaves. Players may move twice running, so signs come from `to_move`, never from depth.

Results that are proven are carried up as bounds (Cazenave and Saffidine 2010, "Score Bounded Monte-Carlo Tree Search";
Winands et al. 2008, "Monte-Carlo Tree Search Solver"): a node whose bounds meet is solved and is never looked into
again, an action proven to be worse than another is left out.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from selfplay.games.game import LOSS, ONGOING, WIN
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
    lower: npt.NDArray[np.int8]  # [B, N] the outcome that the player to move can force at least
    upper: npt.NDArray[np.int8]  # [B, N] and at most; equal bounds = solved
    live: npt.NDArray[np.bool_]  # [B, N, A] True = may be played, and is not proven to be worse than another action
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
        lower=np.zeros((games, nodes), np.int8),
        upper=np.zeros((games, nodes), np.int8),
        live=np.zeros(edges, np.bool_),
        prior=np.zeros(edges, np.float32),
        child=np.full(edges, NO_CHILD, np.int32),
        visits=np.zeros(edges, np.int32),
        value_sum=np.zeros(edges, np.float32),
        noise=np.zeros((games, actions), np.float32),
    )


class Left(NamedTuple):
    """What is to be said of n roots that are left, and of the positions they are left for."""

    value: npt.NDArray[np.float64]  # [n] mean of the root's evaluation and all simulations, seen by its player to move
    visits: npt.NDArray[np.int64]  # [n] of the root
    outcome: npt.NDArray[np.int8]  # [n] ONGOING, WIN, DRAW or LOSS for the player who moved
    to_move: npt.NDArray[np.int8]  # [n] 0 or 1, in the new position
    kept_visits: npt.NDArray[np.int64]  # [n] of the new root

    @classmethod
    def empty(cls, count: int) -> Left:
        """Room for so many."""
        return cls(
            np.empty(count, np.float64),
            np.empty(count, np.int64),
            np.empty(count, np.int8),
            np.empty(count, np.int8),
            np.empty(count, np.int64),
        )


class Moved(NamedTuple):
    """Nodes whose states follow them to another index, and memory to work in."""

    sources: npt.NDArray[np.int64]  # [B · N] game · N + index
    targets: npt.NDArray[np.int64]  # [B · N]
    kept: npt.NDArray[np.int32]  # [N]
    new_index: npt.NDArray[np.int32]  # [N]

    @classmethod
    def empty(cls, games: int, nodes: int) -> Moved:
        """Room for all nodes of so many games."""
        all_nodes = games * nodes
        return cls(
            np.empty(all_nodes, np.int64),
            np.empty(all_nodes, np.int64),
            np.empty(nodes, np.int32),
            np.empty(nodes, np.int32),
        )


@kernel
def add_node(tree: Any, game: int, parent: int, action: int) -> int:
    """A fresh node under `parent` (the root where that is -1); its index."""
    node = tree.size[game]
    tree.size[game] = node + 1
    tree.parent[game, node] = parent
    tree.parent_action[game, node] = action
    tree.lower[game, node], tree.upper[game, node] = LOSS, WIN
    for edge in range(tree.child.shape[2]):
        tree.live[game, node, edge] = False
        tree.prior[game, node, edge] = 0.0
        tree.child[game, node, edge] = NO_CHILD
        tree.visits[game, node, edge] = 0
        tree.value_sum[game, node, edge] = 0.0
    if parent >= 0:
        tree.child[game, parent, action] = node
    return int(node)


@kernel
def back_up(tree: Any, game: int, leaf: int) -> None:
    """Count one simulation on every edge from the root to `leaf`, with the leaf's value seen from each edge, but no
    better or worse than what the nodes on the way are proven to be."""
    value, mover = tree.value[game, leaf], tree.to_move[game, leaf]
    node = leaf
    while tree.parent[game, node] >= 0:
        action, node = tree.parent_action[game, node], tree.parent[game, node]
        if tree.to_move[game, node] != mover:
            value, mover = -value, tree.to_move[game, node]
        tree.visits[game, node, action] += 1
        tree.value_sum[game, node, action] += value
        value = min(max(value, np.float32(tree.lower[game, node])), np.float32(tree.upper[game, node]))


@kernel
def root_value(tree: Any, game: int) -> float:
    """What the root is worth to the player to move there: its outcome where that is proven, else the mean of its
    evaluation and all simulations that are not proven to be mistakes."""
    if tree.lower[game, 0] == tree.upper[game, 0]:
        return float(tree.lower[game, 0])
    visits, total = 1, float(tree.value[game, 0])
    for action in range(tree.visits.shape[2]):
        if tree.live[game, 0, action]:
            visits += tree.visits[game, 0, action]
            total += tree.value_sum[game, 0, action]
    return total / visits


@kernel
def root_visits(tree: Any, game: int) -> int:
    """Simulations through the root."""
    visits = 0
    for action in range(tree.visits.shape[2]):
        visits += tree.visits[game, 0, action]
    return visits


@kernel
def settle(tree: Any, game: int, node: int, outcome: int) -> None:
    """The outcome of a node is proven, seen by the player to move there."""
    tree.value[game, node] = outcome
    tree.lower[game, node] = tree.upper[game, node] = outcome


@kernel
def carry_up_proofs(tree: Any, game: int, node: int) -> None:
    """Tell what was proven of a node to those above it, as far as it is news to them."""
    news = True
    while news and tree.parent[game, node] >= 0:
        node = tree.parent[game, node]
        news = take_in_proofs(tree, game, node)


@kernel
def take_in_proofs(tree: Any, game: int, node: int) -> bool:
    """Bring a node's bounds and live actions up to date with its children; whether its bounds have moved."""
    lower, upper = tree.lower[game, node], LOSS
    for action in range(tree.child.shape[2]):
        if tree.live[game, node, action]:
            low, high = edge_bounds(tree, game, node, action)
            lower, upper = max(lower, low), max(upper, high)
            if low == high:  # what simulations through it have found before no longer counts
                tree.value_sum[game, node, action] = low * tree.visits[game, node, action]
    for action in range(tree.child.shape[2]):
        if tree.live[game, node, action]:
            high = edge_bounds(tree, game, node, action)[1]
            tree.live[game, node, action] = high > LOSS and high >= lower
    news = lower != tree.lower[game, node] or upper != tree.upper[game, node]
    tree.lower[game, node], tree.upper[game, node] = lower, upper
    if lower == upper:
        tree.value[game, node] = lower
    return bool(news)


@kernel
def edge_bounds(tree: Any, game: int, node: int, action: int) -> tuple[int, int]:
    """Bounds of the outcome after an action, seen by the player who plays it."""
    child = tree.child[game, node, action]
    if child == NO_CHILD:
        return LOSS, WIN
    if tree.to_move[game, child] == tree.to_move[game, node]:
        return int(tree.lower[game, child]), int(tree.upper[game, child])
    return -int(tree.upper[game, child]), -int(tree.lower[game, child])


@kernel
def is_solved(tree: Any, game: int) -> bool:
    """Whether the root's outcome is proven."""
    return bool(tree.size[game] > 0 and tree.lower[game, 0] == tree.upper[game, 0])


@kernel
def is_decided(tree: Any, game: int) -> bool:
    """Whether the root is solved, and an action is known that leads there."""
    if not is_solved(tree, game):
        return False
    for action in range(tree.child.shape[2]):
        if tree.visits[game, 0, action] > 0 and edge_bounds(tree, game, 0, action)[0] == tree.lower[game, 0]:
            return True
    return False


@kernel
def sound_visits(tree: Any, game: int, visits: Any) -> None:
    """Write the root's visits [A], without those of actions that are proven to be worse than another."""
    solved, total = tree.lower[game, 0] == tree.upper[game, 0], 0
    for action in range(len(visits)):
        is_best = edge_bounds(tree, game, 0, action)[0] == tree.lower[game, 0]
        sound = is_best if solved else tree.live[game, 0, action]
        visits[action] = tree.visits[game, 0, action] if sound else 0
        total += visits[action]
    if total == 0:  # all that was visited is lost, and something else has not been looked at
        for action in range(len(visits)):
            visits[action] = tree.visits[game, 0, action]


@kernel
def describe_node(tree: Any, game: int, node: int, outcome: int, to_move: int) -> bool:
    """Write what the rules say of a new node; whether the game goes on there. An outcome is seen by the parent's
    mover."""
    tree.to_move[game, node] = to_move
    tree.terminal[game, node] = outcome != ONGOING
    if outcome != ONGOING:
        same_player = tree.to_move[game, tree.parent[game, node]] == to_move
        settle(tree, game, node, outcome if same_player else -outcome)
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
def leave_roots(tree: Any, games: Any, actions: Any, reuses: bool, left: Any, moved: Any) -> int:
    """Move on to the children of the roots of `games` [n] by visited actions [n], except where the game ends there.

    What is known below the child stays where the method reuses it or the child is solved; else the tree is empty then,
    but for the child's live actions. Writes `left`; returns how many states have to follow their nodes: see `moved`.
    """
    count, nodes = 0, tree.parent.shape[1]
    for i in range(len(games)):
        game = games[i]
        left.value[i], left.visits[i] = root_value(tree, game), root_visits(tree, game)
        mover, child = tree.to_move[game, 0], tree.child[game, 0, actions[i]]
        left.to_move[i] = tree.to_move[game, child]
        if tree.terminal[game, child]:
            result = int(tree.value[game, child])
            left.outcome[i] = result if left.to_move[i] == mover else -result
            left.kept_visits[i] = 0
            continue
        left.outcome[i] = ONGOING
        for action in range(tree.noise.shape[1]):
            tree.noise[game, action] = 0.0
        if reuses or tree.lower[game, child] == tree.upper[game, child]:
            for new in range(reroot(tree, game, child, moved)):
                moved.sources[count + new] = game * nodes + moved.kept[new]
                moved.targets[count + new] = game * nodes + new
            count += tree.size[game]
            left.kept_visits[i] = root_visits(tree, game)
        else:
            for action in range(tree.live.shape[2]):
                tree.live[game, 0, action] = tree.live[game, child, action]
            tree.size[game] = 0
            moved.sources[count], moved.targets[count] = game * nodes + child, game * nodes
            count += 1
            left.kept_visits[i] = 0
    return count


@kernel
def reroot(tree: Any, game: int, top: int, moved: Any) -> int:
    """Make a node the root, dropping all that is not below it.

    Returns the number of nodes that stay; moved.kept[new index] = old index. Works in place: a child's index is always
    above its parent's, so every node moves down or stays.
    """
    new_index, kept = moved.new_index, moved.kept
    count = 0
    for old in range(tree.size[game]):
        inside = old == top or (old > top and new_index[tree.parent[game, old]] != NO_CHILD)
        new_index[old] = count if inside else NO_CHILD
        if inside:
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
    tree.lower[game, new] = tree.lower[game, old]
    tree.upper[game, new] = tree.upper[game, old]
    for edge in range(tree.child.shape[2]):
        tree.live[game, new, edge] = tree.live[game, old, edge]
        tree.prior[game, new, edge] = tree.prior[game, old, edge]
        tree.child[game, new, edge] = tree.child[game, old, edge]
        tree.visits[game, new, edge] = tree.visits[game, old, edge]
        tree.value_sum[game, new, edge] = tree.value_sum[game, old, edge]
