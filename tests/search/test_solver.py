"""Proven results in the tree, against perfect play worked out without it."""

import numpy as np
import pytest
from one_slot import advance, decide
from toys import CALM, HashEvaluator, again_value, made, minimax

from selfplay.evaluation.cache import CachedEvaluator
from selfplay.games.game import ONGOING
from selfplay.games.random_play import random_opening
from selfplay.search.method import playing_method
from selfplay.search.search import Search
from selfplay.settings import SearchSettings


def solve(rules, positions, *, simulations, **settings):
    """Finished searches with the solver of the positions after these lists of moves, side by side."""
    asked = SearchSettings(simulations=simulations, solver=True, **settings)
    evaluator = CachedEvaluator(HashEvaluator(), rules.info, positions=4096)
    result = Search(rules, evaluator, playing_method(asked, rules.info), asked, slots=len(positions))
    for slot, moves in enumerate(positions):
        result.put(slot, rules.replay(moves)[0][-1:])
    result.run()
    return result


def some_positions(rules, count, most_plies):
    rng = np.random.default_rng(2)
    return [random_opening(rules, int(rng.integers(most_plies + 1)), rng).moves for _ in range(count)]


def value_after(rules, moves, action):
    """Of perfect tic-tac-toe, for the player who plays the action."""
    known = rules.replay([*moves, action])[1]
    return int(known.outcomes[-1]) if known.outcomes[-1] != ONGOING else -minimax(rules, (*moves, action))


@pytest.mark.parametrize("win_in_one", [False, True])
@pytest.mark.parametrize("simulations", [30, 400])
def test_what_is_proven_is_so(tictactoe, simulations, win_in_one):
    """Outcomes and live actions of the root, and bounds of every node below it, against minimax."""
    positions = some_positions(tictactoe, 60, 6)
    found = solve(tictactoe, positions, simulations=simulations, win_in_one=win_in_one)
    tree, solved = found._simulator.tree, 0
    for slot, moves in enumerate(positions):
        perfect, facts = minimax(tictactoe, tuple(moves)), found.root(slot)
        assert tree.lower[slot, 0] <= perfect <= tree.upper[slot, 0]
        if facts.outcome is not None:
            solved += 1
            assert facts.outcome == facts.value == perfect
            sound = decide(found, slot, 0, CALM)[1].nonzero()[0]
            assert len(sound)
            assert all(value_after(tictactoe, moves, a) == perfect for a in sound)
        for action in facts.visits.nonzero()[0]:
            child = tree.child[slot, 0, action]
            after = value_after(tictactoe, moves, int(action))
            assert -tree.upper[slot, child] <= after <= -tree.lower[slot, child]
            assert tree.live[slot, 0, action] or after < perfect or after == -1
    assert solved > (30 if simulations == 400 else 10)


@pytest.mark.parametrize("moves", [[], [0], [1], [0, 1], [1, 0], [1, 1], [0, 1, 0]])
def test_signs_of_proofs_hold_where_a_player_moves_twice_running(again, moves):
    state = again.replay(moves)[0][-1]
    facts = solve(again, [moves], simulations=2000).root(0)
    assert facts.outcome == again_value(int(state["left"]), int(state["again"]))


def test_a_solved_root_is_not_searched_on(tictactoe):
    """X completes a row: one simulation shows it, and no more are made."""
    found = solve(tictactoe, [[0, 3, 1, 4]], simulations=300, win_in_one=True)
    assert found.root(0).outcome == 1
    assert made(found) == 1
    assert decide(found, 0, 0, CALM)[1].tolist() == [0, 0, 1, 0, 0, 0, 0, 0, 0]


def test_a_move_that_loses_by_force_gets_no_more_visits(connect4):
    """O must stop three in a row at once: every other reply is proven lost after two plies and left alone."""
    found = solve(connect4, [[3, 0, 3, 0, 3]], simulations=200, win_in_one=True)
    assert decide(found, 0, 0, CALM)[1].nonzero()[0].tolist() == [3]
    assert found.root(0).visits[3] > 190


def test_play_goes_on_from_what_is_proven(tictactoe):
    """The winner of a proven position wins, whatever the other does, without a simulation more than needed."""
    moves = [0, 1, 4]  # X threatens the diagonal and will make a second threat
    found = solve(tictactoe, [moves], simulations=400, win_in_one=True)
    assert found.root(0).outcome == -1
    while True:
        action = int(decide(found, 0, 0, CALM)[1].argmax())
        moves.append(action)
        outcome = advance(found, 0, action)[2]
        if outcome != ONGOING:
            break
        found.run()
        assert found.root(0).outcome == (1 if len(moves) % 2 == 0 else -1)
        assert made(found) <= 1
    assert tictactoe.replay(moves)[1].outcomes[-1] == 1
    assert len(moves) % 2 == 1  # X made the last move
