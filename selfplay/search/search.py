"""Search as callers use it: many positions side by side, one method, one evaluator.

`Search` holds B slots. A slot is given a position, gathers simulations step by step, is read, and moves on to the
position after a move, keeping what it already knows of it. What a slot finds is a function of its position, method,
evaluator and generator alone, not of the other slots. Letters: B slots, A actions.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from selfplay.evaluation.cache import CachedEvaluator
from selfplay.games.game import ONGOING, Rules, States
from selfplay.search.simulate import Simulator
from selfplay.search.tree import NO_CHILD, Tree, leave_root, root_value
from selfplay.settings import SearchSettings

IDLE = -1


class Decision(NamedTuple):
    """What a method makes of a finished search."""

    action: int  # to play
    target: npt.NDArray[np.int32]  # [A] what a network shall learn to expect at the root, in any unit


class SearchMethod(Protocol):
    """Which action next, and what policy target: all that PUCT and another search differ in."""

    loop: Any  # made by `simulate.growth_loop`
    constants: Any  # NamedTuple that the kernel's choice gets

    reuses_tree: bool  # whether the subtree of a move is of use after it

    def begin_move(
        self, tree: Tree, game: int, *, ply: int, legal: npt.NDArray[np.bool_], rng: np.random.Generator
    ) -> None: ...

    def decide(self, tree: Tree, game: int, ply: int, rng: np.random.Generator) -> Decision: ...


class RootFacts(NamedTuple):
    """What a search found at a root."""

    visits: npt.NDArray[np.int32]  # [A]
    outcome: int | None  # where it is proven, seen by the player to move
    value: float  # mean of the root's evaluation and all simulations, seen by the player to move, -1 to 1
    evaluation: float  # the evaluator's own value of the root, seen likewise
    prior: npt.NDArray[np.float32]  # [A] the evaluator's probabilities, without noise
    q: npt.NDArray[np.float32]  # [A] mean value of each action, seen by the player to move; 0 where unvisited
    line: list[int]  # principal variation: most visited actions from the root


class Left(NamedTuple):
    """What a search says of the root it leaves, and of the position it moves on to."""

    value: float  # of the root that was left: mean of its evaluation and all simulations, seen by its player to move
    simulations: int  # made for this move, without the visits kept from the move before
    outcome: int  # ONGOING, WIN, DRAW or LOSS for the player who moved
    to_move: int  # 0 or 1, in the new position
    live: npt.NDArray[np.bool_]  # [A] True = may be best there; a view; without meaning if the game is over


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
        self._kept = np.empty(self._simulator.states.shape[1], np.int32)
        self._simulator.steps_left[:] = IDLE
        self._visits_before = np.zeros(slots, np.int64)  # [B] of the root, at the start of this move

    def put(self, slot: int, state: States) -> None:
        """Begin anew in `slot` at the ongoing position `state` [1]."""
        self._simulator.states[slot, 0] = state[0]
        self._simulator.tree.noise[slot] = 0.0
        self._plan_afresh(slot)

    def clear(self, slot: int) -> None:
        """Leave the slot idle until something is put there."""
        self._simulator.steps_left[slot] = IDLE

    def explore(self, slot: int, *, ply: int, legal: npt.NDArray[np.bool_], rng: np.random.Generator) -> None:
        """Let the method prepare the root (noise and the like) at this ply, from the game's own generator."""
        self.method.begin_move(self._simulator.tree, slot, ply=ply, legal=legal, rng=rng)

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

    def finished(self) -> list[int]:
        """Slots that have their visits and wait for a move."""
        slots: list[int] = (self._simulator.steps_left == 0).nonzero()[0].tolist()
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

    def decide(self, slot: int, ply: int, rng: np.random.Generator) -> Decision:
        """The action that the method plays at `ply`, and the policy to learn."""
        return self.method.decide(self._simulator.tree, slot, ply, rng)

    def advance(self, slot: int, action: int) -> Left:
        """Move on to the position that a visited action leads to; where the game ends there, stay."""
        simulator = self._simulator
        made = -int(self._visits_before[slot])
        left = leave_root(simulator.tree, slot, action, self._kept)
        value, visits, outcome, to_move, nodes, kept_visits, is_solved = left
        made += visits
        if outcome == ONGOING:
            reuse = self.method.reuses_tree or is_solved
            states, kept = simulator.states[slot], self._kept[: nodes if reuse else 1]
            states[: len(kept)] = states.take(kept)
            if reuse:
                self._plan(slot, kept=kept_visits)
            else:
                self._plan_afresh(slot)
        return Left(value, made, outcome, to_move, simulator.tree.live[slot, 0])

    def _plan_afresh(self, slot: int) -> None:
        self._simulator.tree.size[slot] = 0
        self._plan(slot, kept=0)
        self._simulator.steps_left[slot] += 1  # the root's own evaluation

    def _plan(self, slot: int, *, kept: int) -> None:
        """Search until the root has its visits, of which so many are there already."""
        self._simulator.steps_left[slot] = self.simulations - kept
        self._visits_before[slot] = kept

    def _principal_variation(self, slot: int, node: int) -> list[int]:
        """Most visited actions from a node on."""
        tree, line = self._simulator.tree, []
        while node != NO_CHILD and tree.visits[slot, node].any():
            action = int(tree.visits[slot, node].argmax())
            line.append(action)
            node = tree.child[slot, node, action]
        return line
