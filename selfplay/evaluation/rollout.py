"""An evaluator by random play: equal priors, and the mean result of random playouts as the value.

With PUCT this is the classical Monte-Carlo tree search that knows only the rules: the baseline `rollout:100`.
"""

from __future__ import annotations

import numpy as np

from selfplay.evaluation.evaluator import Evaluation, Positions
from selfplay.evaluation.uniform import UniformEvaluator


class RolloutEvaluator:
    """Values from `playouts` random games each, a pure function of the position and `seed`."""

    def __init__(self, *, seed: int, playouts: int = 1) -> None:
        self._salt = np.random.SeedSequence(seed).generate_state(playouts, np.uint64)
        self._uniform = UniformEvaluator()

    def evaluate(self, positions: Positions) -> Evaluation:
        # The position's own hash seeds its playouts: no order of calls can change a result.
        results = [positions.rules.playouts(positions.states, positions.keys[:, 0] ^ salt) for salt in self._salt]
        priors, _ = self._uniform.evaluate(positions)
        return Evaluation(priors, np.mean(results, axis=0, dtype=np.float32))
