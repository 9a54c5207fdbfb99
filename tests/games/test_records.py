"""Games as text, out and in."""

import sys

import chess.pgn
import numpy as np
import pytest
from sgfmill import sgf

from selfplay.errors import GameError, UsageError
from selfplay.games.random_play import random_game
from selfplay.games.records import Played, formats, read_record, write_record
from selfplay.games.registry import load_rules


@pytest.mark.parametrize(
    ("spec", "form"),
    [
        ("connect4", "moves"),
        ("go:size=5,komi=0.5", "sgf"),
        ("go:size=5,komi=0.5", "moves"),
        ("gomoku", "sgf"),
        ("chess", "pgn"),
        ("kalah", "moves"),
    ],
)
def test_what_is_written_is_read_again(tmp_path, spec, form):
    rules = load_rules(spec)
    for seed in range(3):
        moves = random_game(rules, np.random.default_rng(seed))
        path = tmp_path / "game"
        path.write_text(write_record(rules, Played(moves, 1, event="a test"), form))
        assert read_record(path, rules) == moves


def test_others_can_read_our_go(tmp_path):
    rules = load_rules("go:size=5,komi=0.5")
    moves = [rules.find_action(move) for move in ("C3", "D4", "pass", "A1")]
    game = sgf.Sgf_game.from_string(write_record(rules, Played(moves, -1, ("me", "you")), "sgf"))
    assert (game.get_size(), game.get_komi(), game.get_winner()) == (5, 0.5, "w")
    assert game.get_player_name("b") == "me"
    assert [node.get_move() for node in game.get_main_sequence()[1:]] == [
        ("b", (2, 2)), ("w", (3, 3)), ("b", None), ("w", (0, 0)),
    ]  # fmt: skip


def test_others_can_read_our_chess():
    rules = load_rules("chess")
    moves = [rules.find_action(move) for move in "f2f3 e7e5 g2g4 d8h4".split()]
    text = write_record(rules, Played(moves, -1), "pgn")
    assert "1. f3 e5 2. g4 Qh4# 0-1" in text


def read(tmp_path, text, spec):
    path = tmp_path / "record"
    path.write_text(text)
    return read_record(path, load_rules(spec))


def test_names_of_moves_with_commas_or_blanks(tmp_path):
    assert read(tmp_path, "# from a friend\n4, 4 3 # good\n1 1 1\n", "connect4") == [3, 3, 2]


@pytest.mark.parametrize(
    ("text", "spec", "message"),
    [
        ("4 9", "connect4", "connect4 has no move '9'"),
        ("4 4 4 4 4 4 4", "connect4", "move 3 at ply 6 is not legal"),
        ("", "connect4", "has no move ''"),
        ("(;GM[1]SZ[9];B[aa])", "go:size=5,komi=0.5", "its board has 9 lines, go:size=5,komi=0.5 has 5"),
        ("(;GM[4]SZ[5];B[aa])", "go:size=5,komi=0.5", r"another game \(GM\[4\]\)"),
        ("(;GM[1]SZ[5];B[aa];B[bb])", "go:size=5,komi=0.5", "move 2 is black's, out of turn"),
        ("(;GM[1]SZ[5]AB[aa];W[bb])", "go:size=5,komi=0.5", "stones set up"),
        ("(;GM[1]SZ[5", "go:size=5,komi=0.5", "not a record in SGF"),
        ("(;GM[1]SZ[5];B[aa])", "connect4", "a record in SGF, which connect4 has not"),
        ('[Event "x"]\n\n1. e4 e4 *\n', "chess", "illegal san"),
        ('[FEN "8/8/8/4k3/8/3nK3/8/8 w - - 0 1"]\n\n1. Kxd3 *\n', "chess", "a position of its own"),
    ],
)
def test_what_is_no_record_is_said_so(tmp_path, text, spec, message):
    with pytest.raises(GameError, match=message):
        read(tmp_path, text, spec)


def test_a_record_that_is_not_there(tmp_path):
    with pytest.raises(GameError, match="nothing.sgf"):
        read_record(tmp_path / "nothing.sgf", load_rules("connect4"))


def test_other_formats_and_missing_libraries_are_refused(monkeypatch):
    assert formats(load_rules("connect4")) == ("moves",)
    with pytest.raises(UsageError, match="connect4 has no records as sgf; there are moves"):
        write_record(load_rules("connect4"), Played([]), "sgf")
    monkeypatch.setitem(sys.modules, "sgfmill.sgf", None)
    with pytest.raises(UsageError, match="need sgfmill .the extra `records`."):
        write_record(load_rules("gomoku"), Played([]), "sgf")


def test_pgn_that_goes_on_where_a_draw_could_be_claimed_ends_there(tmp_path):
    moves = "Nf3 Nf6 Ng1 Ng8 " * 3
    board = chess.Board()
    for san in moves.split():
        board.push_san(san)
    path = tmp_path / "long.pgn"
    path.write_text(f"{chess.pgn.Game.from_board(board)}\n")
    assert len(read_record(path, load_rules("chess"))) == 8
