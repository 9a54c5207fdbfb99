"""`selfplay play`: against a model, in the terminal."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import click

from selfplay.cli.keys import Keys
from selfplay.cli.options import MODEL_PATH, MOVES, from_record, moves_given
from selfplay.cli.serving import serve_pages, serving
from selfplay.web.server import Address, require

_LEFT, _RIGHT = ("\x1b[D", "\x1bOD"), ("\x1b[C", "\x1bOC")
_WAIT_SECONDS = 3600.0
_ENTER, _BACKSPACE, _END = ("\r", "\n"), ("\x7f", "\b"), ("\x04", "\x1b")


@click.command("play", context_settings={"show_default": True})
@click.argument("model", type=MODEL_PATH, default="model.pt")
@click.option("--simulations", type=click.IntRange(min=1), default=200, help="How hard the agent thinks.")
@click.option("--game", help="Where the game's file lies now, if it was moved: path/to/file.py:Class.")
@click.option("--moves", type=MOVES, default="", help="Begin after these moves: 4,4,3")
@from_record
@click.option("--second", is_flag=True, help="Let the agent begin.")
@click.option("--watch", is_flag=True, help="Let the agent play both sides.")
@serving
def command(
    model: Path,
    simulations: int,
    moves: list[str],
    second: bool,
    watch: bool,
    web: Address | None,
    **options: Any,
) -> None:
    """Play against MODEL. Choose a move with the arrow keys, or type it; Enter plays it.

    The agent shows what it thinks of its moves; type hint, undo or quit at any time. With --web, on a board in the
    browser: the printed link holds the other options, and they can be changed on the page.

    \b
    Example:
      selfplay play model.pt --simulations 400
      selfplay play model.pt --moves 4,4,3 --watch
      selfplay play model.pt --web
      selfplay play chess.pt --record game.pgn --ply 20
    """
    from selfplay.play.agent import load_agent

    agent = load_agent(model, game=options["game"])  # what is wrong with the model is said here, and not in the browser
    moves = moves_given(agent.rules, moves, options["record"], options["ply"])
    if web is not None:
        side = "none" if watch else "second" if second else "first"
        query = {"moves": ",".join(moves), "side": side, "simulations": simulations}
        _serve(model, web, game=options["game"], begin=f"/?{urlencode(query, safe=',')}")
        return
    from selfplay.play.session import Session
    from selfplay.play.terminal import play_in_terminal

    human = None if watch else int(second)
    session = Session(agent, human=human, simulations=simulations, moves=moves)
    click.echo(f"{agent.rules.info.name}, {agent.name}, {simulations} simulations per move")
    play_in_terminal(session, ask=_ask_with_keys if sys.stdin.isatty() else _ask, say=click.echo)


def _serve(model: Path, address: Address, *, game: str | None, begin: str) -> None:
    require()
    from selfplay.play.models import Agents, ModelFile
    from selfplay.play.web import add_board

    agents = Agents(ModelFile(model), game=game)
    add_board(agents, (("Play", "/"),), path="/")
    serve_pages(address, begin=begin)


def _ask(prompt: str, names: list[str]) -> str:
    return str(click.prompt(prompt, prompt_suffix="", default="", show_default=False))


def _ask_with_keys(prompt: str, names: list[str]) -> str:
    """Arrows go through the moves, other keys type; Enter takes what stands there."""
    text, place = "", -1
    with Keys() as keys:
        while True:
            click.echo(f"\r\x1b[K{prompt}{text}", nl=False)
            for key in re.findall(r"\x1b[\[O][A-Z]|[\s\S]", keys.pressed(_WAIT_SECONDS)):
                if key in _ENTER or key in _END:
                    click.echo()
                    return text if key in _ENTER else "quit"
                if key in _LEFT or key in _RIGHT:
                    step = 1 if key in _RIGHT else -1
                    place = (place + step) % len(names) if place >= 0 or step > 0 else len(names) - 1
                    text = names[place]
                elif key in _BACKSPACE:
                    text = text[:-1]
                elif key.isprintable():
                    text += key
