import numpy as np
import pytest

from selfplay.errors import GameError
from selfplay.games.game import DRAW, ONGOING, WIN

# A full board without a line, found by hand: each row repeats its pattern two rows up.
DRAWN = """
X X O O X X O
O O X X O O X
X X O O X X O
O O X X O O X
X X O O X X O
O O X X O O X
"""


def board(rules, moves):
    return rules.draw(rules.replay(moves)[0][-1])


def outcome(rules, moves):
    return int(rules.replay(moves)[1].outcomes[-1])


def test_stones_fall_and_players_alternate(connect4):
    assert board(connect4, [3, 3, 0]).splitlines()[-3:] == [
        ". . . O . . .",
        "X . . X . . .",
        "1 2 3 4 5 6 7",
    ]


@pytest.mark.parametrize(
    "moves",
    [
        [0, 0, 1, 1, 2, 2, 3],  # along the bottom
        [6, 5, 6, 5, 6, 5, 6],  # up a column
        [0, 1, 1, 2, 2, 3, 2, 3, 3, 6, 3],  # rising to the right
        [6, 5, 5, 4, 4, 3, 4, 3, 3, 0, 3],  # rising to the left
        [0, 0, 1, 1, 3, 3, 2],  # the gap filled last
    ],
)
def test_four_in_a_line_wins_for_the_player_who_moved(connect4, moves):
    assert outcome(connect4, moves) == WIN
    assert outcome(connect4, moves[:-1]) == ONGOING


def test_lines_do_not_run_round_the_edge(connect4):
    assert outcome(connect4, [4, 0, 5, 0, 6, 1, 0]) == ONGOING


def test_a_full_column_is_not_legal(connect4):
    with pytest.raises(GameError, match="move 2 at ply 6 is not legal"):
        connect4.replay([2] * 7)


def test_the_last_stone_of_a_full_board_is_a_draw(connect4):
    rows = [line.split() for line in DRAWN.strip().splitlines()][::-1]
    state = connect4.start(1)
    state["stones"][0] = [[".XO".index(mark) for mark in row] for row in rows]
    state["height"][0] = 6
    state["stones"][0, 5, 6] = 0  # take the last stone back
    state["height"][0, 6] = 5
    state["to_move"] = 1
    known = connect4.advance(state, np.array([6], np.int32))
    assert known.outcomes[0] == DRAW
    assert not known.legal.any()


def test_planes_look_like_the_board_seen_by_the_player_to_move(connect4):
    planes = connect4.encode(connect4.replay([3, 2])[0])[-1]
    own, other = np.zeros((6, 7)), np.zeros((6, 7))
    own[5, 3], other[5, 2] = 1, 1
    rows = np.repeat([[0], [1], [0], [1], [0], [1]], 7, axis=1)
    np.testing.assert_array_equal(planes, [own, other, np.ones((6, 7)), rows])
    after_one = connect4.encode(connect4.replay([3])[0])[-1]
    np.testing.assert_array_equal(after_one[1:], [own, np.zeros((6, 7)), rows])


def test_moves_after_the_end_are_refused(connect4):
    with pytest.raises(GameError, match="over after 7 plies, but 8 moves"):
        connect4.replay([0, 0, 1, 1, 2, 2, 3, 3])
