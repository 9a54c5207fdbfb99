"""Go on drawn positions: captures, suicide, ko and superko, scores."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from selfplay.games.compiled import as_record
from selfplay.games.game import DRAW, LOSS, ONGOING, WIN
from selfplay.games.registry import load_class, load_rules, resolve_spec

POSITIONS = 10_000
PLAYED_BY_OPENSPIEL = Path(__file__).parent / "openspiel_games.py"


def played(rules, moves):
    return rules.replay([rules.find_action(move) for move in moves.split()])


def legal_names(rules, known):
    return {rules.action_name(action) for action in np.flatnonzero(known.legal[-1]).tolist()}


def shown(rules, states):
    return rules.draw(states[-1]).splitlines()[:-1]


@pytest.fixture(scope="module")
def five():
    return load_rules("go:size=5,komi=0.5")


@pytest.mark.parametrize(("size", "komi"), [(3, 0.5), (5, 0.5), (9, 7.5)])
def test_rules_agree_with_openspiel(size, komi):
    """Moves that would repeat a board are legal there, and end the game: those are left out on both sides."""
    rules = load_rules(f"go:size={size},komi={komi}")
    command = [sys.executable, PLAYED_BY_OPENSPIEL, f"go(board_size={size},komi={komi})", str(POSITIONS), "--superko"]
    lines = subprocess.run(command, capture_output=True, check=True).stdout.splitlines()
    forbidden = 0
    for game in map(json.loads, lines):
        plies = game["plies"]
        known = rules.replay([ply["action"] for ply in plies])[1]
        last = plies[2 * size * size - 1 :]  # nothing can be told of a ply that ends the game by its number
        for ply, legal, mover in zip(plies, known.legal[:-1], known.to_move[:-1], strict=True):
            assert np.flatnonzero(legal).tolist() == ply["legal"] or ply in last
            assert mover == ply["player"]
            forbidden += ply["repeating"]
        assert (known.outcomes[:-1] == ONGOING).all()
        assert known.outcomes[-1] == game["returns"][plies[-1]["player"]]
    assert forbidden > 10 or size > 3


def test_a_stone_without_liberties_is_taken(five):
    states, known = played(five, "B3 C3 C4 A1 D3 B1 C2")
    assert shown(five, states) == [
        "5 . . . . .",
        "4 . . X . .",
        "3 . X . X .",
        "2 . . X . .",
        "1 O O . . .",
    ]
    assert "C3" not in legal_names(five, known), "white would have no liberty there"


def test_ko_and_its_end(five):
    #   A B C D E
    # 3 . X O . .     black takes in the middle, white may not take back at once
    # 2 X O . O .
    # 1 . X O . .
    states, known = played(five, "B3 C3 A2 B2 B1 D2 E5 C1 C2")
    assert shown(five, states)[2:] == ["3 . X O . .", "2 X . X O .", "1 . X O . ."]
    assert "B2" not in legal_names(five, known)
    assert "B2" in legal_names(five, played(five, "B3 C3 A2 B2 B1 D2 E5 C1 C2 E4 A5")[1])


def test_no_board_comes_back_but_by_a_pass():
    """Positional superko, on a board so small that random play turns in circles."""
    rules, rng = load_rules("go:size=2,komi=0.5"), np.random.default_rng(1)
    forbidden = 0
    for _ in range(30):
        moves, known = [], rules.replay([])[1]
        while known.outcomes[-1] == ONGOING:
            moves.append(int(rng.choice(np.flatnonzero(known.legal[-1]))))
            states, known = rules.replay(moves)
            boards = [state["stones"].tobytes() for state in states]
            assert moves[-1] == 4 or boards[-1] not in boards[:-1]
            forbidden += known.outcomes[-1] == ONGOING and (states[-1]["stones"] == 0).sum() >= known.legal[-1].sum()
    assert forbidden > 15


def result(five, moves, komi):
    """What comes of a game of another komi, whose rules run as plain Python: compiling them takes seconds."""
    game = load_class(resolve_spec(f"go:size=5,komi={komi}"))
    state = as_record(np.zeros((), game.State), game.State)
    game.start(state)
    return [game.play(state, five.find_action(move)) for move in moves.split()][-1]


@pytest.mark.parametrize(
    ("komi", "outcome"),
    [(0, WIN), (24.5, WIN), (25, DRAW), (25.5, LOSS)],
)
def test_one_stone_owns_the_whole_board(five, komi, outcome):
    assert result(five, "C3 pass pass", komi) == outcome  # black passes last


@pytest.mark.parametrize(("komi", "outcome"), [(5.5, LOSS), (6, DRAW), (6.5, WIN)])
def test_regions_that_both_touch_belong_to_nobody(five, komi, outcome):
    moves = "C5 D5 C4 D4 C3 D3 C2 D2 C1 E1 pass pass"
    assert shown(five, played(five, moves)[0]) == [
        "5 . . X O .",
        "4 . . X O .",
        "3 . . X O .",
        "2 . . X O .",
        "1 . . X . O",  # D1 touches both: fifteen for black, nine for white
    ]
    assert result(five, moves, komi) == outcome  # white passes last
