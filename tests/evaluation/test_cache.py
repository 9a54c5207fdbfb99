import numpy as np
import pytest
from asking import Counting, ask, assert_equal, positions_of
from toys import HashEvaluator

from selfplay.evaluation.cache import MOST_BYTES, CachedEvaluator
from selfplay.evaluation.uniform import UniformEvaluator
from selfplay.games.registry import load_rules


@pytest.mark.parametrize("capacity", [0, 4, 12, 4096])
def test_answers_are_those_of_the_evaluator_with_any_memory(connect4, capacity):
    rng = np.random.default_rng(0)
    cache = CachedEvaluator(HashEvaluator(), connect4.info, positions=capacity)
    for _ in range(60):
        games = [rng.integers(0, 7, rng.integers(0, 4)).tolist() for _ in range(rng.integers(1, 40))]
        asked = positions_of(connect4, games)
        assert_equal(ask(cache, asked), HashEvaluator().evaluate(asked))
    assert cache.counts.lookups == cache.counts.hits + cache.counts.duplicates + cache.counts.evaluated
    assert (cache.counts.hits > 0) == (capacity > 0)


def test_equal_leaves_of_a_step_are_evaluated_once(connect4):
    evaluator = Counting()
    cache = CachedEvaluator(evaluator, connect4.info, positions=0)
    asked = positions_of(connect4, [[0, 1, 2], [3], [2, 1, 0], [3]])
    assert_equal(cache.evaluate(asked), HashEvaluator().evaluate(asked))
    assert evaluator.rows == [2]
    assert cache.counts.duplicates == 2


def test_what_is_remembered_is_not_asked_again(connect4):
    evaluator = Counting()
    cache = CachedEvaluator(evaluator, connect4.info, positions=64)
    for games in ([[0], [1]], [[1], [0]], [[1], [2]]):
        ask(cache, positions_of(connect4, games))
    assert evaluator.rows == [2, 1]
    assert cache.counts.hits == 3


def test_what_was_asked_for_again_outlives_what_was_not(connect4):
    cache = CachedEvaluator(HashEvaluator(), connect4.info, positions=4)  # one bucket
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


def test_games_with_thousands_of_actions_are_remembered_in_bounded_memory(connect4):
    table = CachedEvaluator(UniformEvaluator(), load_rules("chess").info, positions=200_000).table
    assert table.answers.nbytes + table.tags.nbytes <= MOST_BYTES
    assert len(table.tags) > 10_000
    assert len(CachedEvaluator(UniformEvaluator(), connect4.info, positions=200_000).table.tags) == 200_000
