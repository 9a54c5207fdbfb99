"""Kills a process at a named point. Python loads this file by itself where its folder is on PYTHONPATH, which only
`benchmarks/crash_equivalence.py` sees to: the program itself holds no fault hook that could be left on.

A point is a moment around one step of a file's way to the disk, or around an event's line in the log:

    write worker/batch.json, torn        half of the temporary file is written
    sync models/round.pt, before         and so on: write, sync, rename; before, after
    event trained, after

FAULT_RECORD names a file: the points that are reached are written to it, one a line.
FAULT_POINT names a point, FAULT_MARK a file: the first process to reach the point makes the file and dies. Once.
"""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import selfplay.files
import selfplay.rundir.events


def reach(point: str) -> None:
    """Note the point, or die at it."""
    record, target = os.environ.get("FAULT_RECORD"), os.environ.get("FAULT_POINT")
    if record:
        with open(record, "a") as file:
            file.write(point + "\n")
    if point == target and _is_first(os.environ["FAULT_MARK"]):
        os.kill(os.getpid(), signal.SIGKILL)


def _is_first(mark: str) -> bool:
    try:
        os.close(os.open(mark, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True


def kind_of(path: Path) -> str:
    """`models/round.pt` for data/models/.round_0007.pt.123.tmp: folder and name without numbers."""
    name = re.sub(r"\.\d+\.tmp$", "", path.name).lstrip(".")
    return re.sub(r"_?[rg]?\d+", "", f"{path.parent.name}/{name}")


def around(name: str, step: Callable[..., None]) -> Callable[..., None]:
    """The step of `selfplay.files` with a point before and after it."""

    def stepped(path: Path, *arguments: Any) -> None:
        point = f"{name} {kind_of(path)}"
        reach(f"{point}, before")
        if name == "write" and os.environ.get("FAULT_POINT") == f"{point}, torn":
            step(path, arguments[0][: len(arguments[0]) // 2])
        reach(f"{point}, torn") if name == "write" else None
        step(path, *arguments)
        reach(f"{point}, after")

    return stepped


def around_event(add: Callable[..., None]) -> Callable[..., None]:
    """`EventLog.add` with a point before and after it."""

    def added(log: Any, event: Any) -> None:
        kind = type(event).__name__.lower()
        reach(f"event {kind}, before")
        add(log, event)
        reach(f"event {kind}, after")

    return added


for _step in ("write", "sync", "rename"):
    setattr(selfplay.files, f"_{_step}", around(_step, getattr(selfplay.files, f"_{_step}")))
selfplay.rundir.events.EventLog.add = around_event(selfplay.rundir.events.EventLog.add)  # type: ignore[method-assign]  # a fault
