"""What the documents say can be done, can be done."""

import re
from pathlib import Path

import pytest

from selfplay.cli.main import COMMANDS
from selfplay.config import Settings, to_tree
from selfplay.errors import LawBroken
from selfplay.games.conformance import check_game

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / name for name in ("README.md", "PARALLEL_TRAINING.md", "TRAINING_GUIDE.md", "data/README.md")]


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


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_commands_settings_and_links_exist(document):
    text = document.read_text()
    for command in re.findall(r"(?:^|`|bin/)selfplay ([a-z]+)\b", text, re.MULTILINE):
        assert command in COMMANDS, command
    tree = to_tree(Settings())
    for group, field in re.findall(r"--set ([a-z]+)\.([a-z_]+)=", text):
        assert field in tree[group], f"{group}.{field}"
    for link in re.findall(r"\]\(([^)#]+)[^)]*\)", text):
        assert (document.parent / link).exists(), link
    for script in re.findall(r"\./(scripts/\w+\.sh)|(benchmarks/\w+\.py)", text):
        assert (ROOT / "".join(script)).exists(), script
