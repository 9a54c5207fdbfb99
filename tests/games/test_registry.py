from pathlib import Path

import pytest

from selfplay.errors import GameError, UsageError
from selfplay.games.registry import load_rules, resolve_spec, rules_files


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("conect4", 'unknown game "conect4" .did you mean "connect4"'),
        ("tictactoe:rows=9", "tictactoe takes no parameters"),
        ("nowhere/mygame.py:Game", "nowhere/mygame.py: no such file"),
    ],
)
def test_unknown_games_are_named(spec, message):
    with pytest.raises(UsageError, match=message):
        resolve_spec(spec)


def game_file(tmp_path, text):
    path = tmp_path / "mygame.py"
    path.write_text(text)
    return path


def test_a_class_that_is_not_there_offers_the_nearest(tmp_path):
    path = game_file(tmp_path, "from selfplay.games.game import Game\nclass MyGame(Game): pass\n")
    with pytest.raises(GameError, match="'MyGme' is not a game.*did you mean \"MyGame\""):
        load_rules(f"{path}:MyGme")


def test_a_file_that_fails_names_the_line(tmp_path):
    path = game_file(tmp_path, "x = 1\ny = x / 0\n")
    with pytest.raises(GameError, match="mygame.py, line 2: ZeroDivisionError"):
        load_rules(f"{path}:MyGame")


def test_missing_declarations_are_listed(tmp_path):
    path = game_file(
        tmp_path,
        "from selfplay.games.game import Game\nclass MyGame(Game):\n    name = 'mine'\n    def start(state): pass\n",
    )
    with pytest.raises(GameError, match="does not define board_shape, num_actions, .*State, legal, play, encode"):
        load_rules(f"{path}:MyGame")


def test_rules_hash_ignores_the_encoding_and_encoding_hash_does_not(tmp_path):
    text = """
import numpy as np
from selfplay.games.game import Game, WIN
class Mine(Game):
    name, board_shape, num_actions, num_planes, max_plies = "mine", (1, 1), 1, 1, 1
    State = np.dtype([("to_move", np.int8)])
    def start(state): state.to_move = 0
    def legal(state, mask): mask[0] = True
    def play(state, action): return WIN
    def encode(state, planes): planes[0, 0, 0] = {value}
"""
    infos = []
    for value in (0.0, 1.0):
        path = tmp_path / f"{value}.py"
        path.write_text(text.format(value=value))
        infos.append(load_rules(f"{path}:Mine").info)
    assert infos[0].rules_hash == infos[1].rules_hash
    assert infos[0].encoding_hash != infos[1].encoding_hash


def test_a_game_of_ones_own_has_a_file_whose_rules_are_the_same_anywhere(again, tmp_path):
    (path,) = rules_files(again.info.spec)
    (tmp_path / "toys.py").write_text(Path(path).read_text())
    assert again.info.spec.startswith(path)
    assert load_rules(f"{tmp_path}/toys.py:AgainGame").info.rules_hash == again.info.rules_hash
    assert rules_files("hex:size=5") == []
