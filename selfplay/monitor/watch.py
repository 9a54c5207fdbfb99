"""One look at a run for all who watch it: no look is made while the last one is young enough."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from selfplay.monitor.snapshot import Reader, Snapshot


class Watch:
    """Looks in a thread, so that the pages stay alive while a disk is slow; never while nobody asks.

    Args:
        folder: of the run; raises `RunError` where there is none.
        interval: seconds that a snapshot stays fresh.
    """

    def __init__(self, folder: Path, *, interval: float) -> None:
        self.folder = folder
        self.interval = interval
        self._reader = Reader(folder)
        self._snapshot = self._reader.look()  # the long one: a large run has a long log
        self._looked = time.monotonic()
        self._turn = asyncio.Lock()

    async def newest(self) -> Snapshot:
        """The run as it stands, at most `interval` seconds old."""
        async with self._turn:
            if time.monotonic() - self._looked > 0.9 * self.interval:
                self._snapshot = await asyncio.to_thread(self._reader.look)
                self._looked = time.monotonic()
            return self._snapshot
