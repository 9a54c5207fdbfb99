"""Checkers against published counts of its move tree, and on drawn positions."""

import numpy as np
import pytest

from selfplay.games.game import DRAW, ONGOING, WIN
from selfplay.games.registry import load_rules

# Moves from the start, jumps of one piece counted as one: https://www.aartbik.com/strategy.php
PERFT = [7, 49, 302, 1469, 7361, 36768, 179740]


@pytest.fixture(scope="module")
def rules():
    return load_rules("checkers")


def placed(rules, *rows, to_move=0):
    """A position as it is drawn: X, O men, K, k kings."""
    state = rules.start(1)
    state["men"], state["kings"], state["to_move"] = 0, 0, to_move
    for field, player, mark in (("men", 0, "X"), ("men", 1, "O"), ("kings", 0, "K"), ("kings", 1, "k")):
        cells = [8 * row + column for row, line in enumerate(rows) for column, sign in enumerate(line) if sign == mark]
        state[field][0, player] = sum(1 << cell for cell in cells)
    return state


def play(rules, state, *moves):
    for move in moves:
        known = rules.advance(state, np.array([rules.find_action(move)], np.int32))
    return known


def names(rules, known):
    return sorted(rules.action_name(action) for action in np.flatnonzero(known.legal[0]).tolist())


def test_the_move_tree_has_its_published_size(rules):
    states, counts = rules.start(1), []
    for _ in PERFT:
        ready, on_their_way = [], states
        while len(on_their_way):
            known = rules.describe(on_their_way.copy())
            rows, actions = known.legal.nonzero()
            movers = known.to_move[rows]
            after = on_their_way[rows]
            known = rules.advance(after, actions.astype(np.int32))
            jumps_on = (known.to_move == movers) & (known.outcomes == ONGOING)
            ready.append(after[~jumps_on])
            on_their_way = after[jumps_on]
        states = np.concatenate(ready)
        counts.append(len(states))
    assert counts == PERFT


EMPTY = "........"


def test_who_can_take_must_and_goes_on(rules):
    state = placed(rules, EMPTY, EMPTY, "...O....", EMPTY, ".O......", "X.....X.", EMPTY, EMPTY)
    known = rules.describe(state)
    assert names(rules, known) == ["a3xc5"]
    known = play(rules, state, "a3xc5")
    assert known.to_move[0] == 0
    assert names(rules, known) == ["c5xe7"]
    assert play(rules, state, "c5xe7").outcomes[0] == WIN, "nothing is left to move"


def test_a_man_that_is_crowned_takes_no_more(rules):
    state = placed(rules, EMPTY, "..O.O...", ".X......", EMPTY, EMPTY, EMPTY, EMPTY, ".O......")
    known = play(rules, state, "b6xd8")
    assert known.to_move[0] == 1, "as a king it could take on e7"
    assert rules.draw(state[0]).splitlines()[0].split()[-1] != "X"
    assert "K" in rules.draw(state[0])


def test_men_go_forward_and_kings_both_ways(rules):
    state = placed(rules, EMPTY, EMPTY, EMPTY, "..X.....", EMPTY, "....K...", EMPTY, "O.......")
    assert names(rules, rules.describe(state)) == ["c5b6", "c5d6", "e3d2", "e3d4", "e3f2", "e3f4"]


def test_forty_plies_without_a_capture_are_a_draw(rules):
    state = placed(rules, "k.......", EMPTY, EMPTY, EMPTY, EMPTY, EMPTY, EMPTY, ".......K")
    moves = ["h1g2", "a8b7", "g2h1", "b7a8"] * 10
    for ply, move in enumerate(moves, start=1):
        assert play(rules, state, move).outcomes[0] == (DRAW if ply == 40 else ONGOING)
