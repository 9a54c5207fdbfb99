import pytest

import selfplay
from selfplay.errors import GameError, UsageError
from selfplay.evaluation.uniform import UniformEvaluator
from selfplay.network.checkpoint import save_checkpoint, untrained
from selfplay.play.agent import Agent
from selfplay.play.session import Session
from selfplay.play.terminal import play_in_terminal


def session_of(rules, human=0, simulations=300):
    return Session(Agent(rules, UniformEvaluator(), name="agent"), human=human, simulations=simulations)


def test_a_game_is_played_to_its_end_in_the_terminal(tictactoe):
    session = session_of(tictactoe)
    lines, typed = [], iter(["5", "nonsense", "5", "help", "hint", "undo", "5", *"1234567891234567891234567"])
    play_in_terminal(session, ask=lambda prompt, names: next(typed), say=lines.append)
    text = "\n".join(lines)
    assert session.is_over
    assert lines[-1] in ("You won.", "A draw.", "The agent won.")
    assert "'nonsense' is not a move here; you may play" in text
    assert "it would play" in text
    assert "value for it [" in text
    assert "line" in text


def test_quitting_ends_the_game(tictactoe):
    session = session_of(tictactoe)
    play_in_terminal(session, ask=lambda prompt, names: "quit", say=lambda line: None)
    assert not session.moves


def test_the_agent_takes_a_win_and_the_result_is_the_persons(tictactoe):
    session = session_of(tictactoe)
    session.moves = [0, 4, 8, 2, 1]  # the agent (second) wins with the lower left corner
    opinion = session.agent_move()
    assert opinion.best.action == session.moves[-1] == 6
    assert opinion.value > 0.5
    assert session.is_over
    assert session.result == -1


@pytest.mark.parametrize(("human", "words"), [(0, "The agent won."), (1, "You won."), (None, "Player 2 won.")])
def test_the_result_is_told_from_the_persons_side(tictactoe, human, words):
    session, lines = session_of(tictactoe, human=human), []
    session.moves = [0, 4, 8, 2, 1, 6]
    play_in_terminal(session, ask=None, say=lines.append)
    assert lines[-1] == words


def test_the_agent_plays_both_sides_from_a_position_on(tictactoe):
    agent, lines = Agent(tictactoe, UniformEvaluator(), name="agent"), []
    session = Session(agent, human=None, simulations=200, moves=["1", "5", "9"])
    play_in_terminal(session, ask=None, say=lines.append)
    assert session.moves[:3] == [0, 4, 8]
    assert session.is_over
    with pytest.raises(GameError, match="move 0 at ply 1 is not legal"):
        Session(agent, human=0, simulations=10, moves=["1", "1"])


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


# --- the agent for programs ---------------------------------------------------------------------------------------


def test_an_opinion_finds_the_win_and_says_what_it_expects(tictactoe):
    agent = Agent(tictactoe, UniformEvaluator(), name="agent")
    opinion = agent.search(["1", "4", "2", "5"], simulations=300)  # player 1 wins at 3
    assert opinion.best.name == "3"
    assert opinion.best.line == ("3",)
    assert opinion.best.value == 1.0
    assert opinion.value == 1.0
    assert opinion.is_proven
    assert opinion.simulations == 1, "a win in one needs no more"
    assert opinion.to_move == 0
    assert agent.search([0, 3, 1, 4], simulations=300) == opinion, "numbers of actions are as good as names"


def test_an_opinion_of_an_open_position_has_all_its_simulations(tictactoe):
    opinion = Agent(tictactoe, UniformEvaluator(), name="agent").search(["5"], simulations=30)
    assert not opinion.is_proven
    assert opinion.simulations == sum(option.visits for option in opinion.options) == 30
    assert sum(opinion.policy.values()) == pytest.approx(1.0)
    assert [option.visits for option in opinion.options] == sorted((o.visits for o in opinion.options), reverse=True)


@pytest.mark.parametrize(
    ("moves", "simulations", "error", "message"),
    [
        (["1", "ten"], 10, GameError, "move 2: tictactoe has no move 'ten'"),
        (["1", "1"], 10, GameError, "move 0 at ply 1 is not legal"),
        (["1", "4", "2", "5", "3"], 10, GameError, "the game is over after 5 moves"),
        ([], 0, UsageError, "simulations: found 0, expected 1 or more"),
    ],
)
def test_positions_that_cannot_be_searched_are_named(tictactoe, moves, simulations, error, message):
    with pytest.raises(error, match=message):
        Agent(tictactoe, UniformEvaluator(), name="agent").search(moves, simulations=simulations)


def test_an_agent_is_loaded_from_a_model_file(tictactoe, small_settings, tmp_path):
    save_checkpoint(untrained(tictactoe.info, small_settings), tmp_path / "model.pt")
    agent = selfplay.load_agent(tmp_path / "model.pt")
    for moves in (["6", "1", "8"], ["1", "2"], []):
        opinion = agent.search(moves, simulations=20)
        assert sum(opinion.outcome) == pytest.approx(1.0, abs=1e-5)
        win, _, loss = opinion.outcome
        assert opinion.network_value == pytest.approx(win - loss, abs=1e-6)
    assert agent.search(["1", "2"]).outcome == agent.search(["9", "8"]).outcome, "an image of it"
    assert agent.card.game == "tictactoe"
    assert selfplay.load_agent(str(tmp_path / "model.onnx")).search(simulations=20) == opinion
