"""A snapshot as a screen of text, for terminals from 80 columns on, with and without colour."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable, Sequence

from rich.console import Console, Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from selfplay.errors import printable
from selfplay.monitor.plots import PLOTS
from selfplay.monitor.snapshot import Notice, Snapshot, WorkerView
from selfplay.rundir.event_types import Progress, Trained

_ROUNDS_SHOWN, _WARNINGS_SHOWN, _LEAST_WORKERS = 5, 5, 4
_LONGEST_NAME = 22
_ROUNDS_WIDTH = 100  # columns from which the workers' files are shown too
_TICKS = "▁▂▃▄▅▆▇█"
_STYLES = {"playing": "green", "idle": "yellow", "restarting": "red"}


def screen(snapshot: Snapshot, *, width: int, height: int | None = None) -> RenderableType:
    """The whole screen; where it is of `height` lines, workers that do not fit are summed up."""
    above = [*_head(snapshot), Text()]
    below = [Text(), *_curves(snapshot, width), *_rounds(snapshot), *_matches(snapshot), _disk(snapshot)]
    below += [_text(f"! {_clock(notice.time)} {notice.text}", "yellow") for notice in _newest(snapshot)]
    rows = len(snapshot.workers)
    if height is not None:
        taken = sum(_lines(part, width) for part in (*above, *below)) + 2
        rows = min(rows, max(_LEAST_WORKERS, height - taken))
    return Group(*above, _workers(snapshot, rows, width), *below)


def sparkline(values: Sequence[float], width: int) -> str:
    """Values as a line of little bars, means of neighbours where there are more of them than columns."""
    if not values:
        return ""
    columns = min(width, len(values))
    edges = [len(values) * place // columns for place in range(columns + 1)]
    means = [sum(values[a:b]) / (b - a) for a, b in itertools.pairwise(edges)]
    low, high = min(means), max(means)
    span = high - low
    return "".join(_TICKS[round((mean - low) / span * (len(_TICKS) - 1)) if span > 0 else 0] for mean in means)


def size(count: int) -> str:
    """`1.2 MB`, in powers of 1,000."""
    amount = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} TB"


def _text(content: str, style: str = "") -> Text:
    """Text that comes from files, and so might hold anything."""
    return Text(printable(content), style=style)


def _head(snapshot: Snapshot) -> list[RenderableType]:
    state = f"running, {snapshot.running}" if snapshot.running else "not running"
    goal = "?" if snapshot.rounds is None else str(snapshot.rounds)
    newest = "no model yet" if snapshot.newest_round is None else f"newest model: round {snapshot.newest_round}/{goal}"
    title = _text(snapshot.game, "bold").append(printable(f" · {snapshot.folder} · {state} · {newest}"), "not bold")
    return [title, *([_bar(snapshot, snapshot.progress)] if snapshot.progress else [])]


def _bar(snapshot: Snapshot, progress: Progress) -> RenderableType:
    """Where the round is, as a bar with words."""
    words = f"{progress.games}/{progress.games_total} games" if progress.phase == "playing" else ""
    if snapshot.running and progress.seconds_left is not None:
        words += f" · about {progress.seconds_left // 60} min {progress.seconds_left % 60:02d} s left"
    grid = Table.grid(padding=(0, 1), expand=True)
    grid.add_column(no_wrap=True)
    grid.add_column(ratio=1)
    grid.add_column(no_wrap=True, justify="right")
    bar = ProgressBar(total=1.0, completed=min(1.0, max(0.0, progress.share)))
    words = f"{progress.share:.0%} {words}".strip(" ·")
    grid.add_row(_text(f"round {progress.round} {progress.phase}"), bar, _text(words))
    return grid


def _workers(snapshot: Snapshot, rows: int, width: int) -> RenderableType:
    if not snapshot.workers:
        return Text("no worker has written yet")
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim")
    is_wide = width >= _ROUNDS_WIDTH
    table.add_column("worker", no_wrap=True)
    table.add_column("state", no_wrap=True)
    figures = ["games", "games/s", "simul./s", "files", *(["on disk"] if is_wide else []), "memory", "heard", "died"]
    for name in figures:
        table.add_column(name, justify="right", no_wrap=True)
    for worker in snapshot.workers[:rows]:
        table.add_row(*_worker(worker, is_wide))
    left_out = snapshot.workers[rows:]
    if not left_out:
        return table
    states = ", ".join(f"{sum(w.state == s for w in left_out)} {s}" for s in sorted({w.state for w in left_out}))
    return Group(table, _text(f"and {len(left_out)} more: {states}", "dim"))


def _worker(worker: WorkerView, is_wide: bool) -> list[Text]:
    heard = "-" if worker.silent_seconds is None else f"{worker.silent_seconds:.0f} s"
    is_there = worker.silent_seconds is not None
    pace = [f"{worker.games_per_second:.1f}", f"{worker.simulations_per_second:,.0f}"] if is_there else ["-", "-"]
    figures = [f"{worker.games:,}", *pace]
    figures += [f"{worker.batch_files:,}", *([size(worker.bytes)] if is_wide else [])]
    figures += [f"{worker.memory} MB", heard, str(worker.restarts)]
    return [_text(worker.name), _text(worker.state, _STYLES.get(worker.state, "")), *map(_text, figures)]


def _curves(snapshot: Snapshot, width: int) -> Iterable[RenderableType]:
    """What changed over the rounds, each as a line of little bars with its newest value."""
    trained, played = snapshot.trained, snapshot.played
    if not trained and not snapshot.pace:
        return []
    grid = Table.grid(padding=(0, 1))
    for _ in range(3):
        grid.add_column(no_wrap=True)
    room = max(10, min(60, width - 50))

    def add(name: str, values: Sequence[float], newest: str) -> None:
        if values:
            grid.add_row(Text(name, style="dim"), Text(sparkline(values, room), style="cyan"), Text(newest))

    if trained:
        last = trained[-1]
        add("policy loss", [e.policy for e in trained], f"{last.policy:.3f} (floor {last.policy_floor:.3f})")
        add("value loss", [event.value for event in trained], f"{last.value:.3f}")
    if snapshot.pace:
        add("games/s", [point[1] for point in snapshot.pace], f"{snapshot.pace[-1][1]:.1f}")
        add("simulations/s", [point[2] for point in snapshot.pace], f"{snapshot.pace[-1][2]:,.0f}")
    counted = [event for event in played if event.games]
    if counted:
        last_played = counted[-1]
        games = last_played.games
        add("plies per game", [e.plies / e.games for e in counted], f"{last_played.plies / games:.1f}")
        shares = (last_played.first_won, last_played.drawn, last_played.second_won)
        first, drawn, second = (f"{count / games:.0%}" for count in shares)
        add("first wins", [e.first_won / e.games for e in counted], f"{first} (draws {drawn}, second {second})")
        add("cache hits", [event.hit_share for event in counted], f"{last_played.hit_share:.0%}")
    if snapshot.busy_share is not None:
        grid.add_row(Text("cores busy", style="dim"), Text(), Text(f"{snapshot.busy_share:.1%} of their time"))
    for line in PLOTS["rating"](snapshot).lines[:1]:
        add("rating", line.y, f"{line.y[-1]:.0f} Elo")
    for line in PLOTS["mistakes"](snapshot).lines:
        add(_cut(f"mistakes {line.name}"), line.y, f"{line.y[-1]:.1%}")
    return [grid, Text()]


def _cut(name: str) -> str:
    """A name that comes from a file, short enough to stand before a curve."""
    name = printable(name)
    return name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1] + "…"


def _rounds(snapshot: Snapshot) -> Iterable[RenderableType]:
    if not snapshot.trained:
        return []
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for name in ("round", "policy loss", "floor", "value loss", "window", "seconds"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("model", no_wrap=True)
    table.add_column("network", no_wrap=True)
    for event in snapshot.trained[-_ROUNDS_SHOWN:]:
        losses = (f"{value:.3f}" for value in (event.policy, event.policy_floor, event.value))
        cells = [str(event.round), *losses, f"{event.window:,}", f"{event.seconds:.1f}"]
        table.add_row(*map(_text, [*cells, event.fingerprint[:12], event.network or "-"]))
    return [table, *_training(snapshot.trained[-1]), Text()]


def _training(event: Trained) -> Iterable[RenderableType]:
    """How the last round was trained, and where its time went."""
    if not event.plan:  # written by an earlier version
        return []
    shares = ", ".join(f"{name} {share:.0%}" for name, share in event.shares.items())
    batches = f"{event.batches}/{event.batches + event.batches_left_out} batches"
    return [_text(f"trained by {event.plan}: {batches}"), _text(f"{event.samples_per_second:,} samples/s: {shares}")]


def _matches(snapshot: Snapshot) -> Iterable[RenderableType]:
    return [
        _text(
            f"round {event.round} against {event.against}: score {event.score:.3f} "
            f"({event.low:.3f} to {event.high:.3f}, {event.games} games)"
        )
        for event in snapshot.matches
        if not snapshot.trained or event.round >= snapshot.trained[-1].round
    ]


def _disk(snapshot: Snapshot) -> Text:
    return _text(
        f"{snapshot.batch_files:,} batch files, {size(snapshot.batch_bytes)} · quarantine {snapshot.quarantined} · "
        f"disk {size(snapshot.disk_bytes)} used, {size(snapshot.disk_free_bytes)} free"
    )


def _newest(snapshot: Snapshot) -> Sequence[Notice]:
    return snapshot.warnings[-_WARNINGS_SHOWN:]


def _clock(seconds: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(seconds))


def _lines(part: RenderableType, width: int) -> int:
    """How many lines it takes."""
    if isinstance(part, Table):
        return part.row_count + part.show_header
    return len(part.wrap(Console(width=width), width)) if isinstance(part, Text) else 1
