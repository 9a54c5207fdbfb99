"""Shows a running coordinator: a live panel on a terminal, plain lines elsewhere. Reads a `Status`, changes nothing."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from selfplay.coordinator.status import Status

PLAIN_SECONDS = 10.0  # between two lines where output is no terminal


class Display:
    """Live panel or plain lines, as the console allows."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, refresh_per_second=4, transient=True) if console.is_terminal else None
        self._last_line = time.monotonic()

    def __enter__(self) -> Display:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    def say(self, line: str) -> None:
        """A line that stays."""
        self._console.print(Text(line), soft_wrap=True)
        self._last_line = time.monotonic()

    def show(self, status: Status) -> None:
        """The state of things, replacing what was shown before."""
        if self._live:
            self._live.update(panel(status))
        elif time.monotonic() - self._last_line >= PLAIN_SECONDS:
            self.say(one_line(status))


def one_line(status: Status) -> str:
    """The status in a line of plain text."""
    parts = [f"round {status.round}/{status.rounds}", f"{status.phase} {status.phase_share:.0%}"]
    if status.phase == "playing":
        parts += [
            f"{status.games_done}/{status.games_total} games",
            f"{status.per_second('games'):.1f} games/s",
            f"{status.per_second('simulations'):,.0f} simulations/s",
        ]
    if status.losses:
        parts.append(f"losses: policy {status.losses['policy']:.3f}, value {status.losses['value']:.3f}")
    if status.seconds_left is not None:
        parts.append(f"{duration(status.seconds_left)} left")
    return " · ".join(parts)


def panel(status: Status) -> RenderableType:
    """The status as a panel for a terminal of 80 columns or more."""
    bar = Table.grid(padding=(0, 1), expand=True)
    bar.add_column(width=18)
    bar.add_column(ratio=1)
    bar.add_column(width=6, justify="right")
    bar.add_row(f"round {status.round}/{status.rounds}", ProgressBar(100, 100 * _run_share(status)), "")
    bar.add_row(status.phase, ProgressBar(100, 100 * status.phase_share), f"{status.phase_share:.0%}")
    facts = Table.grid(padding=(0, 2))
    for row in _facts(status):
        facts.add_row(*row)
    lines: list[RenderableType] = [bar, Text(), facts]
    lines += [Text(line, style="dim") for line in (status.training, status.rating) if line]
    left = "" if status.seconds_left is None else f"about {duration(status.seconds_left)} left"
    return Panel(Group(*lines), title=f"selfplay · {status.game}", subtitle=left, title_align="left")


def duration(seconds: float) -> str:
    """`45 s`, `12 min 30 s`, `3 h 05 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def _run_share(status: Status) -> float:
    return (max(0, status.round - 1) + status.round_share) / max(1, status.rounds)


def _facts(status: Status) -> list[tuple[str, str, str, str]]:
    losses = status.losses
    policy = f"{losses['policy']:.3f} (floor {losses['policy_floor']:.3f})" if losses else "-"
    working = sum(worker.state == "playing" for worker in status.workers.values())
    return [
        (
            "games",
            f"{status.games_done}/{status.games_total}",
            "games/s",
            f"{status.per_second('games'):.1f}",
        ),
        (
            "simulations/s",
            f"{status.per_second('simulations'):,.0f}",
            "plies per game",
            f"{status.plies_per_game:.1f}",
        ),
        ("cache hits", f"{status.hit_share:.0%}", "workers playing", f"{working}/{len(status.workers)}"),
        ("policy loss", policy, "value loss", f"{losses['value']:.3f}" if losses else "-"),
    ]
