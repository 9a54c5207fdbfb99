import numpy as np
import pytest

from selfplay.games.game import ONGOING
from selfplay.games.random_play import random_opening
from selfplay.search.alpha_beta import MOST_DEPTH, AlphaBeta


def minimax(rules, state, depth):
    """The slow and obvious way: value for the player to move, what lies deeper than `depth` counts nothing."""
    known = rules.describe(state.copy())
    values = []
    for action in known.legal[0].nonzero()[0]:
        after = state.copy()
        then = rules.advance(after, np.array([action], np.int32))
        if then.outcomes[0] != ONGOING:
            values.append(int(then.outcomes[0]) * (MOST_DEPTH + 1))
        else:
            value = 0 if depth == 1 else minimax(rules, after, depth - 1)
            value -= np.sign(value)  # a ply further away
            values.append(value if then.to_move[0] == known.to_move[0] else -value)
    return max(values)


def best_by_minimax(rules, state, depth):
    known = rules.describe(state.copy())
    values = {}
    for action in known.legal[0].nonzero()[0]:
        after = state.copy()
        then = rules.advance(after, np.array([action], np.int32))
        if then.outcomes[0] != ONGOING:
            values[int(action)] = int(then.outcomes[0]) * (MOST_DEPTH + 1)
        else:
            value = 0 if depth == 1 else minimax(rules, after, depth - 1)
            value -= np.sign(value)
            values[int(action)] = value if then.to_move[0] == known.to_move[0] else -value
    return [action for action, value in values.items() if value == max(values.values())]


@pytest.mark.parametrize(("game", "plies", "depth"), [("connect4", 20, 4), ("tictactoe", 4, 9), ("again", 1, 5)])
def test_alpha_beta_equals_minimax(request, game, plies, depth):
    rules = request.getfixturevalue(game)
    for number in range(25):
        state = random_opening(rules, plies, np.random.default_rng(number)).state
        for looking in range(1, depth + 1):
            expected = best_by_minimax(rules, state, looking)
            assert AlphaBeta(rules, depth=looking).best_actions(state).tolist() == expected


def test_a_search_leaves_its_position_as_it_was(connect4):
    state = random_opening(connect4, 9, np.random.default_rng(0)).state
    before = state.copy()
    AlphaBeta(connect4, depth=5).best_actions(state)
    assert state.tobytes() == before.tobytes()


def test_the_soonest_win_and_the_latest_loss_are_best(connect4):
    won_now_or_later = connect4.replay([3, 0, 3, 0, 3, 0])[0][-1:]  # a fourth stone on either pile ends it
    assert AlphaBeta(connect4, depth=5).best_actions(won_now_or_later).tolist() == [3]
    threatened = connect4.replay([3, 0, 3, 0, 3])[0][-1:]
    assert AlphaBeta(connect4, depth=4).best_actions(threatened).tolist() == [3]
