"""Positions as boards: what games declare, and what makes no board."""

import numpy as np
import pytest

from selfplay.errors import GameError
from selfplay.games.board import EMPTY, HOLE, make_board


def board_after(rules, moves):
    states, known = rules.replay([rules.find_action(move) for move in moves])
    return rules.board(states[-1], np.flatnonzero(known.legal[-1]).tolist())


def test_connect4_draws_stones_from_the_bottom(connect4):
    board = board_after(connect4, ["4", "4", "3"])
    assert board.kind == "columns"
    assert board.rows == (".......",) * 4 + ("...O...", "..XX...")
    assert board.cells[3] == ((3, 3),), "the next stone of the middle column lands on two others"
    assert board.cells[0] == ((5, 0),)


def test_actions_number_cells_where_a_game_says_nothing_else(tictactoe):
    board = board_after(tictactoe, ["5", "1"])
    assert board.rows == ("O..", ".X.", "...")
    assert board.cells == {1: ((0, 1),), 2: ((0, 2),), 3: ((1, 0),), 5: ((1, 2),)} | {
        6 + column: ((2, column),) for column in range(3)
    }


def test_a_game_without_pieces_has_no_board(again, objects):
    assert board_after(again, []) is None
    assert board_after(objects, []) is None


def test_actions_beyond_the_cells_have_none():
    board = make_board("squares", ["..", ".."], lambda action: None, [0, 3, 4])
    assert board.cells == {0: ((0, 0),), 3: ((1, 1),), 4: ()}


def test_off_the_board_is_a_hole():
    board = make_board("squares", ["X ", ".O"], lambda action: None, [])
    assert [board.at(cell) for cell in ((0, 0), (0, 1), (1, 0), (-1, 0), (0, 2), (2, 0))] == [
        "X", HOLE, EMPTY, HOLE, HOLE, HOLE,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "rows", "cells", "message"),
    [
        (
            "triangles",
            ["."],
            None,
            "`board_kind` is 'triangles'; expected one of squares, chequered, crossings, columns, hexagons",
        ),
        ("squares", [], None, "rows of text, all of one length"),
        ("squares", ["..", "."], None, "rows of text, all of one length"),
        ("squares", [[0, 1]], None, "rows of text"),
        ("squares", ["." * 65], None, "1 rows of 65 cells; expected 1 to 64"),
        ("squares", [". "], [(0, 1)], r"action 0 names \(row 0, column 1\), which is no cell"),
        ("squares", [".."], [(1, 0)], "which is no cell"),
    ],
)
def test_what_makes_no_board_is_refused(kind, rows, cells, message):
    with pytest.raises(GameError, match=message):
        make_board(kind, rows, lambda action: cells, [0])
