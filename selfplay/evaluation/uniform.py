"""An evaluator that knows nothing: equal priors, value 0. For tests, warm-up and speed limits."""

from __future__ import annotations

import numpy as np

from selfplay.evaluation.evaluator import Evaluation, Positions


class UniformEvaluator:
    """Every legal action equally likely, every position a draw."""

    def evaluate(self, positions: Positions) -> Evaluation:
        legal = positions.legal
        return Evaluation(
            (legal / legal.sum(axis=1, keepdims=True)).astype(np.float32), np.zeros(len(legal), np.float32)
        )
