"""Keeps children alive: starts them, restarts the dead after a growing pause, gives up when that does not help."""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from selfplay.engines.engine import Ended, Engine, Message
from selfplay.errors import ProcessError
from selfplay.machine import out_of_memory_kills

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0
MOST_DEATHS = 5  # of one child, in a row, before the run stops
_LOG_LINES = 8


@dataclass
class _Life:
    service: str
    settings: Message
    deaths: int = 0  # since it last did something useful
    restart_at: float | None = None  # on the clock


@dataclass
class Supervisor:
    """Children of one coordinator.

    Args:
        engine: runs them.
        log_of: where a child's output lies.
        clock: seconds, rising.
        memory_kills: how many processes the system has killed for lack of memory so far.
    """

    engine: Engine
    log_of: Callable[[str], Path]
    clock: Callable[[], float]
    memory_kills: Callable[[], int] = out_of_memory_kills
    _lives: dict[str, _Life] = field(default_factory=dict)
    _memory_kills: int = -1  # when last asked

    def __post_init__(self) -> None:
        self._memory_kills = self.memory_kills()

    def start(self, name: str, service: str, settings: Message) -> None:
        """Begin a child and keep it alive from now on."""
        self._lives[name] = _Life(service, settings)
        self.engine.start(name, service, settings)

    def replace(self, name: str) -> None:
        """End a child that did nothing wrong, and begin it anew."""
        self.engine.stop(name)
        self.engine.start(name, self._lives[name].service, self._lives[name].settings)

    def knows(self, name: str) -> bool:
        """Whether the child was ever started."""
        return name in self._lives

    def is_up(self, name: str) -> bool:
        """Whether the child was started and is not waiting for its restart."""
        return name in self._lives and self._lives[name].restart_at is None

    def note_death(self, ended: Ended, how: str) -> float:
        """A child ended without being asked to, `how` in words: plan its restart; the pause in seconds.

        Raises `ProcessError` with the end of its log when it died too often in a row.
        """
        name, life = ended.child, self._lives[ended.child]
        life.deaths += 1
        self.engine.stop(name)
        if life.deaths >= MOST_DEATHS:
            raise ProcessError(
                f"{name} died {life.deaths} times in a row, the last time {how}; "
                f"its log {self.log_of(name)} ends with:\n{self._end_of_log(name)}\n"
                "What is done is safe: remove the cause and start the same command again."
            )
        pause = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0 ** (life.deaths - 1))
        life.restart_at = self.clock() + pause
        return pause

    def describe(self, ended: Ended) -> str:
        """How a child ended, in words; to be asked once for each death."""
        kills = self.memory_kills()
        for_memory, self._memory_kills = kills > self._memory_kills, kills
        if ended.reason:
            return ended.reason
        if ended.code == -signal.SIGKILL and for_memory:
            return "killed by the system for lack of memory: use fewer workers, or a smaller worker.cache_positions"
        return f"signal {-ended.code}" if ended.code < 0 else f"exit code {ended.code}"

    def note_success(self, name: str) -> None:
        """A child did something useful: earlier deaths no longer count."""
        self._lives[name].deaths = 0

    def restart_due(self) -> list[str]:
        """Restart the children whose pause is over; their names."""
        now = self.clock()
        due = [name for name, life in self._lives.items() if life.restart_at is not None and life.restart_at <= now]
        for name in due:
            life = self._lives[name]
            life.restart_at = None
            self.engine.start(name, life.service, life.settings)
        return due

    def _end_of_log(self, name: str) -> str:
        try:
            lines = self.log_of(name).read_text(errors="replace").splitlines()
        except OSError:
            lines = []
        return "\n".join(f"  {line}" for line in lines[-_LOG_LINES:]) or "  (nothing)"
