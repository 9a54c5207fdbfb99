"""`selfplay games`: what can be trained."""

from __future__ import annotations

from typing import Any

import click
import msgspec

from selfplay.cli.options import as_json


@click.command("games")
@as_json
def command(as_json: bool) -> None:
    """List the games that come along.

    \b
    Example:
      selfplay games
    """
    from selfplay.games.registry import BUILT_IN, load_class

    games: list[dict[str, Any]] = []
    for name in BUILT_IN:
        game = load_class(name)
        games.append(
            {
                "name": name,
                "about": (game.__doc__ or "").strip().splitlines()[0],
                "board": list(game.board_shape),
                "actions": game.num_actions,
                "max_plies": game.max_plies,
            }
        )
    if as_json:
        click.echo(msgspec.json.encode(games).decode())
        return
    for facts in games:
        board = " × ".join(map(str, facts["board"]))
        click.echo(f"{facts['name']:<12} {board}, {facts['actions']} actions. {facts['about']}")
    click.echo("Your own: path/to/file.py:Class, see TRAINING_GUIDE.md")
