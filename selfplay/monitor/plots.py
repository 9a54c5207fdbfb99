"""What is worth plotting of a run, as plain numbers: for whatever draws, on paper or in a browser.

One plot per entry of `PLOTS`; a plot without numbers is left out. Knows no drawing library.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from selfplay.arena.ratings import ROUND
from selfplay.monitor.snapshot import Snapshot, WorkerView

# Colours that people with colour blindness tell apart (Okabe and Ito 2008)
BLUE, ORANGE, GREEN, RED, GREY, PURPLE, SKY = (
    "#0072b2", "#e69f00", "#009e73", "#d55e00", "#999999", "#cc79a7", "#56b4e9",
)  # fmt: skip
_MOST_DIGITS = 9  # of a round's number
_SERIES_COLOURS = (RED, BLUE, GREEN, PURPLE, ORANGE, SKY, GREY)


@dataclass(frozen=True)
class Line:
    """One series of figures."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    colour: str
    is_dotted: bool = False
    low: Sequence[float] | None = None  # ends of the error bars
    high: Sequence[float] | None = None


@dataclass(frozen=True)
class Plot:
    """One picture: lines, areas on top of each other, or bars."""

    title: str
    x_label: str
    y_label: str
    lines: tuple[Line, ...]
    is_stacked: bool = False
    bottom: float | None = None  # where the upright axis begins and ends, None = where the figures do
    top: float | None = None
    bars: tuple[str, ...] = ()  # names of the bars; there is one line then, its x counts them


def plots(snapshot: Snapshot) -> dict[str, Plot]:
    """Every plot that the run has numbers for, by name."""
    made = ((name, make(snapshot)) for name, make in PLOTS.items())
    return {name: plot for name, plot in made if any(len(line.x) for line in plot.lines)}


def _losses(snapshot: Snapshot) -> Plot:
    rounds = [event.round for event in snapshot.trained]
    lines = [
        Line("policy loss", rounds, [event.policy for event in snapshot.trained], BLUE),
        Line("its floor (entropy)", rounds, [event.policy_floor for event in snapshot.trained], BLUE, is_dotted=True),
        Line("value loss", rounds, [event.value for event in snapshot.trained], ORANGE),
    ]
    if foretelling := [event for event in snapshot.trained if event.future]:
        ends = [event.future for event in foretelling]
        lines.append(Line("board at the end, per cell", [event.round for event in foretelling], ends, GREEN))
    return Plot("Losses over rounds", "round", "nats", tuple(lines), bottom=0.0)


def _outcomes(snapshot: Snapshot) -> Plot:
    played = [event for event in snapshot.played if event.games]
    rounds = [event.round for event in played]
    lines = tuple(
        Line(name, rounds, [getattr(event, field) / event.games for event in played], colour)
        for name, field, colour in (
            ("first player wins", "first_won", BLUE),
            ("draw", "drawn", GREY),
            ("second player wins", "second_won", ORANGE),
        )
    )
    return Plot("How games end", "round", "share of games", lines, is_stacked=True, bottom=0.0, top=1.0)


def _length(snapshot: Snapshot) -> Plot:
    played = [event for event in snapshot.played if event.games]
    line = Line("plies", [event.round for event in played], [event.plies / event.games for event in played], BLUE)
    return Plot("Length of games", "round", "plies", (line,), bottom=0.0)


def _simulations(snapshot: Snapshot) -> Plot:
    line = Line("simulations/s", _minutes(snapshot), [simulations for _, _, simulations in snapshot.pace], GREEN)
    return Plot("Simulations per second", "minutes since the first game", "simulations/s", (line,), bottom=0.0)


def _games(snapshot: Snapshot) -> Plot:
    line = Line("games/s", _minutes(snapshot), [games for _, games, _ in snapshot.pace], BLUE)
    return Plot("Games per second", "minutes since the first game", "games/s", (line,), bottom=0.0)


def _workers_simulations(snapshot: Snapshot) -> Plot:
    figures = {worker.name: worker.simulations_per_second for worker in _at_work(snapshot)}
    return _bars("Simulations per second of each worker, now", "simulations/s", figures, GREEN)


def _workers_games(snapshot: Snapshot) -> Plot:
    figures = {worker.name: worker.games_per_second for worker in _at_work(snapshot)}
    return _bars("Games per second of each worker, now", "games/s", figures, BLUE)


def _at_work(snapshot: Snapshot) -> list[WorkerView]:
    """Workers that a coordinator hears of; none where the run stands still."""
    return [worker for worker in snapshot.workers if worker.silent_seconds is not None]


def _bars(title: str, label: str, figures: dict[str, float], colour: str) -> Plot:
    line = Line(label, range(len(figures)), list(figures.values()), colour)
    return Plot(title, "worker", label, (line,), bottom=0.0, bars=tuple(figures))


def _minutes(snapshot: Snapshot) -> list[float]:
    return [(time - snapshot.pace[0][0]) / 60 for time, _, _ in snapshot.pace]


def _cache(snapshot: Snapshot) -> Plot:
    line = Line(
        "hits", [event.round for event in snapshot.played], [event.hit_share for event in snapshot.played], GREEN
    )
    return Plot("Evaluations found in the cache", "round", "share of leaves", (line,), bottom=0.0, top=1.0)


def _time(snapshot: Snapshot) -> Plot:
    """Seconds of each round but the first, whose beginning no event tells."""
    played = {event.round: event.seconds for event in snapshot.played}
    pairs = list(itertools.pairwise(snapshot.trained))
    rounds = [event.round for _, event in pairs]
    playing = [played.get(event.round, 0.0) for _, event in pairs]
    training = [event.seconds for _, event in pairs]
    other = [
        max(0.0, event.time - before.time - plays - trains)
        for (before, event), plays, trains in zip(pairs, playing, training, strict=True)
    ]
    lines = (
        Line("playing", rounds, playing, GREEN),
        Line("training", rounds, training, BLUE),
        Line("waiting and the rest", rounds, other, GREY),
    )
    return Plot("Where a round's time goes", "round", "seconds", lines, is_stacked=True, bottom=0.0)


def _rating(snapshot: Snapshot) -> Plot:
    """The rounds' ratings as a curve, those of the strongest baselines as levels."""
    rated = {rating.name: rating for rating in snapshot.ratings}
    rounds = sorted(number for number in _rounds_met(snapshot) if f"{ROUND}{number}" in rated)
    own = [rated[f"{ROUND}{number}"] for number in rounds]
    curve = Line(
        name="this run",
        x=rounds,
        y=[rating.elo for rating in own],
        colour=RED,
        low=[rating.elo - rating.error for rating in own],
        high=[rating.elo + rating.error for rating in own],
    )
    baselines = [rating for rating in snapshot.ratings if not rating.name.startswith(ROUND)]
    levels = (
        Line(rating.name, [rounds[0], rounds[-1]], [rating.elo, rating.elo], colour, is_dotted=True)
        for rating, colour in zip(baselines, _SERIES_COLOURS[1:], strict=False)
    )
    zero = next((rating.name for rating in snapshot.ratings if rating.elo == 0.0), "")
    title = f"Rating above {zero}, with 95 % intervals"
    return Plot(title, "round", "Elo", (curve, *levels) if rounds else ())


def _rounds_met(snapshot: Snapshot) -> set[int]:
    """Rounds that played matches, and those that they met."""
    names = {match.against for match in snapshot.matches if match.against.startswith(ROUND)}
    numbers = (name.removeprefix(ROUND)[:_MOST_DIGITS] for name in names)  # a log may come from anybody
    met = {int(number) for number in numbers if number.isdecimal()}
    return met | {match.round for match in snapshot.matches}


def _mistakes(snapshot: Snapshot) -> Plot:
    """One line per set of positions."""
    names = list(dict.fromkeys(event.positions for event in snapshot.mistakes))
    lines = []
    for name, colour in zip(names, itertools.cycle(_SERIES_COLOURS)):
        events = [event for event in snapshot.mistakes if event.positions == name]
        rounds, shares = [event.round for event in events], [event.share for event in events]
        low, high = [event.low for event in events], [event.high for event in events]
        lines.append(Line(name, rounds, shares, colour, low=low, high=high))
    return Plot("Mistakes against perfect play", "round", "share of positions", tuple(lines), bottom=0.0)


PLOTS: dict[str, Callable[[Snapshot], Plot]] = {
    "losses": _losses,
    "rating": _rating,
    "mistakes": _mistakes,
    "outcomes": _outcomes,
    "length": _length,
    "simulations": _simulations,
    "games": _games,
    "workers_simulations": _workers_simulations,
    "workers_games": _workers_games,
    "cache": _cache,
    "time": _time,
}
