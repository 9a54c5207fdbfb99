"""`selfplay new-game`: where a game of one's own begins."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("new-game", context_settings={"show_default": True})
@click.argument("name")
@click.option("--folder", type=click.Path(path_type=Path, file_okay=False), default=".", help="Where to write.")
def command(name: str, folder: Path) -> None:
    """Write NAME.py, a small game that works, commented throughout, and test_NAME.py: to be changed into your own.

    \b
    Example:
      selfplay new-game my_game
      selfplay check my_game.py:MyGame
    """
    from selfplay.files import ensure_directory
    from selfplay.games.templates import write_new_game

    ensure_directory(folder)
    game, test = write_new_game(name, folder)
    spec = f"{game}:{''.join(part.capitalize() for part in game.stem.split('_'))}"
    click.echo(f"{game} is three in a row on four by four cells; change it into your game")
    click.echo(f"{test} says what is known of it: pytest {test}")
    click.echo(f"does it keep the laws?  selfplay check {spec}")
    click.echo(f"train an agent:         selfplay train {spec} --model {game.stem}.pt --data {game.stem}_data")
