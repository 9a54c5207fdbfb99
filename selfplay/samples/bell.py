"""Wakes who waits for files: a bell that rings when one lands below a folder.

An alarm clock, not the truth: network disks ring no bells, so a timer must stand beside it, and the listing decides
what is there. Files land here by being renamed, and the system is asked for renames only: everything else that goes
on in a folder would cost its listeners a percent of the cores.
"""

from __future__ import annotations

import contextlib
import logging
import os
from pathlib import Path
from types import TracebackType

from watchdog.events import FileMovedEvent, FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer


class FolderBell:
    """While the block runs, `rang` tells whether something landed, and `descriptor` is readable when it did."""

    def __init__(self, folder: Path) -> None:
        # What goes on in there may go wrong (an observer stops while events come in) and concerns nobody.
        logging.getLogger("watchdog").addHandler(logging.NullHandler())
        self.descriptor, self._end = os.pipe()
        os.set_blocking(self.descriptor, False)
        os.set_blocking(self._end, False)
        self._observer = Observer()
        self._observer.schedule(_Ringer(self._end), str(folder), recursive=True, event_filter=[FileMovedEvent])
        self._observer.daemon = True

    def __enter__(self) -> FolderBell:
        with contextlib.suppress(OSError):  # no watches left on this machine: the timer has to do
            self._observer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._observer.is_alive():
            self._observer.stop()
            self._observer.join()
        os.close(self.descriptor)
        os.close(self._end)

    def rang(self) -> bool:
        """Whether something landed since the last call."""
        with contextlib.suppress(BlockingIOError):
            return bool(os.read(self.descriptor, 4096))
        return False


class _Ringer(FileSystemEventHandler):
    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def on_moved(self, event: FileSystemEvent) -> None:
        with contextlib.suppress(OSError):  # it rings already, or nobody listens any more
            os.write(self._descriptor, b"!")
