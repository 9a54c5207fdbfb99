"""The Universal Chess Interface, command by command."""

import pytest

from selfplay.errors import UsageError
from selfplay.evaluation.uniform import UniformEvaluator
from selfplay.games.registry import load_rules
from selfplay.play.agent import Agent
from selfplay.play.uci import UciEngine


@pytest.fixture
def engine():
    return UciEngine(Agent(load_rules("chess"), UniformEvaluator(), name="test"), simulations=40)


def say(engine, *commands):
    """The answer to the last command."""
    return [list(engine.answer(command)) for command in commands][-1]


def best(engine, *commands):
    return say(engine, *commands)[-1].removeprefix("bestmove ")


def test_who_it_is(engine):
    answer = say(engine, "uci")
    assert answer[0] == "id name selfplay"
    assert answer[-1] == "uciok"
    assert say(engine, "isready") == ["readyok"]


def test_mate_in_one_is_found(engine):
    info, move = say(engine, "position startpos moves f2f3 e7e5 g2g4", "go nodes 200")
    assert move == "bestmove d8h4"
    assert info.endswith("pv d8h4")
    assert "score cp" in info


def test_positions_in_fen(engine):
    assert best(engine, "position fen 6k1/5ppp/8/8/8/8/8/R3K3 w Q - 0 1", "go nodes 300") == "a1a8"
    assert best(engine, "position fen 6k1/5ppp/8/8/8/8/8/R3K3 w Q - 0 1 moves a1a8", "go") == "0000", "mate"


def test_nodes_time_and_clocks(engine):
    nodes = int(say(engine, "position startpos", "go nodes 30")[0].split()[4])
    assert nodes == 30
    assert int(say(engine, "setoption name Simulations value 17", "go")[0].split()[4]) == 17
    assert say(engine, "go movetime 20")[-1].startswith("bestmove ")
    assert say(engine, "go wtime 600 btime 600 winc 0 binc 0")[-1].startswith("bestmove ")


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("position startpos moves e2e5", "info string e2e5 is not legal"),
        ("position fen 8/8/8/8 w - - 0 1", "is no position in FEN"),
        ("position fen nonsense", "is no position in FEN"),
        ("position fen rnbqkbnr/pppppppp/8/8/8/8/PPPPPPPP/RNBQKBNR x KQkq - 0 1", "is no position in FEN"),
    ],
)
def test_what_is_no_position_is_said_and_the_last_one_stays(engine, command, message):
    assert message in say(engine, "position startpos moves e2e4", command)[0]
    assert best(engine, "go nodes 4")[1] in "78", "black is to move: a piece of the seventh or eighth row"


def test_unknown_commands_are_passed_over(engine):
    assert say(engine, "xyzzy") == []
    assert say(engine, "") == []
    assert say(engine, "ucinewgame") == []
    say(engine, "quit")
    assert engine.is_over


def test_other_games_are_refused(connect4):
    with pytest.raises(UsageError, match="UCI is for chess; test plays connect4"):
        UciEngine(Agent(connect4, UniformEvaluator(), name="test"), simulations=8)
