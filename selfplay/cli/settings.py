"""`selfplay settings`: every setting with its meaning."""

from __future__ import annotations

import click


@click.command("settings")
@click.argument("game", default="connect4")
def command(game: str) -> None:
    """Print all settings for GAME, each under a comment with meaning, unit and range, as a TOML file to edit.

    \b
    Example:
      selfplay settings connect4 > my.toml
      selfplay train connect4 --config my.toml
    """
    from selfplay.config import from_tree, merged, to_toml
    from selfplay.coordinator.suggested import settings_for
    from selfplay.games.registry import resolve_spec

    name = resolve_spec(game)
    tree = merged(settings_for(name), {"game": {"name": name}})
    heading = f"Settings of selfplay for {name}; give them with --config FILE, or one by one with --set."
    click.echo(to_toml(from_tree(tree, where=name), heading=heading), nl=False)
