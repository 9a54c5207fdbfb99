"""The only reader of a run folder for people who watch: files in, one frozen snapshot out. Writes nothing.

Safe while the run goes on, after it ended, and on a copy: half-written files are not looked into, and the event log
is read on from where the last look ended.
"""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from selfplay.errors import RunError
from selfplay.rundir.events import Event, read_events
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
    progress: Event  # the newest progress event, empty before the first
    trained: tuple[Event, ...]  # one per trained round
    matches: tuple[Event, ...]  # of the newest round
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
        self._offset = 0
        self._progress: Event = {}
        self._started: Event = {}
        self._trained: dict[int, Event] = {}
        self._matches: dict[str, Event] = {}
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
            rounds=self._started.get("rounds"),
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
        events, self._offset = read_events(self._layout.events, offset=self._offset)
        for event in events:
            match event["event"]:
                case "started":
                    self._started = event
                case "progress":
                    self._progress = event
                case "trained":
                    self._trained[event["round"]] = event
                    self._matches.clear()
                case "match":
                    self._matches[event["against"]] = event
                case "rejected":
                    self._warnings.append(f"{event['file']} went to quarantine: {event['reason']}")
                case "recovering":
                    self._warnings.append(f"round {event['round']}: {event['reason']}")
                case "died":
                    self._warnings.append(
                        f"{event['child']} ended unexpectedly ({event.get('reason') or event['code']})"
                    )

    def _worker(self, folder: Path, running: bool) -> WorkerView:
        sizes = [size for path in folder.glob("batch_*.json") if (size := _size(path)) is not None]
        facts: dict[str, Any] = self._progress.get("workers", {}).get(folder.name, {})
        heard = facts.get("heard")
        return WorkerView(
            name=folder.name,
            batch_files=len(sizes),
            bytes=sum(sizes),
            state=facts.get("state", "starting") if running else "-",
            games=facts.get("games", 0),
            simulations=facts.get("simulations", 0),
            memory=facts.get("memory", 0),
            restarts=facts.get("restarts", 0),
            silent_seconds=max(0.0, time.time() - heard) if running and heard else None,
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
