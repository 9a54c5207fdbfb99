"""Our rules against OpenSpiel's, on at least 10,000 random positions of each game: legal moves, player to move, outcome."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from selfplay.games.game import ONGOING
from selfplay.games.registry import load_rules

POSITIONS = 10_000
PLAYED_BY_OPENSPIEL = Path(__file__).parent / "openspiel_games.py"


def same(action, name, player):
    """Where both number the actions alike."""
    return action


def by_name(action, name, player):
    """Where both call the actions the same."""
    return name


def of_kalah(action, name, player):
    """OpenSpiel numbers the pits all round the board, our houses are the mover's own."""
    return action - 1 if player == 0 else action - 8


def of_breakthrough(action, name, player):
    """OpenSpiel has another action for a capture."""
    return action // 2


GAMES = [
    ("tictactoe", "tic_tac_toe", same),
    ("connect4", "connect_four", same),
    ("connect4:rows=7,columns=8,connect=5", "connect_four(rows=7,columns=8,x_in_row=5)", same),
    ("mnk:rows=4,columns=5,connect=3", "mnk(m=5,n=4,k=3)", same),
    ("gomoku", "gomoku(size=15)", same),
    ("gomoku:size=9", "mnk(m=9,n=9,k=5)", same),
    ("othello", "othello", same),
    ("hex:size=5,swap=false", "hex(board_size=5)", same),
    ("hex", "hex(board_size=11,swap=True)", same),
    ("breakthrough", "breakthrough", of_breakthrough),
    ("breakthrough:rows=6,columns=6", "breakthrough(rows=6,columns=6)", of_breakthrough),
    ("breakthrough:rows=5,columns=4", "breakthrough(rows=5,columns=4)", of_breakthrough),
    ("kalah", "mancala", of_kalah),
    ("dots", "dots_and_boxes(num_rows=3,num_cols=3)", same),
    ("dots:rows=2,columns=4", "dots_and_boxes(num_rows=2,num_cols=4)", same),
    ("morris", "nine_mens_morris", same),
    ("checkers", "checkers", same),
]


def games_of(theirs):
    command = [sys.executable, PLAYED_BY_OPENSPIEL, theirs, str(POSITIONS)]
    lines = subprocess.run(command, capture_output=True, check=True).stdout.splitlines()
    games = [json.loads(line) for line in lines]
    assert sum(len(game["plies"]) + 1 for game in games) >= POSITIONS
    return games


@pytest.mark.parametrize(("ours", "theirs", "translated"), GAMES, ids=[theirs for _, theirs, _ in GAMES])
def test_rules_agree_with_openspiel(ours, theirs, translated):
    rules = load_rules(ours)
    for game in games_of(theirs):
        plies = game["plies"]
        moves = [translated(ply["action"], "", ply["player"]) for ply in plies]
        states, known = rules.replay(moves)
        assert len(states) == len(plies) + 1
        for ply, legal, mover in zip(plies, known.legal[:-1], known.to_move[:-1], strict=True):
            wanted = sorted(translated(action, "", ply["player"]) for action in ply["legal"])
            assert np.flatnonzero(legal).tolist() == wanted, rules.draw(states[plies.index(ply)])
            assert mover == ply["player"]
        assert (known.outcomes[:-1] == ONGOING).all()
        assert known.outcomes[-1] == game["returns"][plies[-1]["player"]]
