"""What clicks mean, on boards drawn here."""

import numpy as np
import pytest
from toys import Hexapawn

from selfplay.games.board import Board
from selfplay.play.clicks import Goes, Plays, Refused, moved_cursor, read_click, targets


def board(rows, kind="squares", **cells):
    return Board(kind, tuple(rows), {int(name[1:]): tuple(where) for name, where in cells.items()})


TAKEN = board(["X.", ".."], _1=[(0, 1)], _2=[(1, 0)], _3=[(1, 1)])
FALLING = board(["O..", "X.."], "columns", _1=[(1, 1)], _2=[(1, 2)])
MOVING = board(["X..", "X.O"], _10=[(0, 0), (0, 1)], _11=[(0, 0), (0, 2)], _12=[(1, 0), (1, 1)])
PROMOTING = board(["P", "."], _5=[(0, 0), (1, 0)], _6=[(0, 0), (1, 0)], _7=[])


@pytest.mark.parametrize(
    ("shown", "chosen", "cell", "meaning"),
    [
        (TAKEN, (), (1, 1), Plays((3,))),
        (TAKEN, (), (0, 0), Refused("row 1, column 1 is taken")),
        (TAKEN, (), (0, 2), Refused("that is not on the board")),
        (TAKEN, (), (-1, 0), Refused("that is not on the board")),
        (FALLING, (), (0, 1), Plays((1,))),
        (FALLING, (), (1, 2), Plays((2,))),
        (FALLING, (), (1, 0), Refused("column 1 is full")),
        (MOVING, (), (0, 0), Goes(((0, 0),))),
        (MOVING, ((0, 0),), (0, 2), Plays((11,))),
        (MOVING, ((0, 0),), (0, 0), Goes(())),
        (MOVING, ((0, 0),), (1, 0), Goes(((1, 0),))),
        (MOVING, ((1, 0),), (0, 2), Refused("that piece cannot go there")),
        (MOVING, (), (1, 2), Refused("no move begins at row 2, column 3")),
        (PROMOTING, ((0, 0),), (1, 0), Plays((5, 6))),
        (board(["."], _1=[]), (), (0, 0), Refused("row 1, column 1 cannot be played")),
    ],
)  # fmt: skip
def test_clicks(shown, chosen, cell, meaning):
    assert read_click(shown, chosen, cell) == meaning


def test_where_one_may_click_next():
    assert targets(MOVING, ()) == {(0, 0), (1, 0)}
    assert targets(MOVING, ((0, 0),)) == {(0, 1), (0, 2)}
    assert targets(FALLING, ()) == {(1, 1), (1, 2)}


def test_the_cursor_goes_around_the_edge_and_over_holes():
    shown = board([". .", "...", "..."])
    assert moved_cursor(shown, None, (0, 1)) == (1, 1)
    assert moved_cursor(shown, (1, 2), (0, 1)) == (1, 0)
    assert moved_cursor(shown, (0, 0), (0, 1)) == (0, 2)
    assert moved_cursor(shown, (0, 0), (-1, 0)) == (2, 0)


def test_every_legal_move_of_a_moving_game_can_be_clicked(hexapawn):
    rng = np.random.default_rng(1)
    for _ in range(20):
        moves, legal = [], hexapawn.describe(hexapawn.start(1)).legal[0]
        while legal.any():
            states, known = hexapawn.replay(moves)
            legal = known.legal[-1]
            shown = hexapawn.board(states[-1], np.flatnonzero(legal).tolist())
            for action in np.flatnonzero(legal).tolist():
                begin, end = shown.cells[action]
                assert read_click(shown, (), begin) == Goes((begin,))
                assert read_click(shown, (begin,), end) == Plays((action,))
            if legal.any():
                moves.append(int(rng.choice(np.flatnonzero(legal))))
    assert Hexapawn.name == hexapawn.info.name
