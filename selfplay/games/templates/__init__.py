"""What a new game begins as: a class that works, commented, and a test of it."""

from __future__ import annotations

import keyword
import re
from importlib import resources
from pathlib import Path
from string import Template

from selfplay.errors import UsageError
from selfplay.files import write_atomically


def write_new_game(name: str, folder: Path) -> tuple[Path, Path]:
    """Write NAME.py and test_NAME.py into a folder; raises `UsageError` where the name does not do or one is there."""
    lower = re.sub(r"\W+", "_", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name.strip())).strip("_").lower()
    if not re.fullmatch(r"[a-z][a-z0-9_]*", lower) or keyword.iskeyword(lower):
        raise UsageError(f'"{name}" makes no name of a game: expected letters, digits and _, for example "my_game"')
    game, test = folder / f"{lower}.py", folder / f"test_{lower}.py"
    for path in (game, test):
        if path.exists():
            raise UsageError(f"{path} is there already; give another name, or move it away")
    words = {
        "title": lower.replace("_", " ").capitalize(),
        "name": "".join(part.capitalize() for part in lower.split("_")),
        "lower": lower,
        "file": game.name,
        "test": test.name,
    }
    for path, template in ((game, "game.py.txt"), (test, "test.py.txt")):
        text = (resources.files(__name__) / template).read_text("utf-8")
        write_atomically(path, Template(text).substitute(words).encode())
    return game, test
