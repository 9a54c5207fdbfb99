"""Draws the games that come along, each after some random moves: docs/boards.svg.

python docs/boards.py
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from selfplay.games.random_play import random_game
from selfplay.games.registry import load_rules
from selfplay.web.picture import Marks, board_svg

SHOWN = {
    "go": 60,
    "gomoku": 40,
    "hex:size=7": 20,
    "chess": 30,
    "checkers": 30,
    "breakthrough:rows=6,columns=6": 20,
    "connect4": 14,
    "othello": 30,
    "morris": 25,
    "dots": 14,
}
SIDE, GAP, COLUMNS = 180, 16, 5
HERE = Path(__file__).parent
STYLE = HERE.parent / "selfplay" / "web" / "style.css"


def board(spec: str, plies: int, x: int, y: int) -> str:
    """A position of a random game, fitted into a square."""
    rules = load_rules(spec)
    moves = random_game(rules, np.random.default_rng(1))[:plies]
    states, _ = rules.replay(moves)
    shown = rules.board(states[-1], ())
    assert shown is not None, "every game shown has a board"
    name = spec.partition(":")[0]
    picture = board_svg(shown, Marks(), label=name)
    place = f'<svg x="{x}" y="{y + 14}" width="{SIDE}" height="{SIDE}" '
    return f'<text x="{x}" y="{y + 8}" class="title">{name}</text>' + picture.replace("<svg ", place, 1)


def main() -> None:
    """Write the picture."""
    rules = [line for line in STYLE.read_text().splitlines() if line.startswith((":root", "svg.board"))]
    style = re.sub(r"width: 100%; max-height: 80vh; height: auto; ", "", "".join(rules))
    places = [(GAP + (SIDE + GAP) * (i % COLUMNS), GAP + (SIDE + 2 * GAP) * (i // COLUMNS)) for i in range(len(SHOWN))]
    boards = [board(spec, plies, x, y) for (spec, plies), (x, y) in zip(SHOWN.items(), places, strict=True)]
    width, height = (SIDE + GAP) * COLUMNS + GAP, (SIDE + 2 * GAP) * -(-len(SHOWN) // COLUMNS) + GAP
    title = ".title { font: 12px system-ui, sans-serif; fill: #888; }"
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"><style>{style}{title}</style>'
    (HERE / "boards.svg").write_text(head + "".join(boards) + "</svg>\n")


if __name__ == "__main__":
    main()
