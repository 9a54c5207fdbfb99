"""How busy the cores were: CPU time of the coordinator and its children, out of what they say. Knows no clock."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class CpuTime:
    """CPU seconds of processes, and what of them fell into a lap."""

    _latest: dict[str, float] = field(default_factory=dict)  # name of a process -> what it used since it began
    _ended: float = 0.0  # used by processes that are gone
    _lap_began: float = 0.0  # wall time
    _before: float = 0.0  # used before this lap

    def note(self, name: str, seconds: float) -> None:
        """A process has used so many seconds since it began."""
        if seconds < self._latest.get(name, 0.0):  # another one by the same name
            self.forget(name)
        self._latest[name] = seconds

    def forget(self, name: str) -> None:
        """A process is gone."""
        self._ended += self._latest.pop(name, 0.0)

    def add(self, seconds: float) -> None:
        """Processes that nobody hears of themselves have used so many seconds more."""
        self._ended += seconds

    def begin(self, now: float) -> None:
        """The first lap begins at this wall time."""
        self._lap_began, self._before = now, self._used()

    def lap(self, now: float) -> dict[str, float]:
        """CPU and wall seconds of the lap that ends here, as fields of events; the next one begins."""
        used = self._used()
        found = {"cpu_seconds": round(used - self._before, 3), "span_seconds": round(now - self._lap_began, 3)}
        self._lap_began, self._before = now, used
        return found

    def _used(self) -> float:
        return self._ended + sum(self._latest.values())
