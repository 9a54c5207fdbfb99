"""A snapshot's figures as plots, for reports and papers: the same picture as SVG or PNG. Needs matplotlib."""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING

from selfplay.errors import UsageError
from selfplay.monitor.snapshot import Snapshot

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Colours that people with colour blindness tell apart (Okabe and Ito 2008)
BLUE, ORANGE, GREEN, RED, GREY = "#0072b2", "#e69f00", "#009e73", "#d55e00", "#999999"
_SIZE = (6.4, 3.2)  # inches


def draw(snapshot: Snapshot) -> dict[str, Figure]:
    """Every figure that the run has numbers for, by name.

    Raises `UsageError` where matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
        from matplotlib.ticker import MaxNLocator
    except ImportError:
        raise UsageError("reports need matplotlib: pip install 'selfplay[report]'") from None
    figures = {}
    for name, (has_numbers, plot) in FIGURES.items():
        if has_numbers(snapshot):
            figure = Figure(figsize=_SIZE, layout="constrained")
            axes = figure.add_subplot()
            plot(snapshot, axes)
            axes.set_title(TITLES[name], loc="left", fontsize=10)
            axes.grid(alpha=0.3)
            if len(axes.get_legend_handles_labels()[0]) > 1:
                axes.legend(fontsize=8)
            if axes.get_xlabel() == "round":
                axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            figures[name] = figure
    return figures


def as_bytes(figure: Figure, kind: str) -> bytes:
    """The figure as "svg" or "png"; equal figures give equal bytes."""
    from matplotlib import rc_context

    buffer = io.BytesIO()
    with rc_context({"svg.hashsalt": "selfplay", "svg.fonttype": "none"}):
        figure.savefig(buffer, format=kind, dpi=200, metadata={"Date": None} if kind == "svg" else {"Software": None})
    return buffer.getvalue()


def _losses(snapshot: Snapshot, axes: Axes) -> None:
    rounds = [event.round for event in snapshot.trained]
    axes.plot(rounds, [event.policy for event in snapshot.trained], color=BLUE, label="policy loss")
    axes.plot(rounds, [e.policy_floor for e in snapshot.trained], color=BLUE, ls=":", label="its floor (entropy)")
    axes.plot(rounds, [event.value for event in snapshot.trained], color=ORANGE, label="value loss")
    axes.set(xlabel="round", ylabel="nats", ylim=(0, None))


def _pace(snapshot: Snapshot, axes: Axes) -> None:
    began = snapshot.pace[0][0]
    minutes = [(time - began) / 60 for time, _, _ in snapshot.pace]
    axes.plot(minutes, [simulations for _, _, simulations in snapshot.pace], color=GREEN)
    axes.set(xlabel="minutes since the first game", ylabel="simulations/s", ylim=(0, None))


def _games_pace(snapshot: Snapshot, axes: Axes) -> None:
    began = snapshot.pace[0][0]
    minutes = [(time - began) / 60 for time, _, _ in snapshot.pace]
    axes.plot(minutes, [games for _, games, _ in snapshot.pace], color=BLUE)
    axes.set(xlabel="minutes since the first game", ylabel="games/s", ylim=(0, None))


def _length(snapshot: Snapshot, axes: Axes) -> None:
    played = [event for event in snapshot.played if event.games]
    axes.plot([event.round for event in played], [event.plies / event.games for event in played], color=BLUE)
    axes.set(xlabel="round", ylabel="plies")
    axes.set_ylim(0, 1.1 * axes.get_ylim()[1])


def _outcomes(snapshot: Snapshot, axes: Axes) -> None:
    played = [event for event in snapshot.played if event.games]
    shares = [
        [count / event.games for event, count in zip(played, counts, strict=True)]
        for counts in (
            [event.first_won for event in played],
            [event.drawn for event in played],
            [event.second_won for event in played],
        )
    ]
    labels = ["first player wins", "draw", "second player wins"]
    axes.stackplot([event.round for event in played], *shares, labels=labels, colors=[BLUE, GREY, ORANGE])
    axes.set(xlabel="round", ylabel="share of games", ylim=(0, 1))


def _cache(snapshot: Snapshot, axes: Axes) -> None:
    axes.plot([event.round for event in snapshot.played], [event.hit_share for event in snapshot.played], color=GREEN)
    axes.set(xlabel="round", ylabel="share of leaves", ylim=(0, 1))


def _time(snapshot: Snapshot, axes: Axes) -> None:
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
    labels = ["playing", "training", "waiting and the rest"]
    axes.stackplot(rounds, playing, training, other, labels=labels, colors=[GREEN, BLUE, GREY])
    axes.set(xlabel="round", ylabel="seconds", ylim=(0, None))


def _matches(snapshot: Snapshot, axes: Axes) -> None:
    names = [match.against for match in snapshot.matches]
    scores = [match.score for match in snapshot.matches]
    below = [max(0.0, match.score - match.low) for match in snapshot.matches]
    above = [max(0.0, match.high - match.score) for match in snapshot.matches]
    axes.errorbar(scores, range(len(names)), xerr=[below, above], fmt="o", color=RED, capsize=4)
    axes.axvline(0.5, color=GREY, lw=1)
    axes.set(xlabel="score (draws count half)", xlim=(0, 1), yticks=range(len(names)), ylim=(-0.7, len(names) - 0.3))
    axes.set_yticklabels(names, fontsize=8)


TITLES = {
    "losses": "Losses over rounds",
    "outcomes": "How games end",
    "length": "Length of games",
    "simulations": "Simulations per second",
    "games": "Games per second",
    "cache": "Evaluations found in the cache",
    "time": "Where a round's time goes",
    "matches": "Matches of the newest round, with 95 % intervals",
}
FIGURES: dict[str, tuple[Callable[[Snapshot], bool], Callable[[Snapshot, Axes], None]]] = {
    "losses": (lambda snapshot: bool(snapshot.trained), _losses),
    "outcomes": (lambda snapshot: any(event.games for event in snapshot.played), _outcomes),
    "length": (lambda snapshot: any(event.games for event in snapshot.played), _length),
    "simulations": (lambda snapshot: bool(snapshot.pace), _pace),
    "games": (lambda snapshot: bool(snapshot.pace), _games_pace),
    "cache": (lambda snapshot: bool(snapshot.played), _cache),
    "time": (lambda snapshot: len(snapshot.trained) > 1, _time),
    "matches": (lambda snapshot: bool(snapshot.matches), _matches),
}
