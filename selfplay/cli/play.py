"""`selfplay play`: against a model, in the terminal."""

from __future__ import annotations

from pathlib import Path

import click

from selfplay.cli.options import MODEL_PATH


@click.command("play", context_settings={"show_default": True})
@click.argument("model", type=MODEL_PATH, default="model.pt")
@click.option("--simulations", type=click.IntRange(min=1), default=200, help="How hard the agent thinks.")
@click.option("--game", help="Where the game's file lies now, if it was moved: path/to/file.py:Class.")
@click.option("--second", is_flag=True, help="Let the agent begin.")
def command(model: Path, simulations: int, game: str | None, second: bool) -> None:
    """Play against MODEL. The agent shows what it thinks of its moves; type hint, undo or quit at any time.

    \b
    Example:
      selfplay play model.pt --simulations 400
    """
    from selfplay.arena.player import card_of, open_model
    from selfplay.games.registry import load_rules
    from selfplay.play.session import Session
    from selfplay.play.terminal import play_in_terminal

    card = card_of(str(model))
    assert card is not None
    rules = load_rules(game or card.spec)
    session = Session(rules, open_model(model, rules, simulations=simulations), human=1 if second else 0)
    click.echo(f"{card.game}, {model}, round {card.round}, {simulations} simulations per move")
    play_in_terminal(session, rules, ask=_ask, say=click.echo)


def _ask(prompt: str) -> str:
    return str(click.prompt(prompt, prompt_suffix="", default="", show_default=False))
