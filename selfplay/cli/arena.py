"""`selfplay arena`: matches, ratings, sequential tests."""

from __future__ import annotations

import tempfile
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from selfplay.cli.options import Workers, as_json, or_cores

if TYPE_CHECKING:
    from selfplay.arena.contest import Contest
    from selfplay.arena.match import MatchResult
    from selfplay.arena.ratings import Rating
    from selfplay.arena.sprt import Verdict


@click.command("arena", context_settings={"show_default": True})
@click.argument("players", nargs=-1, required=True, metavar="A B [C ...]")
@click.option("--game", help="The game, where no player is a model.")
@click.option("--games", type=click.IntRange(min=2), default=100, help="Games of each match, an even number.")
@click.option("--simulations", type=click.IntRange(min=1), help="Visits per move.  [default: as trained]")
@click.option("--seed", type=click.IntRange(min=0), default=0, help="Seed of openings and of players with chance.")
@click.option("--workers", type=Workers(), default="auto", help="Processes that play; results do not depend on it.")
@click.option(
    "--sprt",
    type=(float, float),
    metavar="ELO0 ELO1",
    help="Stop as soon as the games say whether A is ELO1 above B rather than ELO0; at --games at the latest.",
)
@as_json
def command(players: tuple[str, ...], **options: Any) -> None:
    """Matches between players: model files or baselines. Of more than two, everybody meets everybody.

    Baselines: random; rollout:N, tree search with N simulations by random play; alphabeta:N, N plies ahead; perfect,
    where the game is solved (Connect Four: pip install bitbully). Each game begins with a few random plies, and each
    such opening is played with both colours; models play without noise. A score counts a draw as half a point; ratings
    are a Bradley-Terry fit. All come with 95 % intervals.

    \b
    Example:
      selfplay arena model.pt random --games 100
      selfplay arena data/models/round_0010.pt data/models/round_0005.pt --simulations 64
      selfplay arena model.pt alphabeta:4 alphabeta:8 rollout:1000 perfect
      selfplay arena new.pt old.pt --games 4000 --sprt 0 30
    """
    from rich.console import Console

    from selfplay.arena.match import count_results
    from selfplay.arena.ratings import Score, ratings

    contest, game = _contest(players, options)
    with Console(stderr=True).status("playing") as status:
        results, verdict = _play(contest, game, options, show=lambda text: status.update(f"playing: {text}"))
    matches = [
        count_results(pairing.a.name, pairing.b.name, points)
        for place, pairing in enumerate(contest.pairings)
        if (points := contest.results_of(place, results))
    ]
    rated = ratings(Score(match.a, match.b, match.score * match.games, match.games) for match in matches)
    if options["as_json"]:
        click.echo(msgspec.json.encode(_as_json(matches, rated, verdict)).decode())
    else:
        _print(matches, rated, verdict)


def _contest(players: tuple[str, ...], options: dict[str, Any]) -> tuple[Contest, str]:
    """What is to be played, and the game's spec. Raises `UsageError` or `ModelError` for players that cannot."""
    from selfplay.arena.contest import Contest, Entrant, Pairing
    from selfplay.arena.match import check_games
    from selfplay.arena.player import card_of, open_player
    from selfplay.errors import UsageError
    from selfplay.games.registry import load_rules, resolve_spec

    check_games(options["games"])
    low, high = options["sprt"] or (0.0, 1.0)
    if len(players) < 2:
        raise UsageError(f"a match needs two players, found {players[0]} alone; for example random")
    if not low < high:
        raise UsageError(f"--sprt {low:g} {high:g}: the first must be below the second, for example --sprt 0 30")
    if options["sprt"] and len(players) > 2:
        raise UsageError(f"--sprt tests A against B, found {len(players)} players")
    cards = [card for card in map(card_of, players) if card is not None]
    spec = options["game"] or (cards[0].spec if cards else None)
    if spec is None:
        raise UsageError("no player is a model; say which game: --game connect4")
    rules = load_rules(spec)
    entrants = []
    for number, player in enumerate(players):  # opened here, so that what is wrong with one is said before any play
        name = open_player(player, rules, simulations=options["simulations"]).name
        twice = sum(player == other for other in players[:number])
        entrants.append(Entrant(name=f"{name} ({twice + 1})" if twice else name, spec=player))
    contest = Contest(
        pairings=tuple(Pairing(a=a, b=b) for a, b in combinations(entrants, 2)),
        games=options["games"],
        simulations=options["simulations"] or 0,
        seed=options["seed"],
    )
    return contest, resolve_spec(spec)


def _play(contest: Contest, game: str, options: dict[str, Any], *, show: Any) -> tuple[dict[int, Any], Verdict | None]:
    """The results of items, and where a sequential test stands; games behind the one that decides it are left out."""
    from selfplay.arena.sprt import sprt
    from selfplay.coordinator.tournament import play_contest
    from selfplay.engines.inline import InlineEngine
    from selfplay.engines.local import LocalEngine

    verdict: Verdict | None = None
    results: dict[int, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        logs = Path(folder)
        workers = or_cores(options["workers"])
        engine = InlineEngine() if workers == 1 else LocalEngine(logs)
        contested = play_contest(
            contest,
            engine,
            game=game,
            workers=workers,
            log_of=lambda name: logs / f"{name}.log",
        )
        for results in contested:
            show(f"{len(results)}/{contest.items} games finished")
            if options["sprt"]:
                low, high = options["sprt"]
                in_order = _first_ones(results)
                verdict = sprt(in_order, low=low, high=high)
                if verdict.decision:
                    contested.close()
                    return dict(enumerate(in_order[: verdict.games])), verdict
    return results, verdict


def _first_ones(results: dict[int, Any]) -> list[int]:
    """The results up to the first game that is not finished yet."""
    found: list[int] = []
    while len(found) in results:
        found.append(results[len(found)])
    return found


def _as_json(matches: list[MatchResult], rated: list[Rating], verdict: Verdict | None) -> dict[str, Any]:
    facts = [
        {
            "a": match.a,
            "b": match.b,
            "games": match.games,
            "wins": match.wins,
            "draws": match.draws,
            "losses": match.losses,
            "score": match.score,
            "low": match.interval[0],
            "high": match.interval[1],
        }
        for match in matches
    ]
    found: dict[str, Any] = {**facts[0], "matches": facts, "ratings": [rating._asdict() for rating in rated]}
    if verdict is not None:
        found["sprt"] = {**verdict._asdict(), "decision": verdict.decision}
    return found


def _print(matches: list[MatchResult], rated: list[Rating], verdict: Verdict | None) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    for match in matches:
        click.echo(str(match))
    if verdict is not None:
        decision = f"A is {verdict.decision}" if verdict.decision else "no decision, more games are needed"
        figures = f"log likelihood ratio {verdict.ratio:.2f}, bounds ±{verdict.bound:.2f}"
        click.echo(f"after {verdict.games} games: {decision} ({figures})")
    if len(rated) > 2:
        table = Table(box=SIMPLE_HEAD)
        for column in ("", "Elo", "±", "games"):
            table.add_column(column, justify="left" if not column else "right", no_wrap=True)
        for rating in rated:
            table.add_row(rating.name, f"{rating.elo:.0f}", f"{rating.error:.0f}", str(rating.games))
        Console().print(table)
