"""What a position learns from its game."""

import msgspec
import numpy as np
import pytest

from selfplay.samples.batch_file import GameRecord, check_game_record
from selfplay.samples.collector import CheckedGame
from selfplay.samples.positions import plies_to_hold, positions_of, value_targets


def record(moves, outcome, values, opening=0, policies=None):
    return GameRecord(
        number=0,
        seed=0,
        outcome=outcome,
        opening=opening,
        moves=moves,
        policies=policies or [[] if ply < opening else [move, 3] for ply, move in enumerate(moves)],
        values=values,
        simulations=[0 if ply < opening else 3 for ply in range(len(moves))],
    )


def test_with_lambda_1_the_outcome_is_all_that_counts():
    game = record([0] * 4, -1, [0.5, -0.5, 0.9, 0.1])
    targets = value_targets(game, np.array([0, 1, 0, 1], np.int8), 1.0)
    np.testing.assert_array_equal(targets, [[0, 0, 1], [1, 0, 0], [0, 0, 1], [1, 0, 0]])


def test_with_lambda_0_it_is_the_root_s_own_value():
    game = record([0] * 3, 1, [0.5, -0.5, 0.0])
    targets = value_targets(game, np.array([0, 1, 0], np.int8), 0.0)
    np.testing.assert_allclose(targets, [[0.75, 0, 0.25], [0.25, 0, 0.75], [0.5, 0, 0.5]])


def test_in_between_later_values_count_less_and_less_and_the_outcome_has_the_rest():
    """Against the sum over plies, written out; player 1 moves twice running."""
    mover, values, decay = [0, 1, 1, 0], [0.2, -0.4, 0.6, 1.0], 0.7
    found = value_targets(record([0] * 4, 1, values), np.array(mover, np.int8), decay)
    for ply, me in enumerate(mover):
        expected = 0.0
        for later in range(ply, 4):
            sign = 1 if mover[later] == me else -1
            expected += (1 - decay) * decay ** (later - ply) * sign * values[later]
        expected += decay ** (4 - ply) * (1 if me == 0 else -1)
        assert found[ply, 0] - found[ply, 2] == pytest.approx(expected, abs=1e-6)
        assert found[ply].sum() == pytest.approx(1, abs=1e-6)


def test_nothing_is_learnt_from_a_random_opening(tictactoe):
    moves = [8, 0, 3, 1, 4, 2]  # the second player completes the first row
    game = record(moves, -1, [0, 0, 0, 0.1, 0.2, 0.9], opening=3)
    states, known = check_game_record(game, tictactoe)
    checked = CheckedGame((1, 0), game, b"", states, known)
    found = positions_of(checked, plies_to_hold(checked, ends=True), value_lambda=1.0)
    np.testing.assert_array_equal(found.states, states[3:])
    assert found.actions.tolist() == moves[3:]
    assert found.outcome.tolist() == [[1, 0, 0], [0, 0, 1], [1, 0, 0]]


@pytest.mark.parametrize(
    ("quick", "plies", "ahead"),
    [
        ([], [3, 4, 5], [2, 0, 0]),
        ([4, 5], [3, 5], [1, 0]),  # the first player's last position lies in the opening, the second's is not learnt
        ([3, 4], [5], [0]),  # nothing of the first player is learnt
        ([3, 4, 5], [], []),
    ],
)
def test_the_last_position_of_who_has_some_is_held_to_be_looked_ahead_to(tictactoe, quick, plies, ahead):
    moves = [8, 0, 3, 1, 4, 2]
    policies = [[] if ply < 3 or ply in quick else [move, 3] for ply, move in enumerate(moves)]
    game = record(moves, -1, [0] * 6, opening=3, policies=policies)
    states, known = check_game_record(game, tictactoe, has_short_searches=True)
    checked = CheckedGame((1, 0), game, b"", states, known)
    held = plies_to_hold(checked, ends=True)
    found = positions_of(checked, held, value_lambda=1.0)
    assert held.tolist() == plies
    assert found.ahead.tolist() == ahead
    assert found.pairs.tolist() == [0 if ply in quick else 1 for ply in plies]
    assert plies_to_hold(checked, ends=False).tolist() == [ply for ply in (3, 4, 5) if ply not in quick]


def test_a_game_that_says_nonsense_of_its_opening_is_refused(tictactoe):
    moves = [8, 0, 3, 1, 4, 2]
    good = record(moves, -1, [0] * 6, opening=3)
    check_game_record(good, tictactoe)
    for fields in (
        {"opening": 6},
        {"opening": 2**53 - 1},
        {"opening": 4, "policies": good.policies},
        {"opening": 2, "policies": good.policies},
    ):
        with pytest.raises(Exception, match=r"were not searched|is not pairs of rising actions"):
            check_game_record(msgspec.structs.replace(good, **fields), tictactoe)
