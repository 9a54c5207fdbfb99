"""Every game that comes along: the laws, boards for people, sound parameters."""

import numpy as np
import pytest

from selfplay.games.conformance import check_game
from selfplay.games.openspiel import overview
from selfplay.games.random_play import random_game
from selfplay.games.registry import BUILT_IN, load_rules

# (spec, random games). Symmetries are checked in twenty of them.
CHECKED = [
    ("mnk:rows=4,columns=5,connect=3", 20),
    ("gomoku:size=7,exactly=true", 8),
    ("connect4:rows=7,columns=8,connect=5", 20),
    ("othello", 4),
    ("hex:size=5,swap=false", 10),
    ("hex", 2),
    ("breakthrough:rows=5,columns=4", 10),
    ("go:size=3,komi=0.5", 20),
    ("kalah", 20),
    ("dots", 10),
    ("dots:rows=2,columns=4", 10),
    ("morris", 3),
    ("checkers", 4),
    ("chess", 1),
]


@pytest.mark.parametrize(("spec", "games"), CHECKED)
def test_every_game_keeps_all_laws(spec, games):
    report = check_game(spec, games=games)
    assert report.games == games
    assert not report.notes


def test_every_built_in_game_is_among_those_checked():
    assert set(BUILT_IN) - {"tictactoe", "connect4"} <= {spec.partition(":")[0] for spec, _ in CHECKED}


@pytest.mark.parametrize("name", sorted(BUILT_IN))
def test_games_last_about_as_long_as_they_say(name):
    rules = load_rules(name)
    lengths = [len(random_game(rules, np.random.default_rng(seed))) for seed in range(20)]
    assert max(lengths) <= rules.info.max_plies
    assert rules.info.typical_plies / 5 < np.mean(lengths) < 5 * rules.info.typical_plies


@pytest.mark.parametrize("name", sorted(set(BUILT_IN) - {"kalah"}))
def test_legal_moves_are_played_on_cells_of_the_board(name):
    """Kalah's board is no grid: its moves are buttons."""
    rules = load_rules(name)
    moves = random_game(rules, np.random.default_rng(3))
    states, known = rules.replay(moves[: len(moves) // 2])
    legal = np.flatnonzero(known.legal[-1]).tolist()
    board = rules.board(states[-1], legal)
    assert board is not None
    assert any(board.cells[action] for action in legal)
    for cells in board.cells.values():
        assert len(set(cells)) == len(cells)


@pytest.mark.parametrize("name", overview().get("", []))
def test_openspiel_s_games_keep_the_laws_or_are_only_too_long_to_try(name):
    if name in (
        "chinese_checkers",
        "cursor_go",
        "hive",
        "shogi",
        "xiangqi",
        "quoridor",
        "amazons",
        "chess",
        "crazyhouse",
    ):
        rules = load_rules(f"openspiel:{name}")
        assert rules.describe(rules.start(1)).legal.any()
        return
    assert check_game(f"openspiel:{name}", games=2).games == 2
