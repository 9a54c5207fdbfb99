import numpy as np
import pytest
from asking import Counting, ask, assert_equal, positions_of
from toys import HashEvaluator

from selfplay.evaluation.cache import CachedEvaluator, recall
from selfplay.evaluation.evaluator import NetworkEvaluator, Positions
from selfplay.evaluation.images import Images
from selfplay.games.random_play import random_positions
from selfplay.games.registry import load_rules
from selfplay.games.symmetry import tables

GAMES = ["tictactoe", "connect4", "othello:size=6", "go:size=9"]  # groups of 8, 2, 8, 8; 82 actions fill two words


class Crooked(NetworkEvaluator):
    """A network without any symmetry: random weights. Notes how many rows it was asked for."""

    rows = 16

    def __init__(self, info):
        rng, cells = np.random.default_rng(7), info.num_planes * info.board_shape[0] * info.board_shape[1]
        self.logits, self.outcomes = rng.normal(size=(cells, info.num_actions)), rng.random((cells, 3))
        self.asked = 0

    def run(self, planes):
        self.asked += len(planes)
        # Row by row: a product of matrices may sum up otherwise in a batch of another size.
        logits = [(row.reshape(-1, 1) * self.logits).sum(axis=0) for row in planes]
        outcomes = [(row.reshape(-1, 1) * self.outcomes).sum(axis=0) for row in planes]
        return np.array(logits, np.float32), np.array(outcomes, np.float32)


def images_of(moves, rules):
    """The lists of moves that lead to each image of the position after these moves."""
    return [[symmetry.actions[move] for move in moves] for symmetry in rules.info.symmetries]


def some_games(rules, count, plies):
    rng, games = np.random.default_rng(3), []
    for _ in range(count):
        moves = []
        for _ in range(rng.integers(0, plies)):
            legal = rules.replay(moves)[1].legal[-1]
            if not legal.any():
                break
            moves.append(int(rng.choice(np.flatnonzero(legal))))
        games.append(moves if rules.replay(moves)[1].legal[-1].any() else moves[:-1])
    return games


@pytest.mark.parametrize("spec", GAMES)
def test_all_images_of_a_position_are_asked_about_as_the_same_one(spec):
    rules = load_rules(spec)
    images, answers = Images(rules.info.symmetries), {}
    for moves in some_games(rules, 20, 8):
        positions = positions_of(rules, images_of(moves, rules))
        planes = rules.encode(positions.states)
        keys, turns = images.choose(planes, positions.legal)
        asked, legal = images.turn(planes, positions.legal, turns, np.arange(len(planes)))
        assert (keys == keys[0]).all()
        assert (asked == asked[0]).all()
        assert (legal == legal[0]).all()
        answers[tuple(keys[0])] = asked[0].tobytes() + legal[0].tobytes()
    assert len(answers) > 10
    assert len(set(answers.values())) == len(answers), "others have other keys"


@pytest.mark.parametrize("spec", GAMES)
def test_an_image_shows_what_its_symmetry_says(spec):
    rules = load_rules(spec)
    states = random_positions(rules, 50, seed=1)
    planes, legal = rules.encode(states), rules.describe(states).legal
    images, (cells, actions) = Images(rules.info.symmetries), tables(rules.info.symmetries)
    _, turns = images.choose(planes, legal)
    rows = np.arange(len(planes))[::-1]
    asked, legal_there = images.turn(planes, legal, turns, rows)
    for row, image, mask in zip(rows, asked, legal_there, strict=True):
        flat = planes[row].reshape(len(planes[row]), -1)
        np.testing.assert_array_equal(image.reshape(flat.shape), flat[:, cells[turns[row]]])
        np.testing.assert_array_equal(mask, legal[row][actions[turns[row]]])
    priors = np.random.default_rng(0).random(legal.shape).astype(np.float32)
    for row, there, back in zip(range(50), priors, images.turn_back(priors, turns), strict=True):
        np.testing.assert_array_equal(back[actions[turns[row]]], there)
    assert len(set(turns.tolist())) == len(rules.info.symmetries), "all were needed"


@pytest.mark.parametrize("spec", GAMES)
@pytest.mark.parametrize("capacity", [0, 8, 4096])
def test_judgements_of_images_are_images_of_judgements_with_any_memory(spec, capacity):
    rules = load_rules(spec)
    network = Crooked(rules.info)
    cache = CachedEvaluator(network, rules.info, positions=capacity)
    for moves in some_games(rules, 12, 8):
        positions = positions_of(rules, images_of(moves, rules))
        together = ask(cache, positions)
        for row, symmetry in enumerate(rules.info.symmetries):
            alone = CachedEvaluator(network, rules.info, positions=0).evaluate(positions.take(np.array([row])))
            np.testing.assert_array_equal(together.priors[row], alone.priors[0])
            if len(np.unique(positions.keys, axis=0)) == len(rules.info.symmetries):  # else it is an image of itself
                np.testing.assert_array_equal(together.priors[row][list(symmetry.actions)], together.priors[0])
        assert (together.values == together.values[0]).all()
        assert together.priors.sum(axis=1) == pytest.approx(1.0)
        assert (together.priors[~positions.legal] == 0.0).all()


def test_images_are_judged_once_and_remembered(tictactoe):
    network = Crooked(tictactoe.info)
    cache = CachedEvaluator(network, tictactoe.info, positions=64)
    corners, edges = positions_of(tictactoe, [[0], [2], [6], [8]]), positions_of(tictactoe, [[1], [3], [5], [7]])
    ask(cache, corners)
    assert network.asked == 1
    assert (cache.counts.evaluated, cache.counts.duplicates, cache.counts.hits) == (1, 3, 0)
    ask(cache, edges.take(np.array([0])))
    ask(cache, edges.take(np.array([2, 3])))
    assert network.asked == 2
    assert (cache.counts.evaluated, cache.counts.duplicates, cache.counts.hits) == (2, 3, 2)
    ask(cache, edges)
    assert (cache.counts.lookups, cache.counts.hits) == (11, 6)


@pytest.mark.parametrize("make", [Crooked, lambda info: HashEvaluator()])
def test_searches_do_not_meet_what_was_glanced_at(tictactoe, make):
    """They would take a position that the rules decide for one that they left to the network."""
    asked = positions_of(tictactoe, [[0, 3, 1, 4], [0, 3, 1], [2, 5, 1, 4], [8]])
    glanced, alone = (CachedEvaluator(make(tictactoe.info), tictactoe.info, positions=64) for _ in range(2))
    for _ in range(2):
        assert_equal(glanced.glance(asked), alone.evaluate(asked))
    priors = np.zeros(tictactoe.info.num_actions, np.float32)
    assert all(np.isnan(recall(glanced.table, key, priors)) for key in asked.keys)
    assert not any(np.isnan(recall(alone.table, key, priors)) for key in asked.keys)


def test_a_position_that_comes_many_times_in_a_step_is_remembered_once(tictactoe):
    cache = CachedEvaluator(Crooked(tictactoe.info), tictactoe.info, positions=64)
    ask(cache, positions_of(tictactoe, [[0]] * 20))
    assert np.count_nonzero(cache.table.tags) == 2, "as it is, and as the image that was asked about"


def test_evaluators_that_see_more_than_planes_are_asked_about_positions_as_they_are(tictactoe):
    evaluator = Counting()
    cache = CachedEvaluator(evaluator, tictactoe.info, positions=64)
    corners = positions_of(tictactoe, [[0], [2], [6], [8]])
    assert_equal(ask(cache, corners), Counting().evaluate(corners))
    assert evaluator.rows == [4]


def test_a_game_without_symmetries_is_asked_about_as_it_is():
    rules = load_rules("kalah")
    assert len(rules.info.symmetries) == 1
    network, states = Crooked(rules.info), rules.start(2)
    positions = Positions.of(rules, states)
    assert_equal(CachedEvaluator(network, rules.info, positions=8).evaluate(positions), network.evaluate(positions))
    assert network.asked == 3
