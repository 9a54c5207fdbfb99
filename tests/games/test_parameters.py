"""Parameters in a game's name: checked, and part of what the game is."""

from pathlib import Path

import pytest

from selfplay.errors import GameError, UsageError
from selfplay.games.registry import game_info, known_games, parameters_of, resolve_spec

FAMILY = Path(__file__).parents[1] / "toys.py"


@pytest.mark.parametrize(
    ("spec", "resolved"),
    [
        ("connect4:rows=6", "connect4"),
        ("connect4:columns=8,rows=7", "connect4:rows=7,columns=8"),
        ("hex:swap=false,size=11", "hex:swap=false"),
        ("go:komi=6.5", "go:komi=6.5"),
        ("go:komi=7", "go:komi=7.0"),
        ("gomoku: size = 9 ", "gomoku:size=9"),
    ],
)
def test_a_game_has_one_name(spec, resolved):
    assert resolve_spec(spec) == resolved
    assert game_info(spec).name == resolved


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("hex:size=99", "hex: found size=99, expected `int` <= 19"),
        ("hex:size=big", "hex: found size=big, expected `int`, got `str`"),
        ("hex:sise=5", 'unknown parameter "sise" .did you mean "size"'),
        ("hex:size", "expected parameter=value; parameters are size, swap"),
        ("hex:size=5,size=6", '"size" is given twice'),
        ("othello:size=7", "found size=7, expected"),
        ("morris:size=3", "morris takes no parameters"),
    ],
)
def test_what_is_no_parameter_is_refused(spec, message):
    with pytest.raises(UsageError, match=message):
        resolve_spec(spec)


def test_other_parameters_are_other_rules():
    hashes = {
        game_info(spec).rules_hash for spec in ("go", "go:komi=6.5", "go:size=7", "gomoku", "gomoku:exactly=true")
    }
    assert len(hashes) == 5


def test_a_family_in_a_file_takes_parameters_too():
    info = game_info(f"{FAMILY}:pile_of:stones=5")
    assert info.name == "pile:stones=5"
    assert info.max_plies == 5
    assert game_info(f"{FAMILY}:pile_of").name == "pile"
    assert game_info(f"{FAMILY}:pile_of:stones=9").spec == f"{FAMILY}:pile_of", "the default is not told"
    with pytest.raises(UsageError, match="found stones=0, expected `int` >= 1"):
        game_info(f"{FAMILY}:pile_of:stones=0")
    with pytest.raises(UsageError, match="AgainGame takes no parameters"):
        game_info(f"{FAMILY}:AgainGame:stones=5")


def test_parameters_are_told():
    assert [parameter.name for parameter in parameters_of("connect4")] == ["rows", "columns", "connect"]
    assert parameters_of("morris") == []


PLUGIN = """
[selfplay.games]
pile = plugin_pile:pile_of
nothing = plugin_pile:STONES
broken = plugin_pile:is_not_there
"""


def test_an_installed_package_can_add_games(tmp_path, monkeypatch):
    (tmp_path / "plugin_pile.py").write_text(FAMILY.read_text() + "\nSTONES = 3\n")
    facts = tmp_path / "plugin_pile-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: plugin-pile\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text(PLUGIN)
    monkeypatch.syspath_prepend(tmp_path)
    assert "pile" in known_games()
    assert game_info("pile:stones=4").name == "pile:stones=4"
    with pytest.raises(GameError, match="nothing: plugin_pile:STONES is no subclass of Game"):
        game_info("nothing")
    with pytest.raises(GameError, match="broken, of plugin_pile:is_not_there: AttributeError"):
        game_info("broken")


def test_a_state_with_holes_is_refused(tmp_path):
    source = (Path(__file__).parents[2] / "selfplay" / "games" / "tictactoe.py").read_text()
    holes = 'State = np.dtype([("cells", np.int8, (9,)), ("n", np.int64), ("to_move", np.int8)], align=True)  #'
    (tmp_path / "holes.py").write_text(source.replace("State = ", holes, 1))
    with pytest.raises(GameError, match="bytes that belong to no field"):
        game_info(f"{tmp_path / 'holes.py'}:TicTacToe")
