import numpy as np
import pytest
from toys import HashEvaluator

from selfplay.evaluation.cache import MOST_BYTES, CachedEvaluator, recall
from selfplay.evaluation.evaluator import Evaluation, Positions
from selfplay.evaluation.uniform import UniformEvaluator


class Counting(HashEvaluator):
    """Notes how many rows it was asked for."""

    def __init__(self):
        self.rows = []

    def evaluate(self, positions):
        self.rows.append(len(positions.keys))
        return super().evaluate(positions)


def positions_of(rules, games):
    states = np.concatenate([rules.replay(moves)[0][-1:] for moves in games])
    known = rules.describe(states.copy())
    return Positions(rules, states, known.legal, known.keys)


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


@pytest.mark.parametrize("capacity", [0, 4, 12, 4096])
def test_answers_are_those_of_the_evaluator_with_any_memory(connect4, capacity):
    rng = np.random.default_rng(0)
    cache = CachedEvaluator(HashEvaluator(), actions=7, positions=capacity)
    for _ in range(60):
        games = [rng.integers(0, 7, rng.integers(0, 4)).tolist() for _ in range(rng.integers(1, 40))]
        asked = positions_of(connect4, games)
        assert_equal(ask(cache, asked), HashEvaluator().evaluate(asked))
    assert cache.counts.lookups == cache.counts.hits + cache.counts.duplicates + cache.counts.evaluated
    assert (cache.counts.hits > 0) == (capacity > 0)


def test_equal_leaves_of_a_step_are_evaluated_once(connect4):
    evaluator = Counting()
    cache = CachedEvaluator(evaluator, actions=7, positions=0)
    asked = positions_of(connect4, [[0, 1, 2], [3], [2, 1, 0], [3]])
    assert_equal(cache.evaluate(asked), HashEvaluator().evaluate(asked))
    assert evaluator.rows == [2]
    assert cache.counts.duplicates == 2


def test_what_is_remembered_is_not_asked_again(connect4):
    evaluator = Counting()
    cache = CachedEvaluator(evaluator, actions=7, positions=64)
    for games in ([[0], [1]], [[1], [0]], [[1], [2]]):
        ask(cache, positions_of(connect4, games))
    assert evaluator.rows == [2, 1]
    assert cache.counts.hits == 3


def test_what_was_asked_for_again_outlives_what_was_not(connect4):
    cache = CachedEvaluator(HashEvaluator(), actions=7, positions=4)  # one bucket
    opening, others = (
        positions_of(connect4, [[]]),
        [positions_of(connect4, [[a, b, 0]]) for a in range(7) for b in (2, 3)],
    )
    ask(cache, opening)
    for other in others:
        ask(cache, other)
        hits = cache.counts.hits
        ask(cache, opening)
        assert cache.counts.hits == hits + 1


def test_games_with_thousands_of_actions_are_remembered_in_bounded_memory():
    table = CachedEvaluator(UniformEvaluator(), actions=1968, positions=200_000).table
    assert table.answers.nbytes + table.tags.nbytes <= MOST_BYTES
    assert len(table.tags) > 10_000
    assert len(CachedEvaluator(UniformEvaluator(), actions=7, positions=200_000).table.tags) == 200_000
