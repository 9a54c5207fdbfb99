"""What the documents say can be done, can be done."""

import re
from pathlib import Path

import pytest

from selfplay.cli.main import COMMANDS
from selfplay.config import to_toml, to_tree
from selfplay.errors import LawBroken
from selfplay.games.conformance import check_game
from selfplay.games.registry import load_rules
from selfplay.monitor.metrics import metrics_text, of_run
from selfplay.monitor.snapshot import Reader
from selfplay.rundir.layout import RunLayout
from selfplay.settings import Settings

ROOT = Path(__file__).parents[1]
DOCUMENTS = [
    ROOT / name
    for name in ("README.md", "PARALLEL_TRAINING.md", "TRAINING_GUIDE.md", "data/README.md", "docs/performance.md")
]


def pile(tmp_path, old="", new=""):
    """The example game of the guide, as a file."""
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "TRAINING_GUIDE.md").read_text(), re.DOTALL)
    source = next(block for block in blocks if "class Pile" in block)
    assert old in source
    path = tmp_path / "pile.py"
    path.write_text(source.replace(old, new))
    return f"{path}:Pile"


def test_the_game_of_the_guide_keeps_the_laws(tmp_path):
    assert check_game(pile(tmp_path), games=50).longest <= 12


def test_the_mistake_of_the_guide_is_found_as_it_says(tmp_path):
    with pytest.raises(LawBroken, match="not over after 4 plies, but max_plies is 4"):
        check_game(pile(tmp_path, "3, 1, STONES\n", "3, 1, 4\n"))


def test_the_board_of_the_guide_is_drawn_and_clicked(tmp_path):
    rules = load_rules(pile(tmp_path))
    states, _ = rules.replay([1])
    shown = rules.board(states[-1], [0, 2])
    assert shown.rows == ("XXXXXXXXXX..",)
    assert shown.cells == {0: ((0, 9),), 2: ((0, 7),)}
    assert rules.draw(states[-1]) == "X X X X X X X X X X . ."


def test_every_metric_is_documented(tmp_path, small_settings):
    RunLayout(tmp_path).settings.write_text(to_toml(small_settings, heading="test"))
    text = metrics_text(Reader(tmp_path).look()).decode()
    served = set(re.findall(r"^# TYPE (\w+)", text, re.MULTILINE))
    told = set(re.findall(r"`(selfplay_\w+)", (ROOT / "PARALLEL_TRAINING.md").read_text()))
    assert served <= told
    snapshot_only = {name for name in told if name not in served}
    assert snapshot_only == {name for name in of_run(Reader(tmp_path).look()) if name not in served}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_commands_settings_and_links_exist(document):
    text = document.read_text()
    for command in re.findall(r"(?:^|`|bin/)selfplay ([a-z-]+)\b", text, re.MULTILINE):
        assert command in COMMANDS, command
    tree = to_tree(Settings())
    for group, field in re.findall(r"--set ([a-z]+)\.([a-z_]+)=", text):
        assert field in tree[group], f"{group}.{field}"
    for link in re.findall(r"\]\(([^)#]+)[^)]*\)", text):
        assert (document.parent / link).exists(), link
    for script in re.findall(r"\./(scripts/\w+\.sh)|(benchmarks/\w+\.py)", text):
        assert (ROOT / "".join(script)).exists(), script
