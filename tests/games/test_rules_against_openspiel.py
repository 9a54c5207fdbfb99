"""Our rules against OpenSpiel's, on at least 10,000 random positions of each game."""

import numpy as np
import pyspiel
import pytest

from selfplay.games.game import ONGOING

POSITIONS = 10_000


@pytest.mark.parametrize(("name", "theirs"), [("tictactoe", "tic_tac_toe"), ("connect4", "connect_four")])
def test_rules_agree_with_openspiel(request, name, theirs):
    rules, game = request.getfixturevalue(name), pyspiel.load_game(theirs)
    rng = np.random.default_rng(11)
    looked_at = 0
    while looked_at < POSITIONS:
        state, other = rules.start(1), game.new_initial_state()
        known = rules.describe(state)
        while True:
            looked_at += 1
            assert (known.outcomes[0] != ONGOING) == other.is_terminal()
            if other.is_terminal():
                break
            assert np.flatnonzero(known.legal[0]).tolist() == other.legal_actions()
            assert known.to_move[0] == other.current_player()
            mover, action = int(known.to_move[0]), int(rng.choice(other.legal_actions()))
            known = rules.advance(state, np.array([action], np.int32))
            other.apply_action(action)
        assert int(known.outcomes[0]) == other.returns()[mover]
