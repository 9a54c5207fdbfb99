import numpy as np
from toys import minimax, reachable

from selfplay.games.game import DRAW, WIN


def test_the_drawing_shows_free_cells_by_number(tictactoe):
    assert (
        tictactoe.draw(tictactoe.replay([4, 0])[0][-1])
        == " O | 2 | 3\n---+---+---\n 4 | X | 6\n---+---+---\n 7 | 8 | 9"
    )


def test_three_in_a_line_wins(tictactoe):
    assert tictactoe.replay([0, 3, 1, 4, 2])[1].outcomes[-1] == WIN
    assert tictactoe.replay([0, 2, 1, 4, 3, 6])[1].outcomes[-1] == WIN  # seen by the second player


def test_a_full_board_without_a_line_is_a_draw(tictactoe):
    assert tictactoe.replay([0, 1, 2, 4, 3, 5, 7, 6, 8])[1].outcomes[-1] == DRAW


def test_a_winning_last_stone_is_a_win_and_no_draw(tictactoe):
    assert tictactoe.replay([0, 1, 2, 3, 4, 5, 7, 6, 8])[1].outcomes[-1] == WIN


def test_the_game_has_its_known_size_and_value(tictactoe):
    assert len(reachable(tictactoe)) == 4520  # ongoing positions, as counted by others
    assert minimax(tictactoe, ()) == 0


def test_planes_are_seen_by_the_player_to_move(tictactoe):
    planes = tictactoe.encode(tictactoe.replay([4])[0])[-1]
    np.testing.assert_array_equal(planes[0], np.zeros((3, 3)))
    np.testing.assert_array_equal(planes[1], [[0, 0, 0], [0, 1, 0], [0, 0, 0]])
