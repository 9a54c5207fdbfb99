"""One coordinator per run: an operating-system lock on `run.lock`, which a dead process cannot keep."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from selfplay.errors import RunError

_TRIES, _TRY_SECONDS = 5, 0.02


@contextlib.contextmanager
def hold(path: Path) -> Iterator[None]:
    """Hold the lock while the block runs; raises `RunError` naming who holds it already."""
    with open(path, "a+") as file:
        if not _lock(file):
            file.seek(0)
            holder = file.read().strip() or "another process"
            raise RunError(f"{path.parent} is in use by {holder}; wait for it, stop it, or choose another folder")
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
        file.flush()
        try:
            yield
        finally:
            file.truncate(0)


def _lock(file: IO[str]) -> bool:
    """Lock it; a monitor that looks who holds it is through in no time."""
    for _ in range(_TRIES):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            time.sleep(_TRY_SECONDS)
        else:
            return True
    return False


def holder(path: Path) -> str | None:
    """Who holds the lock now, as text, or None where nobody does."""
    try:
        with open(path) as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except OSError:
                return file.read().strip() or "another process"
    except FileNotFoundError:
        return None
    return None
