"""One coordinator per run: an operating-system lock on `run.lock`, which a dead process cannot keep."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from selfplay.errors import RunError


@contextlib.contextmanager
def hold(path: Path) -> Iterator[None]:
    """Hold the lock while the block runs; raises `RunError` naming who holds it already."""
    with open(path, "a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            holder = file.read().strip() or "another process"
            raise RunError(
                f"{path.parent} is in use by {holder}; wait for it, stop it, or choose another folder"
            ) from None
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
        file.flush()
        try:
            yield
        finally:
            file.truncate(0)


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
