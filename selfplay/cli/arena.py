"""`selfplay arena`: a match."""

from __future__ import annotations

import click
import msgspec

from selfplay.cli.options import as_json


@click.command("arena", context_settings={"show_default": True})
@click.argument("a")
@click.argument("b")
@click.option("--game", help="The game, where neither A nor B is a model.")
@click.option("--games", type=click.IntRange(min=2), default=100, help="Games, an even number: both colours.")
@click.option("--simulations", type=click.IntRange(min=1), help="Visits per move.  [default: as trained]")
@click.option("--seed", type=click.IntRange(min=0), default=0, help="Seed of openings and random players.")
@as_json
def command(a: str, b: str, game: str | None, games: int, simulations: int | None, seed: int, as_json: bool) -> None:
    """A match between A and B: model files or baselines (random, rollout:100 = 100 simulations by random play).

    Openings of two random plies, each played with both colours; no noise. The score counts a draw as half a point
    and comes with a 95 % interval.

    \b
    Example:
      selfplay arena model.pt random --games 100
      selfplay arena data/models/round_0010.pt data/models/round_0005.pt --simulations 64
    """
    from rich.console import Console

    from selfplay.arena.match import play_match
    from selfplay.arena.player import card_of, open_player
    from selfplay.errors import UsageError
    from selfplay.games.registry import load_rules

    cards = [card for card in (card_of(a), card_of(b)) if card is not None]
    spec = game or (cards[0].spec if cards else None)
    if spec is None:
        raise UsageError("neither A nor B is a model; say which game: --game connect4")
    rules = load_rules(spec)
    players = [open_player(name, rules, simulations=simulations, seed=seed) for name in (a, b)]
    with Console(stderr=True).status("playing") as status:
        result = play_match(
            rules,
            *players,
            games=games,
            seed=seed,
            on_progress=lambda done: status.update(f"playing: {done}/{games} games finished"),
        )
    if as_json:
        low, high = result.interval
        facts = {
            "a": result.a,
            "b": result.b,
            "games": result.games,
            "wins": result.wins,
            "draws": result.draws,
            "losses": result.losses,
            "score": result.score,
            "low": low,
            "high": high,
        }
        click.echo(msgspec.json.encode(facts).decode())
    else:
        click.echo(str(result))
