"""Batch files that are new: only folders that changed are listed again, and what was named is not named again, so that
a look at a run with a million games and ten thousand workers costs little more than the new ones.

A file that takes the place of another, under its name, is another file, by the number that the disk gives it (inode).
A folder's time of change is too coarse to show two changes at once, and the clock of a network disk need not be this
machine's: a folder counts as settled when it was listed some time after this process first saw its present time.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from selfplay.rundir.layout import RunLayout, batch_names, worker_names

SETTLED_SECONDS = 2.0


@dataclass
class _Folder:
    changed: int = -1  # its time of change, ns
    first_seen: float = 0.0  # on the clock
    is_settled: bool = False
    files: set[tuple[str, int]] = field(default_factory=set)  # that it held when it was listed last: name, inode

    def new_files(self, path: str) -> list[str]:
        """Names of the batch files that it did not hold before, sorted."""
        try:
            with os.scandir(path) as entries:
                there = {(entry.name, entry.inode()) for entry in entries}
        except (FileNotFoundError, NotADirectoryError):  # gone since it was looked at
            return []
        new, self.files = there - self.files, there
        return batch_names(name for name, _ in new)

    def may_have_changed(self, path: str, now: float) -> bool:
        """Whether to list it; False where it is not there."""
        try:
            changed = os.stat(path).st_mtime_ns
        except OSError:
            return False
        if changed != self.changed:
            self.changed, self.first_seen, self.is_settled = changed, now, False
        was_settled, self.is_settled = self.is_settled, now - self.first_seen >= SETTLED_SECONDS
        return not was_settled


class NewBatches:
    """Called again and again, names each batch file of a run once, soon after it is there.

    Args:
        layout: the run's.
        clock: seconds, rising.
    """

    def __init__(self, layout: RunLayout, clock: Callable[[], float] = time.monotonic) -> None:
        self._root, self._clock = str(layout.root), clock
        self._top = _Folder()
        self._folders: dict[str, _Folder] = {}  # of workers, by name

    def __call__(self) -> list[Path]:
        """Those that were not there at the last call, in an order that depends on their names alone."""
        now = self._clock()
        if self._top.may_have_changed(self._root, now):
            self._folders = {name: self._folders.get(name, _Folder()) for name in worker_names(os.listdir(self._root))}
        found = []
        for name, folder in self._folders.items():
            path = f"{self._root}/{name}"
            if folder.may_have_changed(path, now):
                found += [Path(path, file) for file in folder.new_files(path)]
        return found
