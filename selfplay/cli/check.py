"""`selfplay check`: do a game's rules keep the laws?"""

from __future__ import annotations

from dataclasses import asdict

import click
import msgspec

from selfplay.cli.options import as_json


@click.command("check", context_settings={"show_default": True})
@click.argument("game")
@click.option("--games", type=click.IntRange(min=1), default=200, help="Random games to play.")
@click.option("--seed", type=click.IntRange(min=0), default=0, help="Seed of the random play.")
@as_json
def command(game: str, games: int, seed: int, as_json: bool) -> None:
    """Check GAME (a name, or path/to/file.py:Class) on random play against every law of the game contract.

    The first broken law is named, with the position drawn, the moves that lead there, and the line where a rule
    failed. Exit code 0 = all laws hold.

    \b
    Example:
      selfplay check connect4
      selfplay check mygame.py:MyGame --games 1000
    """
    from rich.console import Console

    from selfplay.games.conformance import check_game
    from selfplay.games.playout_speed import playout_speed

    with Console(stderr=True).status("compiling and playing") as status:
        report = check_game(
            game,
            games=games,
            seed=seed,
            on_progress=lambda done: status.update(f"played {done}/{games} games"),
        )
        status.update("measuring how fast random games are")
        speed = playout_speed(game)
    if as_json:
        click.echo(msgspec.json.encode({**asdict(report), **speed._asdict()}).decode())
        return
    won, drawn, lost = (report.outcomes[key] for key in ("won", "drawn", "lost"))
    click.echo(f"{game}: all laws hold on {report.positions:,} positions of {report.games:,} random games")
    click.echo(
        f"{report.mean_plies:.1f} plies on average, {report.longest} at most; {report.mean_legal:.1f} legal actions; "
        f"the first player won {won:.0%}, drew {drawn:.0%}, lost {lost:.0%}; {report.symmetries} symmetries"
    )
    last = report.last_mover
    click.echo(f"who made the last ply won {last['won']:.0%} of the games and lost {last['lost']:.0%}")
    compiled = f"{speed.compiled:,.0f} compiled, " if speed.compiled else ""
    click.echo(f"random games per second on one core: {compiled}{speed.plain:,.0f} as plain Python")
    for note in report.notes:
        click.echo(f"note: {note}")
