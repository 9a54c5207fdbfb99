"""The only reader of a run folder for people who watch: files in, one frozen snapshot out. Writes nothing.

Safe while the run goes on, after it ended, and on a copy: half-written files are not looked into, the event log is
read on from where the last look ended, and folders are listed again only where something changed.
"""

from __future__ import annotations

import shutil
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path

from selfplay.arena.ratings import Rating, ratings_of_run
from selfplay.errors import RunError
from selfplay.monitor.folder import FolderWatch
from selfplay.monitor.series import Series
from selfplay.rundir.event_types import (
    AnyEvent,
    Died,
    Match,
    Mistakes,
    Played,
    Progress,
    Recovering,
    Rejected,
    Started,
    Stopped,
    Straggling,
    Trained,
    Waiting,
    Warned,
    WorkerFacts,
)
from selfplay.rundir.events import EventReader
from selfplay.rundir.layout import RunLayout, whole_rounds, worker_names
from selfplay.rundir.lock import holder

_WARNINGS_KEPT = 50
_HAPPENED_KEPT = 200
_TOLD_KEPT = 64  # progress events at most, should a clock jump back
_BUSY_ROUNDS = 20  # over which it is said how busy the cores were
_RATE_SECONDS = 15.0  # a worker's pace is that of so long


@dataclass(frozen=True)
class WorkerView:
    """One worker folder, with what the coordinator last heard of its worker."""

    name: str
    batch_files: int
    bytes: int  # of its batch files
    state: str  # playing, idle, starting, restarting; "-" where no coordinator runs
    games: int  # in this round
    games_per_second: float  # of late
    simulations: int  # in this round
    simulations_per_second: float  # of late
    memory: int  # MB
    restarts: int
    silent_seconds: float | None  # since its last sign of life


@dataclass(frozen=True)
class Notice:
    """Something that happened, in words."""

    time: float  # seconds since 1970
    text: str
    is_warning: bool  # it went wrong, and was seen to


@dataclass(frozen=True)
class Snapshot:
    """A run at a moment."""

    folder: str
    game: str
    running: str | None  # who holds the run, None = nobody
    newest_round: int | None
    rounds: int | None  # goal of the last start
    progress: Progress | None  # the newest one
    trained: tuple[Trained, ...]  # one per trained round
    played: tuple[Played, ...]  # one per round whose games are there
    pace: tuple[tuple[float, float, float], ...]  # time, games/s, simulations/s while it played; thinned
    matches: tuple[Match, ...]  # of all rounds, in order of rounds
    ratings: tuple[Rating, ...]  # of rounds and baselines, by these matches; the strongest first
    mistakes: tuple[Mistakes, ...]  # against perfect play, where the run records them; in order of rounds
    workers: tuple[WorkerView, ...]
    batch_files: int
    batch_bytes: int
    quarantined: int
    disk_bytes: int  # used by the run
    disk_free_bytes: int
    restarts: int  # of children, over the life of the run
    warnings: tuple[Notice, ...]  # the newest last
    happened: tuple[Notice, ...]  # what is worth telling, warnings too; the newest last
    busy_share: float | None  # of the cores' time over the last rounds, 0 to 1; None where the log does not tell


class Reader:
    """Looks at one run folder again and again; raises `RunError` where there is no run."""

    def __init__(self, folder: Path) -> None:
        self._layout = RunLayout(folder)
        if not self._layout.settings.exists():
            raise RunError(f"{folder} holds no run (no {self._layout.settings.name}); start one with: selfplay train")
        self._game = _game_name(self._layout)
        self._events = EventReader(self._layout.events)
        self._folder = FolderWatch(folder)
        self._progress: Progress | None = None
        self._rounds: int | None = None
        self._cores = 0  # that the run may use
        self._trained: dict[int, Trained] = {}
        self._played: dict[int, Played] = {}
        self._matches: dict[tuple[int, str], Match] = {}
        self._ratings: tuple[Rating, ...] | None = ()  # None = there are new matches
        self._mistakes: dict[tuple[int, str], Mistakes] = {}
        self._pace = Series()
        self._warnings: deque[Notice] = deque(maxlen=_WARNINGS_KEPT)
        self._happened: deque[Notice] = deque(maxlen=_HAPPENED_KEPT)
        self._restarts = 0
        self._told: deque[Progress] = deque(maxlen=_TOLD_KEPT)  # the newest ones of this round, for the pace of workers

    def look(self) -> Snapshot:
        """The run as it stands now."""
        for event in self._events:
            self._take(event)
        self._folder.look()
        layout = self._layout
        running = holder(layout.lock)
        workers = self._workers(running is not None)
        rounds = whole_rounds(self._folder.sizes(layout.models))
        return Snapshot(
            folder=str(layout.root),
            game=self._game,
            running=running,
            newest_round=rounds[-1] if rounds else None,
            rounds=self._rounds,
            progress=self._progress,
            trained=tuple(event for _, event in sorted(self._trained.items())),
            played=tuple(event for _, event in sorted(self._played.items())),
            pace=self._pace.points(),
            matches=tuple(event for _, event in sorted(self._matches.items(), key=_round_of)),
            ratings=self._rated(),
            mistakes=tuple(event for _, event in sorted(self._mistakes.items(), key=_round_of)),
            workers=workers,
            batch_files=sum(worker.batch_files for worker in workers),
            batch_bytes=sum(worker.bytes for worker in workers),
            quarantined=sum(not name.endswith(".reason.txt") for name in self._folder.sizes(layout.quarantine)),
            disk_bytes=self._folder.disk_bytes,
            disk_free_bytes=shutil.disk_usage(layout.root).free,
            restarts=self._restarts,
            warnings=tuple(self._warnings),
            happened=tuple(self._happened),
            busy_share=self._busy_share(),
        )

    def _rated(self) -> tuple[Rating, ...]:
        if self._ratings is None:
            try:
                self._ratings = tuple(ratings_of_run(self._matches.values()))
            except (RuntimeError, ArithmeticError, ValueError):  # figures of a made-up log, which nothing fits
                self._ratings = ()
        return self._ratings

    def _busy_share(self) -> float | None:
        played, trained = list(self._played.values()), list(self._trained.values())
        laps: list[Played | Trained] = [*played[-_BUSY_ROUNDS:], *trained[-_BUSY_ROUNDS:]]
        span = self._cores * sum(lap.span_seconds for lap in laps)
        return sum(lap.cpu_seconds for lap in laps) / span if span > 0 else None

    def _take(self, event: AnyEvent) -> None:
        match event:
            case Started():
                self._rounds, self._cores = event.rounds, event.cores
                self._told.clear()
            case Progress():
                self._take_progress(event)
            case Played():
                self._played[event.round] = event
            case Trained():
                self._trained[event.round] = event
            case Match():
                self._matches[event.round, event.against] = event
                self._ratings = None
            case Mistakes():
                self._mistakes[event.round, event.positions] = event
            case Died():
                self._restarts += 1
        if (text := _warning(event)) is not None:
            self._warnings.append(Notice(event.time, text, is_warning=True))
            self._happened.append(self._warnings[-1])
        elif (text := _news(event)) is not None:
            self._happened.append(Notice(event.time, text, is_warning=False))

    def _take_progress(self, event: Progress) -> None:
        if self._told and self._told[-1].round != event.round:
            self._told.clear()
        self._told.append(event)
        while event.time - self._told[0].time > _RATE_SECONDS:
            self._told.popleft()
        self._progress = event
        if event.phase == "playing" and event.simulations_per_second > 0:  # not where a round is about to begin
            self._pace.add(event.time, event.games_per_second, event.simulations_per_second)

    def _workers(self, is_running: bool) -> tuple[WorkerView, ...]:
        now = self._progress.worker_facts() if self._progress else {}
        before = self._told[0].worker_facts() if self._told else {}
        seconds = self._told[-1].time - self._told[0].time if self._told else 0.0
        views = []
        for path in (self._layout.root / name for name in worker_names(self._folder.folders())):
            facts = now.get(path.name, WorkerFacts(state="starting"))
            sizes = [size for name, size in self._folder.sizes(path).items() if name.startswith("batch_")]
            past = before.get(path.name, facts)
            views.append(
                WorkerView(
                    name=path.name,
                    batch_files=len(sizes),
                    bytes=sum(sizes),
                    state=facts.state if is_running else "-",
                    games=facts.games,
                    games_per_second=_rate(past.games, facts.games, seconds),
                    simulations=facts.simulations,
                    simulations_per_second=_rate(past.simulations, facts.simulations, seconds),
                    memory=facts.memory,
                    restarts=facts.restarts,
                    silent_seconds=max(0.0, time.time() - facts.heard) if is_running and facts.heard else None,
                )
            )
        return tuple(views)


def _rate(before: int, now: int, seconds: float) -> float:
    return max(0, now - before) / seconds if seconds > 0 else 0.0


def _warning(event: AnyEvent) -> str | None:
    """What people should know of an event, None where all is as it should be."""
    match event:
        case Rejected():
            return f"{event.file} went to quarantine: {event.reason}"
        case Recovering():
            return f"round {event.round}: {event.reason}"
        case Warned():
            return f"round {event.round}: {event.text}"
        case Straggling():
            return f"{event.worker} was slow: others played its last {event.games} games too"
        case Died():
            return f"{event.child} ended unexpectedly ({event.reason or event.code})"
        case Waiting():
            return event.reason
        case Stopped(reason="failed"):
            return "the coordinator stopped with an error"
    return None


def _news(event: AnyEvent) -> str | None:
    """What went as it should and is worth telling."""
    match event:
        case Started():
            return f"started with {event.workers} workers, to play until round {event.rounds}"
        case Played():
            return f"round {event.round}: {event.games} games played in {event.seconds:.1f} s"
        case Trained():
            size = f" ({event.network})" if event.network else ""  # older versions did not note it
            return f"round {event.round} trained in {event.seconds:.1f} s: model {event.fingerprint[:12]}{size}"
        case Match():
            return f"round {event.round} against {event.against}: score {event.score:.3f} over {event.games} games"
        case Mistakes():
            return f"round {event.round} on {event.positions}: {event.share:.1%} mistakes in {event.count} positions"
        case Stopped():
            return f"stopped: {event.reason}"
    return None


def _round_of(item: tuple[tuple[int, str], object]) -> int:
    return item[0][0]


def _game_name(layout: RunLayout) -> str:
    from selfplay.config import settings_of_run

    return settings_of_run(layout.settings).game.name
