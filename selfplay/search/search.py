"""Search as callers use it: many positions side by side, one method, one evaluator.

`Search` holds B slots. A slot is given a position, gathers simulations step by step, is read, and moves on to the
position after a move, keeping what it already knows of it. What a slot finds is a function of its position, method,
evaluator and generator alone, not of the other slots. Letters: B slots, A actions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from selfplay.evaluation.cache import CachedEvaluator
from selfplay.games.game import ONGOING, Rules, States
from selfplay.search.simulate import Simulator
from selfplay.search.tree import NO_CHILD, Left, Moved, Tree, leave_roots, root_value
from selfplay.settings import SearchSettings

IDLE = -1


Slots = npt.NDArray[np.intp]  # [n]


class Turn(NamedTuple):
    """Whose move a root's is."""

    ply: int
    rng: np.random.Generator  # the game's own


class Decisions(NamedTuple):
    """What a method makes of n finished searches."""

    actions: npt.NDArray[np.int64]  # [n] to play
    targets: npt.NDArray[np.int32]  # [n, A] what a network shall learn to expect at the root, in any unit


class SearchMethod(Protocol):
    """Which action next, and what policy target: all that PUCT and another search differ in."""

    loop: Any  # made by `simulate.growth_loop`
    constants: Any  # NamedTuple that the kernel's choice gets

    reuses_tree: bool  # whether the subtree of a move is of use after it

    def begin_moves(self, tree: Tree, games: Slots, legal: npt.NDArray[np.bool_], turns: Sequence[Turn]) -> None: ...

    def decide(self, tree: Tree, games: Slots, turns: Sequence[Turn]) -> Decisions: ...


class RootFacts(NamedTuple):
    """What a search found at a root."""

    visits: npt.NDArray[np.int32]  # [A]
    outcome: int | None  # where it is proven, seen by the player to move
    value: float  # mean of the root's evaluation and all simulations, seen by the player to move, -1 to 1
    evaluation: float  # the evaluator's own value of the root, seen likewise
    prior: npt.NDArray[np.float32]  # [A] the evaluator's probabilities, without noise
    q: npt.NDArray[np.float32]  # [A] mean value of each action, seen by the player to move; 0 where unvisited
    line: list[int]  # principal variation: most visited actions from the root


class Advance(NamedTuple):
    """What searches say of the n roots they leave, and of the positions they move on to."""

    values: npt.NDArray[np.float64]  # [n] of the root: mean of its evaluation and all simulations, seen by its mover
    simulations: npt.NDArray[np.int64]  # [n] made for this move, without the visits kept from the move before
    outcomes: npt.NDArray[np.int8]  # [n] ONGOING, WIN, DRAW or LOSS for the player who moved
    to_move: npt.NDArray[np.int8]  # [n] 0 or 1, in the new position
    live: npt.NDArray[np.bool_]  # [n, A] True = may be best there; without meaning if the game is over


class Search:
    """B searches side by side.

    Args:
        rules: the game.
        evaluator: judges leaves; shared by all slots.
        method: PUCT or another search method.
        settings: visits of the root at which a slot is finished, and what is made of certain results.
        slots: B.
    """

    def __init__(
        self,
        rules: Rules,
        evaluator: CachedEvaluator,
        method: SearchMethod,
        settings: SearchSettings,
        *,
        slots: int,
    ) -> None:
        self.rules = rules
        self.method = method
        self.simulations = settings.simulations
        self._simulator = Simulator(rules, evaluator, method.loop, settings, games=slots)
        self._moved = Moved.empty(*self._simulator.states.shape)
        self._simulator.steps_left[:] = IDLE
        self._visits_before = np.zeros(slots, np.int64)  # [B] of the root, at the start of this move

    def put(self, slot: int, state: States) -> None:
        """Begin anew in `slot` at the ongoing position `state` [1]."""
        simulator = self._simulator
        simulator.states[slot, 0] = state[0]
        simulator.tree.noise[slot] = 0.0
        simulator.tree.size[slot] = 0
        simulator.steps_left[slot] = self.simulations + 1  # the root's own evaluation is one
        self._visits_before[slot] = 0

    def clear(self, slot: int) -> None:
        """Leave the slot idle until something is put there."""
        self._simulator.steps_left[slot] = IDLE

    def explore(self, slots: Slots, legal: npt.NDArray[np.bool_], turns: Sequence[Turn]) -> None:
        """Let the method prepare the roots (noise and the like), whose legal actions [n, A] are given."""
        self.method.begin_moves(self._simulator.tree, slots, legal, turns)

    def hurry(self, slot: int, simulations: int) -> None:
        """Search for this move with at most so many visits of the root."""
        left = self._simulator.steps_left
        left[slot] = max(0, left[slot] - max(0, self.simulations - simulations))

    def step(self) -> int:
        """Search on in every unfinished slot, up to its next new position; the number of simulations made."""
        return self._simulator.step(self.method.constants)

    def run(self) -> None:
        """Finish every slot."""
        while (self._simulator.steps_left > 0).any():
            self.step()

    def finished(self) -> Slots:
        """Slots that have their visits and wait for a move."""
        slots: Slots = (self._simulator.steps_left == 0).nonzero()[0]
        return slots

    def state(self, slot: int) -> States:
        """The root's state [1]."""
        return self._simulator.states[slot, :1]

    def root(self, slot: int) -> RootFacts:
        """What was found so far; the root must have been evaluated."""
        tree = self._simulator.tree
        visits = tree.visits[slot, 0].copy()
        sums = tree.value_sum[slot, 0]
        lower, upper = int(tree.lower[slot, 0]), int(tree.upper[slot, 0])
        return RootFacts(
            visits=visits,
            outcome=lower if lower == upper else None,
            value=float(root_value(tree, slot)),
            evaluation=float(tree.value[slot, 0]),
            prior=tree.prior[slot, 0].copy(),
            q=np.where(visits > 0, sums / np.maximum(visits, 1), 0.0).astype(np.float32),
            line=self._principal_variation(slot, 0),
        )

    def lines(self, slot: int) -> dict[int, list[int]]:
        """For each visited action of the root, the actions expected from it on, itself first."""
        tree = self._simulator.tree
        actions = tree.visits[slot, 0].nonzero()[0].tolist()
        return {a: [a, *self._principal_variation(slot, int(tree.child[slot, 0, a]))] for a in actions}

    def decide(self, slots: Slots, turns: Sequence[Turn]) -> Decisions:
        """The actions that the method plays, and the policies to learn."""
        return self.method.decide(self._simulator.tree, slots, turns)

    def advance(self, slots: Slots, actions: npt.NDArray[np.int64]) -> Advance:
        """Move on to the positions that visited actions lead to; where the game ends there, stay."""
        simulator, tree = self._simulator, self._simulator.tree
        left, states = Left.empty(len(slots)), simulator.states.reshape(-1)
        count = leave_roots(tree, slots, actions, self.method.reuses_tree, left, self._moved)
        states[self._moved.targets[:count]] = states[self._moved.sources[:count]]
        made = left.visits - self._visits_before[slots]
        going = left.outcome == ONGOING
        on, kept = slots[going], left.kept_visits[going]
        # Visits of the root that are still wanted; and its own evaluation, where it is not known.
        simulator.steps_left[on] = np.maximum(0, self.simulations - kept) + (tree.size[on] == 0)
        self._visits_before[on] = kept
        return Advance(left.value, made, left.outcome, left.to_move, tree.live[slots, 0])

    def _principal_variation(self, slot: int, node: int) -> list[int]:
        """Most visited actions from a node on."""
        tree, line = self._simulator.tree, []
        while node != NO_CHILD and tree.visits[slot, node].any():
            action = int(tree.visits[slot, node].argmax())
            line.append(action)
            node = tree.child[slot, node, action]
        return line
