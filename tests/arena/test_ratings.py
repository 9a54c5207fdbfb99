import math

import numpy as np
import pytest

from selfplay.arena.ratings import Score, ratings, ratings_of_run
from selfplay.arena.sprt import expected_score, sprt
from selfplay.rundir.event_types import Match


def by_name(found):
    return {rating.name: rating for rating in found}


def test_three_to_one_are_191_elo():
    found = by_name(ratings([Score("a", "b", 750, 1000)], zero="b"))
    assert found["b"].elo == 0
    assert found["a"].elo == pytest.approx(400 * math.log10(3), abs=1)  # the prior's drawn game takes 0.4 off
    # The error of the mean of 1,000 games with chance 3/4, in Elo; each of the two is half of it from their mean.
    of_difference = 1.96 * math.sqrt(1 / (1000 * 0.75 * 0.25)) * 400 / math.log(10)
    assert found["a"].error == pytest.approx(of_difference / 2, rel=0.01)


def test_ratings_of_a_circle_of_equals_are_equal():
    found = ratings([Score("a", "b", 60, 100), Score("b", "c", 60, 100), Score("c", "a", 60, 100)])
    assert [rating.elo for rating in found] == pytest.approx([0, 0, 0], abs=1e-3)
    assert [rating.games for rating in found] == [200, 200, 200]


def test_planted_strengths_are_found_within_their_errors():
    """Twenty players a hundred apart, each with its neighbours only: errors hold in 95 of 100 cases, or nearly."""
    rng = np.random.default_rng(5)
    inside = []
    for _ in range(60):
        planted = np.arange(20) * 100.0
        pairs = [(i, j) for i in range(20) for j in (i + 1, i + 2) if j < 20]
        scores = [
            Score(str(i), str(j), rng.binomial(200, expected_score(planted[i] - planted[j])), 200) for i, j in pairs
        ]
        found = ratings(scores)
        centre = np.mean([rating.elo for rating in found])
        inside += [abs(r.elo - centre - planted[int(r.name)] + planted.mean()) < r.error for r in found]
    assert 0.90 < np.mean(inside) < 0.99


def test_who_never_lost_has_a_rating_with_a_wide_error():
    found = by_name(ratings([Score("a", "b", 20, 20)], zero="b"))
    assert 500 < found["a"].elo < 800
    assert found["a"].error > 150


def test_matches_without_games_and_with_oneself_say_nothing():
    assert ratings([]) == []
    assert ratings([Score("a", "b", 0, 0)]) == []
    assert [rating.name for rating in ratings([Score("a", "a", 5, 10)])] == ["a"]
    with pytest.raises(KeyError):
        ratings([Score("a", "b", 1, 2)], zero="c")


def match(number, against, score, games=100):
    return Match(round=number, against=against, score=score, low=0, high=1, games=games)


def test_a_run_is_rated_above_random_play():
    matches = [match(1, "random", 0.8), match(2, "random", 0.9), match(2, "round 1", 0.7), match(2, "rollout:9", 0.5)]
    found = by_name(ratings_of_run(matches))
    assert set(found) == {"random", "round 1", "round 2", "rollout:9"}
    assert found["random"].elo == 0
    assert found["round 2"].elo > found["round 1"].elo > 200
    assert found["rollout:9"].elo == pytest.approx(found["round 2"].elo, abs=3)  # but for the prior
    without = by_name(ratings_of_run([match(2, "rollout:9", 0.5)]))
    assert without["rollout:9"].elo == 0


def test_figures_that_no_match_can_have_are_passed_over():
    assert ratings_of_run([match(1, "random", 1.5), match(1, "random", -0.5), match(1, "random", 0.5, 2**50)]) == []


def test_a_sequential_test_decides_for_the_likelier_strength():
    rng = np.random.default_rng(2)
    for elo, decision in ((0, "not stronger"), (60, "stronger")):
        found = []
        for _ in range(100):
            points = rng.random(6000) < expected_score(elo)
            found.append(sprt(np.where(points, 1, -1).tolist(), low=0, high=60).decision)
        assert found.count(decision) >= 88, "5 % may be wrong; of 100, 13 or more are with a chance of 0.2 %"


def test_a_sequential_test_of_wins_alone_ends_by_the_ratio_of_the_expected_scores():
    """With nothing but wins the likelihood is the expected score itself, so each pair adds the log of their ratio."""
    each = math.log(expected_score(20) / expected_score(0))
    found = sprt([1] * 400, low=0, high=20)
    assert found.decision == "stronger"
    assert found.games == 2 * math.ceil(found.bound / each)
    assert found.ratio == pytest.approx(each * found.games / 2, rel=0.01)


def test_a_sequential_test_looks_at_nothing_behind_its_decision():
    first = [1, 1] * 60
    assert sprt(first + [-1] * 100, low=0, high=20) == sprt(first + [1] * 100, low=0, high=20)
    assert sprt([1], low=0, high=20).decision is None
    with pytest.raises(ValueError, match="must be below"):
        sprt([1, 1], low=20, high=20)
