"""What `selfplay new-game` writes works as it stands."""

import subprocess
import sys
from pathlib import Path

import pytest

from selfplay.errors import UsageError
from selfplay.games.conformance import check_game
from selfplay.games.templates import write_new_game


@pytest.mark.parametrize(
    ("name", "file", "spec"),
    [
        ("my_game", "my_game.py", "MyGame"),
        ("MyGame", "my_game.py", "MyGame"),
        ("four", "four.py", "Four"),
        ("Six Up", "six_up.py", "SixUp"),
    ],
)
def test_names_make_files_and_classes(tmp_path, name, file, spec):
    game, test = write_new_game(name, tmp_path)
    assert game.name == file
    assert test.name == f"test_{file}"
    assert f"class {spec}(Game)" in game.read_text()


def test_the_game_keeps_all_laws_and_its_test_passes(tmp_path):
    game, test = write_new_game("my_game", tmp_path)
    report = check_game(f"{game}:MyGame", games=40)
    assert report.symmetries == 8
    assert not report.notes
    done = subprocess.run([sys.executable, "-m", "pytest", "-q", test], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    assert "3 passed" in done.stdout


def test_rules_fit_into_forty_lines():
    """The promise of the README, counted without comments, docstrings and what people only look at."""
    source = (Path(__file__).parents[2] / "selfplay" / "games" / "templates" / "game.py.txt").read_text()
    rules = source[source.index("class $name") : source.index("# For people")].splitlines()
    code = [line for line in rules if line.strip() and not line.strip().startswith(("#", '"""'))]
    assert len(code) <= 40


def test_nothing_is_written_over(tmp_path):
    write_new_game("mine", tmp_path)
    with pytest.raises(UsageError, match=r"mine.py is there already"):
        write_new_game("mine", tmp_path)


@pytest.mark.parametrize("name", ["", "7up", "!", "class"])
def test_what_makes_no_name_is_refused(tmp_path, name):
    with pytest.raises(UsageError, match="makes no name of a game"):
        write_new_game(name, tmp_path)
    assert not list(tmp_path.iterdir())
