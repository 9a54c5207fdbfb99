"""The Go Text Protocol, command by command."""

import pytest

from selfplay import __version__
from selfplay.errors import UsageError
from selfplay.evaluation.uniform import UniformEvaluator
from selfplay.games.registry import load_rules
from selfplay.play.agent import Agent
from selfplay.play.gtp import GtpEngine


def engine(spec="go:size=5,komi=0.5", simulations=8):
    return GtpEngine(Agent(load_rules(spec), UniformEvaluator(), name="test"), simulations=simulations)


def say(engine, *commands):
    """The response to the last command."""
    return [engine.answer(command) for command in commands][-1]


def test_who_it_is():
    assert say(engine(), "protocol_version") == "= 2\n\n"
    assert say(engine(), "name") == "= selfplay\n\n"
    assert say(engine(), "version") == f"= {__version__}\n\n"
    assert say(engine(), "known_command genmove") == "= true\n\n"
    assert say(engine(), "known_command fly") == "= false\n\n"
    assert "genmove" in say(engine(), "list_commands").split()


def test_numbers_comments_and_empty_lines():
    assert say(engine(), "17 name # who?") == "=17 selfplay\n\n"
    assert say(engine(), "# nothing") == ""
    assert say(engine(), "   ") == ""
    assert say(engine(), "3 fly away") == "?3 unknown command\n\n"


def test_boards_of_other_sizes_are_refused():
    assert say(engine(), "boardsize 5") == "=\n\n"
    assert say(engine(), "boardsize 19") == "? unacceptable size\n\n"
    assert say(engine(), "komi 0.5") == "=\n\n"
    assert say(engine(), "komi 7.5") == "? this model was trained with komi 0.5\n\n"


def test_stones_are_set_where_the_vertex_says():
    board = say(engine(), "play b A1", "play w e5", "showboard")
    assert board.splitlines()[1:6] == ["5 . . . . O", "4 . . . . .", "3 . . . . .", "2 . . . . .", "1 X . . . ."]


def test_illegal_moves_are_refused_and_change_nothing():
    go = engine()
    assert say(go, "play b C3") == "=\n\n"
    assert say(go, "play w C3") == "? illegal move\n\n"
    assert say(go, "play w F1") == "? invalid vertex\n\n"
    assert say(go, "play x A1") == "? syntax error: expected a colour, b or w\n\n"
    assert say(go, "play w") == "? invalid vertex\n\n"
    assert say(go, "showboard").count("O") == 0


def test_who_plays_twice_lets_the_other_pass():
    assert say(engine(), "play b A1", "play b A2", "undo", "undo", "undo", "undo") == "? cannot undo\n\n"


def test_it_makes_moves_until_the_game_is_over():
    go, moves = engine(), []
    for number in range(100):
        answer = say(go, f"genmove {'bw'[number % 2]}")
        assert answer.startswith("= ")
        moves.append(answer[2:].strip())
        if moves[-2:] == ["pass", "pass"]:
            break
    assert say(go, "final_score") in ("= B+\n\n", "= W+\n\n", "? cannot score\n\n")
    assert all(move == "pass" or move[0] in "ABCDE" for move in moves)


def test_the_score_of_two_passes():
    assert say(engine(), "play b C3", "play w pass", "final_score") == "? cannot score\n\n"
    assert say(engine(), "play b C3", "play w pass", "play b pass", "final_score") == "= B+\n\n"


def test_gomoku_has_no_i_and_no_pass():
    gomoku = engine("gomoku")
    assert say(gomoku, "play b J1") == "=\n\n"
    assert say(gomoku, "showboard").splitlines()[-3].split()[9] == "X"
    assert say(gomoku, "play w I2") == "? invalid vertex\n\n"
    assert say(gomoku, "play w pass") == "? illegal move\n\n"
    assert say(gomoku, "play b A1") == "? illegal move: it is the other player's turn\n\n"


def test_hex_counts_from_the_top_and_swaps():
    game = engine("hex")
    assert say(game, "play b b1", "showboard").splitlines()[1] == " 1 . X . . . . . . . . ."
    assert say(game, "play w swap-pieces", "showboard").splitlines()[2] == "  2 O . . . . . . . . . ."
    assert say(game, "play b swap-pieces") == "? illegal move\n\n"


def test_quit_ends_it():
    go = engine()
    assert say(go, "quit") == "=\n\n"
    assert go.is_over


def test_other_games_are_refused():
    with pytest.raises(UsageError, match="GTP is for go, gomoku, hex; test plays connect4"):
        engine("connect4")
