import numpy as np
import pytest

from selfplay.errors import GameError
from selfplay.games.symmetry import Symmetry, group, mirror_columns, mirror_rows, rotate, tables


def transformed(symmetry, board):
    return board.reshape(-1)[list(symmetry.board)].reshape(board.shape)


def test_mirror_swaps_columns_and_their_actions():
    symmetry = mirror_columns((2, 3), 3)
    np.testing.assert_array_equal(transformed(symmetry, np.array([[1, 2, 3], [4, 5, 6]])), [[3, 2, 1], [6, 5, 4]])
    assert symmetry.actions == (2, 1, 0)


@pytest.mark.parametrize("maker", [mirror_columns, mirror_rows, rotate])
def test_an_action_goes_where_its_cell_goes_and_a_pass_stays(maker):
    symmetry = maker((3, 3), 10)
    for cell in range(9):
        board = np.zeros((3, 3), int)
        board.flat[cell] = 1
        assert transformed(symmetry, board).flat[symmetry.actions[cell]] == 1
    assert symmetry.actions[9] == 9


def test_the_group_of_the_square_has_eight_elements_and_is_closed():
    elements = group([rotate((3, 3), 9), mirror_columns((3, 3), 9)], 9, 9)
    assert len(elements) == 8
    assert elements[0] == Symmetry(tuple(range(9)), tuple(range(9)))
    assert all(a.then(b) in elements for a in elements for b in elements)


def test_tables_transform_boards_and_policies_alike():
    elements = group([rotate((3, 3), 9)], 9, 9)
    boards, actions = tables(elements)
    np.testing.assert_array_equal(boards, actions)  # cells are actions here


def test_symmetries_that_do_not_fit_are_refused():
    with pytest.raises(GameError, match="needs a square board"):
        rotate((2, 3), 6)
    with pytest.raises(GameError, match="neither its cells nor its columns"):
        mirror_columns((6, 7), 5)
    with pytest.raises(GameError, match="neither its cells nor its columns"):
        mirror_rows((6, 7), 7)  # gravity: a board upside down is no Connect Four
