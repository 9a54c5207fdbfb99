"""A series of figures over time that stays small however long it grows: when it is full, every second point goes."""

from __future__ import annotations

MOST_POINTS = 1000
Point = tuple[float, float, float]  # time, and two figures


class Series:
    """Takes points one after another; keeps at most `most`, evenly spread."""

    def __init__(self, most: int = MOST_POINTS) -> None:
        self._most = most
        self._points: list[Point] = []
        self._stride = 1  # every how many points one is kept
        self._skipped = 0
        self._last: Point | None = None

    def add(self, time: float, first: float, second: float) -> None:
        """Take one more point."""
        self._last = (time, first, second)
        self._skipped += 1
        if self._skipped < self._stride:
            return
        self._skipped = 0
        self._points.append(self._last)
        if len(self._points) > self._most:
            del self._points[::2]
            self._stride *= 2

    def points(self) -> tuple[Point, ...]:
        """What is kept, and the newest point."""
        kept = self._points
        return (*kept, self._last) if self._last and (not kept or kept[-1] != self._last) else tuple(kept)
