"""The only reader of a run folder for people who watch: files in, one frozen snapshot out. Writes nothing.

Safe while the run goes on, after it ended, and on a copy: half-written files are not looked into, and the event log
is read on from where the last look ended.
"""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from selfplay.errors import RunError
from selfplay.rundir.event_types import (
    Died,
    Match,
    Progress,
    Recovering,
    Rejected,
    Started,
    Straggling,
    Trained,
    WorkerFacts,
)
from selfplay.rundir.events import EventReader
from selfplay.rundir.layout import RunLayout
from selfplay.rundir.lock import holder

_BLOCK_BYTES = 512


@dataclass(frozen=True)
class WorkerView:
    """One worker folder, with what the coordinator last heard of its worker."""

    name: str
    batch_files: int
    bytes: int  # of its batch files
    state: str  # playing, idle, starting, restarting; "-" where no coordinator runs
    games: int  # in this round
    simulations: int
    memory: int  # MB
    restarts: int
    silent_seconds: float | None  # since its last sign of life


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
    matches: tuple[Match, ...]  # of the newest round
    workers: tuple[WorkerView, ...]
    batch_files: int
    quarantined: int
    disk_bytes: int  # used by the run
    disk_free_bytes: int
    warnings: tuple[str, ...]


class Reader:
    """Looks at one run folder again and again; raises `RunError` where there is no run."""

    def __init__(self, folder: Path) -> None:
        self._layout = RunLayout(folder)
        if not self._layout.settings.exists():
            raise RunError(f"{folder} holds no run (no {self._layout.settings.name}); start one with: selfplay train")
        self._events = EventReader(self._layout.events)
        self._progress: Progress | None = None
        self._rounds: int | None = None
        self._trained: dict[int, Trained] = {}
        self._matches: dict[str, Match] = {}
        self._warnings: list[str] = []

    def look(self) -> Snapshot:
        """The run as it stands now."""
        self._read_on()
        layout = self._layout
        running = holder(layout.lock)
        workers = tuple(self._worker(path, running is not None) for path in layout.worker_folders())
        rounds = layout.rounds_with_models()
        return Snapshot(
            folder=str(layout.root),
            game=_game_name(layout),
            running=running,
            newest_round=rounds[-1] if rounds else None,
            rounds=self._rounds,
            progress=self._progress,
            trained=tuple(event for _, event in sorted(self._trained.items())),
            matches=tuple(self._matches.values()),
            workers=workers,
            batch_files=sum(worker.batch_files for worker in workers),
            quarantined=len(list(layout.quarantine.glob("*.json"))),
            disk_bytes=_disk_use(layout.root),
            disk_free_bytes=shutil.disk_usage(layout.root).free,
            warnings=tuple(self._warnings[-5:]),
        )

    def _read_on(self) -> None:
        for event in self._events:
            match event:
                case Started():
                    self._rounds = event.rounds
                case Progress():
                    self._progress = event
                case Trained():
                    self._trained[event.round] = event
                    self._matches.clear()
                case Match():
                    self._matches[event.against] = event
                case Rejected():
                    self._warnings.append(f"{event.file} went to quarantine: {event.reason}")
                case Recovering():
                    self._warnings.append(f"round {event.round}: {event.reason}")
                case Straggling():
                    self._warnings.append(f"{event.worker} was slow: others played its last {event.games} games too")
                case Died():
                    self._warnings.append(f"{event.child} ended unexpectedly ({event.reason or event.code})")

    def _worker(self, folder: Path, running: bool) -> WorkerView:
        sizes = [size for path in folder.glob("batch_*.json") if (size := _size(path)) is not None]
        told = self._progress.workers if self._progress else {}
        facts = told.get(folder.name, WorkerFacts(state="starting"))
        return WorkerView(
            name=folder.name,
            batch_files=len(sizes),
            bytes=sum(sizes),
            state=facts.state if running else "-",
            games=facts.games,
            simulations=facts.simulations,
            memory=facts.memory,
            restarts=facts.restarts,
            silent_seconds=max(0.0, time.time() - facts.heard) if running and facts.heard else None,
        )


def _game_name(layout: RunLayout) -> str:
    from selfplay.config import from_tree, read_toml

    return from_tree(read_toml(layout.settings), where=str(layout.settings)).game.name


def _size(path: Path) -> int | None:
    """A file's size, None where it vanished meanwhile."""
    try:
        return path.stat().st_size
    except OSError:
        return None


def _disk_use(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_blocks * _BLOCK_BYTES
        except OSError:  # vanished meanwhile
            continue
    return total
