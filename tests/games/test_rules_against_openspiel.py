"""Our rules against OpenSpiel's, on at least 10,000 random positions of each game."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from selfplay.games.game import ONGOING

POSITIONS = 10_000
PLAYED_BY_OPENSPIEL = Path(__file__).parent / "openspiel_games.py"


@pytest.mark.parametrize(("name", "theirs"), [("tictactoe", "tic_tac_toe"), ("connect4", "connect_four")])
def test_rules_agree_with_openspiel(request, name, theirs):
    rules = request.getfixturevalue(name)
    command = [sys.executable, PLAYED_BY_OPENSPIEL, theirs, str(POSITIONS)]
    games = [json.loads(line) for line in subprocess.run(command, capture_output=True, check=True).stdout.splitlines()]
    assert sum(len(game["plies"]) + 1 for game in games) >= POSITIONS
    for game in games:
        states, known = rules.replay([ply["action"] for ply in game["plies"]])
        assert len(states) == len(game["plies"]) + 1
        for ply, legal, mover, outcome in zip(
            game["plies"], known.legal[:-1], known.to_move[:-1], known.outcomes[:-1], strict=True
        ):
            assert np.flatnonzero(legal).tolist() == ply["legal"]
            assert mover == ply["player"]
            assert outcome == ONGOING
        assert known.outcomes[-1] == game["returns"][game["plies"][-1]["player"]]
