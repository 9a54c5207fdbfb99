"""How many files a run has and how large they are, looked up anew only where something changed.

A folder whose time of change stands still is not listed again; a file that is never changed is not asked for its size
again. So a look at ten thousand files costs what the new ones cost.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from pathlib import Path

_BLOCK_BYTES = 512
_SETTLED_SECONDS = 1.0  # a folder's time is too coarse to show two changes at once


@dataclass
class _Folder:
    changed: int = -1  # its time of change when it was listed, ns; -1 = list it again
    files: dict[str, tuple[int, int]] = field(default_factory=dict)  # name -> bytes, bytes on disk
    folders: list[str] = field(default_factory=list)


class FolderWatch:
    """Sizes of the files below a folder. `look` brings it up to date."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._known: dict[str, _Folder] = {}
        self._disk_bytes = 0

    @property
    def disk_bytes(self) -> int:
        """What all files take on the disk."""
        return self._disk_bytes

    def sizes(self, folder: Path) -> dict[str, int]:
        """Names and bytes of the files in a folder below the root, as last looked at."""
        known = self._known.get(str(folder))
        return {name: size for name, (size, _) in known.files.items()} if known else {}

    def folders(self) -> list[str]:
        """Names of the folders in the root, as last looked at."""
        root = self._known.get(str(self._root))
        return root.folders if root else []

    def look(self) -> None:
        """See what changed."""
        seen: dict[str, _Folder] = {}
        waiting = [str(self._root)]
        while waiting:
            path = waiting.pop()
            if (folder := self._looked_at(path)) is not None:
                seen[path] = folder
                waiting += [os.path.join(path, name) for name in folder.folders]
        self._known = seen
        self._disk_bytes = sum(on_disk for folder in seen.values() for _, on_disk in folder.files.values())

    def _looked_at(self, path: str) -> _Folder | None:
        """The folder as it is now, None where it vanished."""
        known = self._known.get(path, _Folder())
        try:
            changed = os.stat(path).st_mtime_ns
            if changed != known.changed:
                known = _listed(path, known)
        except OSError:
            return None
        for name in known.files:
            if _grows(name):
                known.files[name] = _size(os.path.join(path, name))
        is_settled = time.time() - changed / 1e9 > _SETTLED_SECONDS
        known.changed = changed if is_settled else -1
        return known


def _listed(path: str, known: _Folder) -> _Folder:
    listed = _Folder()
    with os.scandir(path) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                listed.folders.append(entry.name)
            else:
                listed.files[entry.name] = known.files.get(entry.name) or _size(entry.path)
    return listed


def _grows(name: str) -> bool:
    """Whether a file of this name is written to, and not only renamed to its place."""
    return name.endswith((".jsonl", ".log", ".tmp", ".lock"))


def _size(path: str) -> tuple[int, int]:
    """A file's bytes, and those on disk; nothing where it vanished meanwhile."""
    try:
        status = os.stat(path, follow_symlinks=False)
    except OSError:
        return 0, 0
    return status.st_size, status.st_blocks * _BLOCK_BYTES
