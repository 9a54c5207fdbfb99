"""Every law finds its own kind of broken game."""

from pathlib import Path

import pytest

from selfplay.errors import GameError, LawBroken
from selfplay.games.conformance import check_game
from selfplay.games.registry import load_rules

SOUND = (Path(__file__).parents[2] / "selfplay" / "games" / "tictactoe.py").read_text()


@pytest.mark.parametrize("fixture", ["tictactoe", "connect4", "again", "objects"])
def test_sound_games_keep_all_laws(request, fixture):
    report = check_game(request.getfixturevalue(fixture).info.spec, games=40)
    assert report.games == 40
    assert sum(report.outcomes.values()) == pytest.approx(1)


@pytest.mark.parametrize(
    ("law", "old", "new"),
    [
        ("start", "state.to_move = 0", "state.to_move = 1"),
        ("legal", "mask[cell] = state.cells[cell] == 0", "mask[cell] = False"),
        ("legal", "mask[cell] = state.cells[cell] == 0", "mask[cell] = True; state.cells[8] = 1"),
        ("play", "return DRAW", "return 7"),
        ("play", "state.to_move = 1 - state.to_move", "state.to_move += 1"),
        ("end", '"tictactoe", (3, 3), 9, 2, 9', '"tictactoe", (3, 3), 9, 2, 6'),
        ("end", "mask[cell] = state.cells[cell] == 0", "mask[cell] = True"),
        ("encode", "= 1.0", "= np.nan"),
        ("encode", "= 1.0", "= 1.0; state.cells[cell] = 0"),
        ("symmetries", "planes[plane, cell // 3, cell % 3]", "planes[plane, cell // 3, (cell + 1) % 3]"),
        ("symmetries", "[0, 4, 8], [2, 4, 6]", "[0, 4, 8], [2, 4, 7]"),
        ("drawing", "str(action + 1)", "str(action // 2)"),
        ("drawing", 'return "\\n---', 'raise ValueError("no picture")\n        return "\\n---'),
        (
            "drawing",
            "state.cells[row : row + 3]) for row in (0, 3, 6)]",
            "state.cells[row : row + 3]) for row in (0, 3, 7)]",
        ),
        (
            "drawing",
            "    def pieces(state):",
            "    def cells(state, action):\n        return [(3, 0)]\n\n    def pieces(state):",
        ),
        ("play", "stone = state.to_move + 1", "stone = state.to_move + 1; state.cells[action + 8] = stone"),
    ],
)
def test_a_broken_law_is_named_with_position_and_moves(tmp_path, law, old, new):
    assert old in SOUND
    path = tmp_path / "broken.py"
    path.write_text(SOUND.replace(old, new, 1))
    with pytest.raises(LawBroken) as caught:
        check_game(f"{path}:TicTacToe", games=30)
    assert caught.value.law == law, str(caught.value)
    assert f'law "{law}" is broken' in str(caught.value)


def test_who_never_moves_is_found(tmp_path):
    path = tmp_path / "broken.py"
    path.write_text(SOUND.replace("state.to_move = 1 - state.to_move", "state.to_move = 0", 1))
    with pytest.raises(LawBroken, match="player 2 never gets to move") as caught:
        check_game(f"{path}:TicTacToe", games=40)
    assert caught.value.law == "turns"


def test_an_outcome_seen_from_the_wrong_side_is_found_with_a_position(tmp_path):
    """WIN for the first player and LOSS for the second, instead of WIN for whoever moved."""
    path = tmp_path / "broken.py"
    path.write_text(SOUND.replace("return WIN", "return WIN if stone == 1 else -1", 1))
    with pytest.raises(LawBroken, match="player 1 won all .* decided games, also those in which player 2") as caught:
        check_game(f"{path}:TicTacToe", games=60)
    assert caught.value.law == "turns"
    assert "moves that lead here" in str(caught.value)


def test_a_state_that_leaks_history_is_noted(tmp_path):
    path = tmp_path / "leaks.py"
    source = SOUND.replace('("to_move", np.int8)])', '("last", np.int8), ("to_move", np.int8)])', 1)
    path.write_text(source.replace("stone = state.to_move + 1", "stone = state.to_move + 1; state.last = action", 1))
    (note,) = check_game(f"{path}:TicTacToe", games=100).notes
    assert "differ in their state" in note


def test_an_exception_in_a_rule_names_its_line(tmp_path):
    path = tmp_path / "broken.py"
    path.write_text(SOUND.replace('return "\\n---', 'raise ValueError("no picture")\n        return "\\n---', 1))
    line = path.read_text().splitlines().index('        raise ValueError("no picture")') + 1
    with pytest.raises(LawBroken, match=rf"ValueError: no picture \(.*broken.py, line {line}\)"):
        check_game(f"{path}:TicTacToe", games=1)


def test_hidden_memory_is_found(tmp_path):
    text = (Path(__file__).parents[1] / "toys.py").read_text()
    text = text.replace(
        "stone = self.to_move(state) + 1",
        "stone = self.to_move(state) + 1; self.count = getattr(self, 'count', 0) + 1",
        1,
    )
    text = text.replace(
        "return after, DRAW if all(after) else ONGOING",
        "return after, DRAW if all(after) or self.count % 97 == 0 else ONGOING",
    )
    path = tmp_path / "memory.py"
    path.write_text(text)
    with pytest.raises(LawBroken) as caught:
        check_game(f"{path}:TicTacToeObjects", games=60)
    assert caught.value.law in ("memory", "symmetries")


def test_compiled_code_that_is_not_the_rules_is_found(tmp_path):
    """Rules are loaded once per process: a file that is edited meanwhile differs from what was compiled."""
    path = tmp_path / "edited.py"
    path.write_text(SOUND)
    load_rules(f"{path}:TicTacToe")
    path.write_text(SOUND.replace("return DRAW", "return WIN", 1))
    with pytest.raises(LawBroken, match='law "compiled" is broken: after the last move the compiled rules and plain'):
        check_game(f"{path}:TicTacToe", games=30)


def test_an_index_outside_of_an_array_never_reaches_compiled_code(tmp_path):
    path = tmp_path / "outside.py"
    path.write_text(SOUND.replace("state.cells[action] = stone", "state.cells[action + 5] = stone", 1))
    with pytest.raises(LawBroken, match=r"IndexError: .* \(.*outside.py, line \d+\)"):
        check_game(f"{path}:TicTacToe", games=5)


def test_unknown_games_are_refused():
    with pytest.raises(GameError, match="is not a game in that file"):
        check_game(f"{Path(__file__)}:Nothing")
