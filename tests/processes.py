"""Looking at processes from tests."""

from __future__ import annotations

import contextlib
import os
import re
import select
import time
from pathlib import Path


def is_running(pid: int) -> bool:
    """Whether the process runs; one that ended but was not yet taken note of (a zombie) does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:  # it ended just now, or this platform has no /proc
        return not Path("/proc/self").exists()


def seen_until(descriptor, what, seconds=20.0):
    """What a terminal shows until it shows the pattern `what`."""
    shown, until = b"", time.monotonic() + seconds
    while not re.search(what, shown):
        assert time.monotonic() < until, shown
        if select.select([descriptor], [], [], 0.1)[0]:
            shown += os.read(descriptor, 65536)
    return shown


@contextlib.contextmanager
def ended(process):
    """The process, which is gone after the block, whatever happens in it."""
    with process:
        try:
            yield process
        finally:
            process.kill()


def answers(engine, count, seconds=20):
    """The next `count` things that happen to an engine's children."""
    found, until = [], time.monotonic() + seconds
    while len(found) < count:
        found += engine.poll(0.05)
        assert time.monotonic() < until, f"only {found}"
    return found
