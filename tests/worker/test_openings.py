import numpy as np
from toys import HashEvaluator

from selfplay.evaluation.cache import CachedEvaluator
from selfplay.evaluation.evaluator import Evaluation, Positions
from selfplay.settings import SearchSettings
from selfplay.worker.openings import Openings


class Leaning:
    """Action a is as likely as its weight, among the legal ones; all is even."""

    def __init__(self, *weights):
        self.weights = np.array(weights, np.float32)

    def evaluate(self, positions):
        priors = positions.legal * self.weights
        priors /= np.maximum(priors.sum(axis=1, keepdims=True), 1e-9)
        return Evaluation(priors, np.zeros(len(priors), np.float32))


def drawn(rules, count, evaluator=None, **settings):
    cached = CachedEvaluator(evaluator or HashEvaluator(), rules.info, positions=64)
    openings = Openings(rules, cached, SearchSettings(**{"opening_share": 1.0, **settings}))
    return [openings.draw(np.random.default_rng(number)) for number in range(count)]


def moves(openings):
    return [opening.moves for opening in openings]


def test_of_several_draws_the_shortest_opening_counts(tictactoe):
    """The chance that the least of two draws of 1 to 4 is k or more is (5 - k)² / 16."""
    lengths = list(map(len, moves(drawn(tictactoe, 800, opening_plies=4, opening_draws=2))))
    shares = np.bincount(lengths, minlength=5)[1:] / 800
    np.testing.assert_allclose(shares, np.array([7, 5, 3, 1]) / 16, atol=0.053)  # three standard errors of a half


def test_of_several_openings_the_most_even_is_played(connect4):
    """All of one length, and the first is that which would be played without a choice."""

    def doubts(openings):
        states = np.concatenate([opening.state for opening in openings])
        return np.abs(HashEvaluator().evaluate(Positions.of(connect4, states)).values)

    found = drawn(connect4, 200, opening_share=0.9, opening_plies=9)
    chosen = drawn(connect4, 200, opening_share=0.9, opening_plies=9, opening_choices=4)
    lengths = np.array([len(opening.moves) for opening in chosen])
    assert lengths.tolist() == [len(opening.moves) for opening in found]
    assert (doubts(chosen) <= doubts(found)).all()
    assert (doubts(chosen)[lengths == 0] == doubts(found)[lengths == 0]).all()
    mean = doubts(chosen)[lengths > 2].mean()  # the least of four uniform numbers: 0.2 on average, deviation 0.16
    assert abs(mean - 0.2) < 4 * 0.16 / np.sqrt((lengths > 2).sum())


def test_plies_are_as_likely_as_the_network_holds_them(connect4):
    openings = drawn(connect4, 700, Leaning(1, 0, 2, 0, 3, 0, 1), opening_plies=6, opening_policy=1.0)
    first = np.bincount([opening.moves[0] for opening in openings], minlength=7) / 700
    np.testing.assert_allclose(first, np.array([1, 0, 2, 0, 3, 0, 1]) / 7, atol=0.057)  # three standard errors
    assert {action for opening in openings for action in opening.moves} == {0, 2, 4, 6}
    assert {len(opening.moves) for opening in openings} == set(range(1, 7))


def test_an_opening_says_where_its_moves_lead(again):
    """A player may move twice running there."""
    for opening in drawn(again, 100, opening_plies=5, opening_policy=0.5, opening_choices=2):
        states, known = again.replay(opening.moves)
        assert opening.state == states[-1:]
        assert opening.to_move == known.to_move[-1]
        assert opening.legal.tolist() == known.legal[-1].tolist()
        assert opening.legal.any()


def test_a_share_of_the_openings_is_the_networks(connect4):
    """The one that plays in the first column alone does so for six plies; a game of random plies hardly ever."""
    openings = drawn(connect4, 400, Leaning(1, 0, 0, 0, 0, 0, 0), opening_plies=6, opening_policy=0.25)
    of_three = [opening for opening in openings if len(opening.moves) >= 3]
    own = np.mean([set(opening.moves) == {0} for opening in of_three])
    assert abs(own - 0.25) < 4 * np.sqrt(0.25 * 0.75 / len(of_three))


def test_an_opening_that_the_network_would_end_is_drawn_at_random(connect4):
    """Alternately in two columns, the first player has four after seven plies."""

    class Stacking:
        def evaluate(self, positions):
            column = positions.states["to_move"] * 2
            return Evaluation(np.eye(7, dtype=np.float32)[column], np.zeros(len(column), np.float32))

    found = moves(drawn(connect4, 200, Stacking(), opening_plies=12, opening_policy=1.0))
    for played in found:
        assert (played == ([0, 2] * 3)[: len(played)]) == (len(played) <= 6)
    assert max(map(len, found)) == 12


def test_an_opening_is_the_same_whatever_was_drawn_before(connect4):
    """And whatever is remembered."""
    how = {"opening_plies": 8, "opening_policy": 0.5, "opening_choices": 3}
    openings = Openings(
        connect4, CachedEvaluator(HashEvaluator(), connect4.info, positions=0), SearchSettings(opening_share=1.0, **how)
    )
    assert [openings.draw(np.random.default_rng(n)).moves for n in reversed(range(50))][::-1] == moves(
        drawn(connect4, 50, **how)
    )
