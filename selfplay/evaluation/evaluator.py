"""The contract of an evaluator: positions in, priors and values out.

Row i of the answer is a function of position i alone, to the bit, whatever else stands in the batch: caches,
batches of other games and other machines of the same kind rely on it. Letters: n positions, A actions.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from selfplay.errors import ModelError
from selfplay.games.game import Rules, States
from selfplay.kernels import kernel


class Positions(NamedTuple):
    """Ongoing positions that want to be judged."""

    rules: Rules
    states: States  # [n]
    legal: npt.NDArray[np.bool_]  # [n, A] True = may be played
    keys: npt.NDArray[np.uint64]  # [n, 2] 128-bit hash of each state

    @classmethod
    def of(cls, rules: Rules, states: States) -> Positions:
        """Ongoing states [n] with what the rules say of them; the states stay as they are."""
        known = rules.describe(states.copy())
        return cls(rules, states, known.legal, known.keys)

    def take(self, rows: npt.NDArray[Any]) -> Positions:
        """The positions in these rows."""
        return Positions(self.rules, self.states[rows], self.legal[rows], self.keys[rows])


class Evaluation(NamedTuple):
    """Judgements of n positions."""

    priors: npt.NDArray[np.float32]  # [n, A] probabilities over legal actions, 0 elsewhere
    values: npt.NDArray[np.float32]  # [n] expected outcome for the player to move, -1 to 1


class Evaluator(Protocol):
    """Anything that judges positions."""

    def evaluate(self, positions: Positions) -> Evaluation:
        """Priors and values of n > 0 positions; rows do not touch each other."""
        ...


class NetworkEvaluator(ABC):
    """An evaluator that judges by planes and legal actions alone: positions that look alike are alike to it."""

    rows: int  # most of one run

    @abstractmethod
    def run(self, planes: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """The bare network: planes [n, P, H, W], n at most `rows` -> (policy logits [n, A], probabilities of win, draw
        and loss [n, 3]), which hold until the next run."""

    def evaluate(self, positions: Positions) -> Evaluation:
        """As `Evaluator` says."""
        return self.judge(positions.rules.encode(positions.states), positions.legal)

    def judge(self, planes: npt.NDArray[np.float32], legal: npt.NDArray[np.bool_]) -> Evaluation:
        """What it says of n > 0 positions that look so: planes [n, P, H, W] and legal actions [n, A]."""
        answer = Evaluation(np.empty(legal.shape, np.float32), np.empty(len(legal), np.float32))
        for first in range(0, len(planes), self.rows):
            part = slice(first, first + self.rows)
            read_outputs(*self.run(planes[part]), legal[part], answer.priors[part], answer.values[part])
        if not (np.isfinite(answer.priors).all() and np.isfinite(answer.values).all()):
            raise ModelError("the network's outputs are not finite: its weights are damaged, or training diverged")
        return answer


@kernel
def read_outputs(logits: Any, outcomes: Any, legal: Any, priors: Any, values: Any) -> None:
    """A network's outputs, logits [n, A] and probabilities of win, draw and loss [n, 3], as priors and values.

    Priors are the softmax over legal actions. A scalar loop, so that a row's bits do not depend on its place.
    """
    for i in range(logits.shape[0]):
        highest, total = np.float32(-np.inf), np.float32(0.0)
        for action in range(logits.shape[1]):
            if legal[i, action] and logits[i, action] > highest:
                highest = logits[i, action]
        for action in range(logits.shape[1]):
            priors[i, action] = np.exp(logits[i, action] - highest) if legal[i, action] else np.float32(0.0)
            total += priors[i, action]
        for action in range(logits.shape[1]):
            priors[i, action] /= total
        values[i] = outcomes[i, 0] - outcomes[i, 2]
