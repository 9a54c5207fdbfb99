"""`selfplay games`: what can be trained."""

from __future__ import annotations

from typing import Any

import click

from selfplay.cli.options import as_json


@click.command("games")
@as_json
def command(as_json: bool) -> None:
    """List the games that come along, with their parameters, those of installed packages, and OpenSpiel's.

    \b
    Example:
      selfplay games
      selfplay train hex:size=5,swap=false
    """
    import msgspec

    from selfplay.games.openspiel import overview

    games, theirs = _our_games(), overview()
    if as_json:
        click.echo(msgspec.json.encode({"games": games, "openspiel": theirs}).decode())
        return
    for facts in games:
        board = " × ".join(map(str, facts["board"]))
        click.echo(f"{facts['name']:<12} {board}, {facts['actions']} actions. {facts['about']}")
        for parameter in facts["parameters"]:
            assignment = f"{facts['name']}:{parameter['name']}={_shown(parameter['default'])}"
            click.echo(f"{'':<15}{assignment}   {parameter['about']}")
    click.echo("\nYour own: path/to/file.py:Class; `selfplay new-game NAME` writes one to begin with")
    if not theirs:
        click.echo("OpenSpiel's: openspiel:NAME, once it is installed: pip install 'selfplay[openspiel]'")
        return
    click.echo(f"OpenSpiel's, by its own rules, slower: openspiel:NAME for {', '.join(theirs[''])}")
    click.echo("its others cannot be trained here:")
    for reason, names in theirs.items():
        if reason:
            click.echo(f"  {reason}: {', '.join(names)}")


def _shown(value: Any) -> str:
    """A default as one would type it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _our_games() -> list[dict[str, Any]]:
    """Facts of each game, with its default parameters."""
    from selfplay.games.registry import known_games, load_class, parameters_of

    found = []
    for name in known_games():
        game = load_class(name)
        found.append(
            {
                "name": name,
                "about": (game.__doc__ or "").strip().splitlines()[0],
                "board": list(game.board_shape),
                "actions": game.num_actions,
                "max_plies": game.max_plies,
                "parameters": [
                    {"name": parameter.name, "default": parameter.default, "about": parameter.about}
                    for parameter in parameters_of(name)
                ],
            }
        )
    return found
