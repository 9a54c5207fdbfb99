"""What is marked on a board."""

import pytest

from selfplay.evaluation.uniform import UniformEvaluator
from selfplay.play.agent import Agent
from selfplay.play.marks import marks_of
from selfplay.play.session import Session
from selfplay.web.picture import Marks


def session_of(rules, *moves):
    return Session(Agent(rules, UniformEvaluator(), name="agent"), human=0, simulations=50, moves=moves)


def test_visits_become_heat_and_the_last_move_is_marked(tictactoe):
    session = session_of(tictactoe, "1", "5", "2", "9")
    opinion = session.think()
    marks = marks_of(session, session.board(), opinion, chosen=())
    assert marks.last == ((2, 2),)
    assert max(marks.heat, key=marks.heat.get) == (0, 2), "the third in the upper row wins"
    assert sum(marks.heat.values()) == pytest.approx(1.0)
    assert marks.arrows == []


def test_moves_of_pieces_are_arrows_and_clicks_show_where_they_may_go_on(hexapawn):
    session = session_of(hexapawn)
    opinion = session.think()
    marks = marks_of(session, session.board(), opinion, chosen=((2, 1),))
    ((begin, end),) = marks.arrows
    assert (begin[0], end[0]) == (2, 1)
    assert marks.chosen == ((2, 1), (1, 1))
    assert sum(marks.heat.values()) == pytest.approx(1.0)


def test_without_a_board_nothing_is_marked(again):
    assert marks_of(session_of(again, "1"), None, None, chosen=()) == Marks()
