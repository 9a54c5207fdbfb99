import numpy as np

from selfplay.errors import GameError
from selfplay.games.conformance import check_game


def test_object_rules_agree_with_compiled_ones(objects, tictactoe):
    rng = np.random.default_rng(0)
    for _ in range(30):
        order = rng.permutation(9).tolist()
        for plies in range(10):
            try:
                states, known = tictactoe.replay(order[:plies])
            except GameError:  # the random order went past the end of the game
                break
            others, facts = objects.replay(order[:plies])
            np.testing.assert_array_equal(known.outcomes, facts.outcomes)
            np.testing.assert_array_equal(known.legal, facts.legal)
            np.testing.assert_array_equal(known.to_move, facts.to_move)
            np.testing.assert_array_equal(tictactoe.encode(states), objects.encode(others))


def test_object_rules_keep_the_laws(objects):
    assert check_game(objects.info.spec, games=30).games == 30


def test_object_playouts_are_a_function_of_position_and_seed(objects):
    states, seeds = objects.start(400), np.arange(400, dtype=np.uint64)
    values = objects.playouts(states, seeds)
    assert abs(values.mean() - 0.297) < 0.14  # three standard errors around the known 0.297
    np.testing.assert_array_equal(values[5:6], objects.playouts(states[5:6], seeds[5:6]))
