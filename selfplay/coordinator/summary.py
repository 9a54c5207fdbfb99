"""The matches at the end of a run: against random play and against its own round 0."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from selfplay.arena.match import MatchResult, play_match
from selfplay.arena.player import RandomPlayer, open_model
from selfplay.coordinator.run import OpenRun
from selfplay.games.registry import load_rules
from selfplay.rundir.event_types import Match
from selfplay.rundir.events import EventLog


def final_matches(
    run: OpenRun, newest: int, *, games: int, on_progress: Callable[[str], None]
) -> Iterator[MatchResult]:
    """Matches of the newest round with the run's number of simulations; each is noted as an event."""
    rules, settings, events = load_rules(run.settings.game.name), run.settings, EventLog(run.layout.events)
    simulations = settings.search.simulations
    model = open_model(run.layout.model(newest), rules, simulations=simulations)
    model.name = f"round {newest}"
    untrained = open_model(run.layout.model(0), rules, simulations=simulations)
    untrained.name = f"round 0 with the same {simulations} simulations"
    for opponent in (RandomPlayer(rules), untrained):
        title = f"{model.name} against {opponent.name}"

        def report(done: int, title: str = title) -> None:
            on_progress(f"{title}: {done}/{games} games")

        result = play_match(
            rules,
            model,
            opponent,
            games=games,
            seed=settings.selfplay.seed,
            on_progress=report,
        )
        low, high = result.interval
        events.add(
            Match(round=newest, against=opponent.name, score=result.score, low=low, high=high, games=result.games)
        )
        yield result
