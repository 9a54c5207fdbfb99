"""Keeps children alive: starts them, restarts the dead after a growing pause, gives up when that does not help."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from selfplay.engines.engine import Engine, Message
from selfplay.errors import ProcessError

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
    """

    engine: Engine
    log_of: Callable[[str], Path]
    clock: Callable[[], float]
    _lives: dict[str, _Life] = field(default_factory=dict)

    def start(self, name: str, service: str, settings: Message) -> None:
        """Begin a child and keep it alive from now on."""
        self._lives[name] = _Life(service, settings)
        self.engine.start(name, service, settings)

    def knows(self, name: str) -> bool:
        """Whether the child was ever started."""
        return name in self._lives

    def is_up(self, name: str) -> bool:
        """Whether the child was started and is not waiting for its restart."""
        return name in self._lives and self._lives[name].restart_at is None

    def note_death(self, name: str, code: int) -> float:
        """A child ended by itself: plan its restart; the pause in seconds.

        Raises `ProcessError` with the end of its log when it died too often in a row.
        """
        life = self._lives[name]
        life.deaths += 1
        self.engine.stop(name)
        if life.deaths >= MOST_DEATHS:
            raise ProcessError(
                f"{name} died {life.deaths} times in a row, the last time with {_describe_exit(code)}; "
                f"its log {self.log_of(name)} ends with:\n{self._end_of_log(name)}"
            )
        pause = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0 ** (life.deaths - 1))
        life.restart_at = self.clock() + pause
        return pause

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


def _describe_exit(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"
