import numpy as np

from selfplay.samples.weights import merge_duplicates, position_weights
from selfplay.settings import TrainingSettings

GAMES = np.array([0, 0, 0, 0, 1, 1])
PLIES = np.array([0, 1, 2, 3, 0, 1])
OUTCOMES = np.eye(3, dtype=np.float32)[[0, 2, 0, 2, 1, 1]]


def weights(**exponents):
    return position_weights(TrainingSettings(**exponents), games=GAMES, plies=PLIES, outcomes=OUTCOMES)


def test_without_exponents_all_positions_count_alike():
    np.testing.assert_array_equal(weights(), np.ones(6))


def test_short_and_long_games_count_alike():
    balanced = weights(balance_games=1.0)
    np.testing.assert_allclose([balanced[:4].sum(), balanced[4:].sum()], 3)
    half = weights(balance_games=0.5)
    assert 1 < half[4] / half[0] < balanced[4] / balanced[0]
    assert half.mean() == np.float32(1)


def test_late_plies_count_like_early_ones():
    balanced = weights(balance_phases=1.0)
    sums = [balanced[ply == PLIES].sum() for ply in range(4)]
    np.testing.assert_allclose(sums, 1.5, rtol=1e-6)


def test_draws_count_like_wins_and_losses():
    balanced = weights(balance_outcomes=1.0)
    sums = [balanced[OUTCOMES[:, column] == 1].sum() for column in range(3)]
    np.testing.assert_allclose(sums, 2, rtol=1e-6)


def test_equal_positions_become_one_with_mean_targets():
    keys = np.array([[5, 5], [1, 2], [5, 5], [1, 3]], np.uint64)
    policy = np.array([[1, 0], [0.5, 0.5], [0, 1], [1, 0]], np.float32)
    outcome = np.eye(3, dtype=np.float32)[[0, 1, 2, 0]]
    for exponent, expected in ((0.0, [1, 1, 1]), (1.0, [1.5, 0.75, 0.75])):
        rows, became, merged_policy, merged_outcome, weight = merge_duplicates(
            keys, policy, outcome, np.ones(4, np.float32), exponent=exponent
        )
        assert rows.tolist() == [0, 1, 3]
        assert became.tolist() == [0, 1, 0, 2]
        np.testing.assert_allclose(merged_policy, [[0.5, 0.5], [0.5, 0.5], [1, 0]])
        np.testing.assert_allclose(merged_outcome[0], [0.5, 0, 0.5])
        np.testing.assert_allclose(weight, expected)


def test_equal_positions_of_which_some_do_not_count():
    keys = np.array([[5, 5], [5, 5], [1, 2], [1, 3]], np.uint64)
    policy = np.array([[0, 0], [0, 1], [0, 0], [1, 0]], np.float32)
    outcome = np.eye(3, dtype=np.float32)[[0, 1, 2, 0]]
    rows, became, merged_policy, merged_outcome, weight = merge_duplicates(
        keys, policy, outcome, np.array([0, 1, 0, 1], np.float32), exponent=0.5
    )
    assert rows.tolist() == [0, 2, 3]
    assert became.tolist() == [0, 0, 1, 2]
    np.testing.assert_array_equal(merged_policy, [[0, 1], [0, 0], [1, 0]])
    np.testing.assert_array_equal(merged_outcome[[0, 2]], outcome[[1, 3]])
    np.testing.assert_array_equal(weight, [1, 0, 1])


def test_weights_of_equal_positions_weigh_their_targets():
    keys = np.zeros((2, 2), np.uint64)
    policy = np.array([[1, 0], [0, 1]], np.float32)
    _, _, merged, _, _ = merge_duplicates(keys, policy, OUTCOMES[:2], np.array([3, 1], np.float32), exponent=1.0)
    np.testing.assert_allclose(merged, [[0.75, 0.25]])
