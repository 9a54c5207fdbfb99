"""Perfect play, positions to measure against it, and what is measured."""

from pathlib import Path

import msgspec
import numpy as np
import pytest
from toys import HashEvaluator, again_value, best_value, reachable, value_after

from selfplay.arena.mistakes import calibration, measure
from selfplay.arena.oracle import UNPLAYABLE, ConnectFourOracle, EnumeratedGame, open_oracle
from selfplay.arena.picture import draw
from selfplay.arena.player import SearchPlayer
from selfplay.arena.positions import PositionSet, drawn_set, position_set
from selfplay.errors import UsageError
from selfplay.evaluation.evaluator import Evaluation
from selfplay.games import connect4 as connect4_module
from selfplay.games.random_play import random_opening
from selfplay.games.registry import load_rules


@pytest.fixture(scope="module")
def perfect(tictactoe):
    return EnumeratedGame(tictactoe, most_positions=10_000)


@pytest.fixture(scope="module")
def positions(tictactoe, perfect):
    return drawn_set("random", tictactoe, perfect, count=200, seed=1)


# --- oracles -----------------------------------------------------------------------------------------------------


def test_an_enumerated_game_is_known_at_every_position(tictactoe, perfect):
    seen = {}
    found = {}
    for state, mover, legal in reachable(tictactoe).values():
        expected = np.full(9, UNPLAYABLE)
        for action in legal.nonzero()[0]:
            expected[action] = value_after(tictactoe, state, mover, action, seen)
        found[tictactoe.describe(state).keys[0].tobytes()] = expected
    assert found.keys() == perfect._outcomes.keys()
    for key, expected in found.items():
        np.testing.assert_array_equal(perfect._outcomes[key], expected)


@pytest.mark.parametrize("moves", [[], [0], [1], [0, 1], [1, 0], [1, 1], [0, 1, 0]])
def test_enumeration_holds_where_a_player_moves_twice_running(again, moves):
    state = again.replay(moves)[0][-1]
    outcomes = open_oracle(again).outcomes(moves)
    assert outcomes.max() == again_value(int(state["left"]), int(state["again"]))


def test_games_of_python_objects_are_enumerated_too(objects, perfect):
    theirs = EnumeratedGame(objects, most_positions=10_000)
    for moves in ([], [4], [0, 3, 1, 4], [0, 1, 4, 8, 2]):
        np.testing.assert_array_equal(theirs.outcomes(moves), perfect.outcomes(moves))


def test_a_game_too_large_to_enumerate_is_refused_with_its_size(hexapawn, tictactoe):
    with pytest.raises(UsageError, match="more than 100 positions within 3 plies, too many to enumerate"):
        EnumeratedGame(tictactoe, most_positions=100)
    assert open_oracle(hexapawn).outcomes([]).max() == -1  # Gardner: the second player wins


def test_connect_four_is_won_in_the_middle_and_lost_at_the_edges(connect4):
    oracle = open_oracle(connect4)
    assert isinstance(oracle, ConnectFourOracle)
    assert oracle.outcomes([]).tolist() == [-1, -1, 0, 1, 0, -1, -1]  # Allis 1988
    assert oracle.outcomes([3] * 6)[3] == UNPLAYABLE


def test_a_stranger_s_game_of_that_name_is_not_taken_for_connect_four(tmp_path):
    source = Path(connect4_module.__file__).read_text().replace('win", ge=2, le=16)] = 4', 'win", ge=2, le=16)] = 5')
    (tmp_path / "five.py").write_text(source)
    with pytest.raises(UsageError, match="too many to enumerate"):
        open_oracle(load_rules(f"{tmp_path / 'five.py'}:connect_four"), most_positions=1000)


def test_connect_four_on_another_board_is_not_solved():
    with pytest.raises(UsageError, match="too many to enumerate"):
        open_oracle(load_rules("connect4:columns=8"), most_positions=1000)


def test_connect_four_s_oracle_agrees_with_a_full_search_of_endings(connect4):
    oracle, rng, seen = open_oracle(connect4), np.random.default_rng(0), {}
    for _ in range(60):
        moves = random_opening(connect4, int(rng.integers(32, 41)), rng).moves
        if len(moves) < 30:
            continue
        states, known = connect4.replay(moves)
        mover, legal = int(known.to_move[-1]), known.legal[-1]
        found = oracle.outcomes(moves)
        assert found.max() == best_value(connect4, states[-1:], mover, legal, seen)
        for action in legal.nonzero()[0]:
            assert found[action] == value_after(connect4, states[-1:], mover, action, seen)


# --- sets of positions -------------------------------------------------------------------------------------------


def test_positions_are_read_with_and_without_scores(tmp_path, connect4):
    path = tmp_path / "set"
    path.write_text("# a comment\n44 \n4,4,3 5\n\n12345671234567 -2\n")
    lines = list(position_set(path, connect4, _Answers({2: 0, 3: 1, 14: -1})).plies)
    assert lines == [2, 3, 14]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("448 1", '"8" is no move of connect4'),
        ("44 won", "line 1: expected moves and a score, found '44 won'"),
        ("44 1 2", "expected moves and a score"),
        ("4444444 1", "line 1: move 3 at ply 6 is not legal"),
        ("1212121 1", "the game is over there"),
        ("44 -3", "its score is -3, but answers finds the outcome 0"),
        ("", "no positions in it"),
        ("\x00\xff", "is no move of connect4"),
    ],
)
def test_what_is_no_position_is_refused_with_its_place(tmp_path, connect4, line, message):
    path = tmp_path / "set"
    path.write_text(line + "\n", encoding="latin-1")
    with pytest.raises(UsageError, match=message):
        position_set(path, connect4, _Answers({2: 0}))


class _Answers:
    """An oracle that knows outcomes by the number of plies."""

    name = "answers"

    def __init__(self, by_plies):
        self.by_plies = by_plies

    def outcomes(self, moves):
        return np.full(7, self.by_plies[len(moves)], np.int8)


@pytest.mark.parametrize("kind", ["random", "near-perfect"])
def test_drawn_positions_are_different_ongoing_and_a_function_of_the_seed(tictactoe, perfect, kind):
    first, again, other = (drawn_set(kind, tictactoe, perfect, count=60, seed=seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first.states, again.states)
    assert len(np.unique(first.states)) == 60
    assert first.states.tobytes() != other.states.tobytes()
    assert len(set(first.plies.tolist())) >= 5
    known = tictactoe.describe(first.states.copy())
    np.testing.assert_array_equal(known.legal, first.outcomes != UNPLAYABLE)


def test_near_perfect_play_keeps_the_balance_better_than_random_play(tictactoe, perfect):
    shares = {
        kind: (drawn_set(kind, tictactoe, perfect, count=200, seed=0).best == 0).mean()
        for kind in ("random", "near-perfect")
    }
    assert shares["near-perfect"] > shares["random"] + 0.2


# --- mistakes ----------------------------------------------------------------------------------------------------


class Knowing:
    """Judges by perfect play; or says the opposite of it."""

    def __init__(self, perfect, sign):
        self.perfect, self.sign = perfect, sign

    def evaluate(self, positions):
        outcomes = np.array([self.perfect._outcomes[key.tobytes()] for key in positions.keys])
        playable = np.where(positions.legal, self.sign * outcomes, -9)
        best = playable == playable.max(axis=1, keepdims=True)
        priors = best / best.sum(axis=1, keepdims=True)
        return Evaluation(priors.astype(np.float32), (self.sign * outcomes.max(axis=1)).astype(np.float32))


def test_perfect_play_makes_no_mistakes_and_its_opposite_all_there_are(tictactoe, perfect, positions):
    good, bad = (
        measure(SearchPlayer("x", tictactoe, Knowing(perfect, sign), simulations=1), tictactoe, positions,
                simulations=[0])
        for sign in (1, -1)
    )  # fmt: skip
    for row in good.mistakes:
        assert (row.share, row.value_error) == (0.0, 0.0)
        assert row.low == 0.0
        assert 0 < row.high < 0.6
    assert all(row.share == row.can_err > 0.2 for row in bad.mistakes if row.stage == "all")
    assert [row.stage for row in good.mistakes] == ["all", "beginning", "middle", "end"]
    assert sum(row.positions for row in good.mistakes[1:]) == good.mistakes[0].positions == 200
    assert all(each.value == each.outcome for each in good.calibration)
    assert [at.ply for at in bad.by_ply] == sorted(set(positions.plies.tolist()))
    assert sum(at.positions for at in bad.by_ply) == 200
    assert sum(at.mistakes for at in bad.by_ply) / 200 == bad.mistakes[0].share


def test_mistakes_by_ply_are_those_with_the_most_simulations(tictactoe, positions):
    player = SearchPlayer("x", tictactoe, HashEvaluator(), simulations=1)
    found = measure(player, tictactoe, positions, simulations=[0, 30, 2])
    (row,) = [row for row in found.mistakes if (row.stage, row.simulations) == ("all", 30)]
    assert sum(at.mistakes for at in found.by_ply) == round(200 * row.share) > 0
    errors = [at.value_error * at.positions for at in found.by_ply]
    assert sum(errors) / 200 == pytest.approx(row.value_error)
    openings = [at for at in found.by_ply if at.ply == 1]
    assert [at.positions for at in openings] == [int((positions.plies == 1).sum())]


def test_thinking_longer_makes_fewer_mistakes(tictactoe, positions):
    player = SearchPlayer("x", tictactoe, HashEvaluator(), simulations=1)
    rows = [
        row for row in measure(player, tictactoe, positions, simulations=[0, 30, 1000]).mistakes if row.stage == "all"
    ]
    assert rows[0].share > 0.3
    assert rows[0].share > rows[1].share > rows[2].share
    assert rows[2].share == 0.0
    assert rows[2].value_error < 0.01 < rows[0].value_error
    assert player.simulations == 1


def test_calibration_puts_values_beside_what_came_of_them():
    found = calibration(np.array([-1.0, -0.95, 0.5, 0.55, 1.0], np.float32), np.array([-1, 1, 1, 0, 1], np.int8))
    assert [(round(each.value, 3), each.outcome, each.positions) for each in found] == [
        (-0.975, 0.0, 2), (0.525, 0.5, 2), (1.0, 1.0, 1),
    ]  # fmt: skip


def test_a_picture_is_drawn_and_other_kinds_of_files_are_refused(tmp_path, tictactoe, positions):
    player = SearchPlayer("x", tictactoe, HashEvaluator(), simulations=1)
    few = PositionSet("few", positions.plies[:9], positions.states[:9], positions.outcomes[:9])
    verdicts = {"few": measure(player, tictactoe, few, simulations=[0, 2])}
    for name in ("a.svg", "b.svg", "c.png"):
        draw(verdicts, tmp_path / name, title="x")
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    assert (tmp_path / "c.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(UsageError, match="a picture ends in .svg or .png"):
        draw(verdicts, tmp_path / "x.txt", title="x")
    assert msgspec.json.encode(verdicts["few"].mistakes[0]._asdict())
