"""What a search asks an evaluator that remembers, without the search."""

from __future__ import annotations

import numpy as np
from toys import HashEvaluator

from selfplay.evaluation.cache import recall
from selfplay.evaluation.evaluator import Evaluation, Positions


class Counting(HashEvaluator):
    """Notes how many rows it was asked for."""

    def __init__(self):
        self.rows = []

    def evaluate(self, positions):
        self.rows.append(len(positions.keys))
        return super().evaluate(positions)


def positions_of(rules, games):
    states = np.concatenate([rules.replay(moves)[0][-1:] for moves in games])
    return Positions.of(rules, states)


def ask(cache, positions):
    """What a search does: recall, and evaluate the rest together."""
    priors = np.zeros(positions.legal.shape, np.float32)
    values = np.array([recall(cache.table, *row) for row in zip(positions.keys, priors, strict=True)], np.float32)
    unknown = np.flatnonzero(np.isnan(values))
    cache.counts.count_recalled(len(values) - len(unknown))
    if len(unknown):
        priors[unknown], values[unknown] = cache.evaluate(positions.take(unknown))
    return Evaluation(priors, values)


def assert_equal(answer, expected):
    np.testing.assert_array_equal(answer.priors, expected.priors)
    np.testing.assert_array_equal(answer.values, expected.values)
