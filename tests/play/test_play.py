import pytest

from selfplay.arena.player import SearchPlayer
from selfplay.errors import GameError
from selfplay.evaluation.uniform import UniformEvaluator
from selfplay.play.session import Session
from selfplay.play.terminal import play_in_terminal


def session_of(rules, human=0, simulations=300):
    return Session(rules, SearchPlayer("agent", rules, UniformEvaluator(), simulations=simulations), human=human)


def test_a_game_is_played_to_its_end_in_the_terminal(tictactoe):
    session = session_of(tictactoe)
    lines, typed = [], iter(["5", "nonsense", "5", "help", "hint", "undo", "5", *"1234567891234567891234567"])
    play_in_terminal(session, tictactoe, ask=lambda prompt: next(typed), say=lines.append)
    text = "\n".join(lines)
    assert session.is_over
    assert lines[-1] in ("You won.", "A draw.", "The agent won.")
    assert "'nonsense' is not a move here; you may play" in text
    assert "it would play" in text
    assert "value for it [" in text
    assert "line" in text


def test_quitting_ends_the_game(tictactoe):
    session = session_of(tictactoe)
    play_in_terminal(session, tictactoe, ask=lambda prompt: "quit", say=lambda line: None)
    assert not session.moves


def test_the_agent_takes_a_win_and_the_result_is_the_persons(tictactoe):
    session = session_of(tictactoe)
    session.moves = [0, 4, 8, 2, 1]  # the agent (second) wins with the lower left corner
    action, facts = session.agent_move()
    assert action == 6
    assert facts.value > 0.5
    assert session.is_over
    assert session.result == -1
    assert session_result_for(tictactoe, human=1) == 1


def session_result_for(rules, human):
    session = session_of(rules, human=human)
    session.moves = [0, 4, 8, 2, 1, 6]
    return session.result


def test_taking_back_undoes_the_persons_last_move_and_the_answer(tictactoe):
    session = session_of(tictactoe)
    session.play("5")
    session.agent_move()
    session.play(session.legal_names()[0])
    assert session.take_back()
    assert len(session.moves) == 2
    assert session.take_back()
    assert session.moves == []
    assert not session.take_back()


def test_results_and_turns_hold_where_players_move_twice(again):
    session = session_of(again, human=0)
    session.play("0")
    assert session.to_move == 0, "taking one stone gives another turn"
    with pytest.raises(GameError, match="is not a move here; you may play 1"):
        session.play("0")
    while not session.is_over:
        if session.to_move == 0:
            session.play(session.legal_names()[0])
        else:
            session.agent_move()
    known = again.replay(session.moves)[1]
    assert session.result == int(known.outcomes[-1]) * (1 if known.to_move[-2] == 0 else -1)
