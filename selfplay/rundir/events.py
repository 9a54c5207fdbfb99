"""What happened in a run, one JSON object per line, append only: the place for times, speeds and host names.

Every line has `time` (seconds since 1970, UTC) and `event`; the rest depends on the event:

    started    workers, cores, host, pid, rounds      a coordinator begins or goes on
    playing    round, games                           games of a round are handed out
    progress   round, games, workers                  every few seconds: per worker its state and counts
    batch      worker, round, file, games             a batch file was accepted
    rejected   file, reason                           a batch file went to quarantine
    straggling worker, round, games                   an idle worker plays this worker's last games too
    copy       worker, file                           all games of this file were there already: it was removed
    died       child, code, reason                    a child process ended by itself, or was killed because it hung
    recovering round, reason                          ranks of the trainer failed, the round's training starts again
    trained    round, losses, positions, seconds,     a round was trained, with the model's fingerprint
               plan, ranks, samples_per_second,       how it was spread over the machine, and where its time went:
               shares, batches, loss_per_rank, …      `training/statistics.py`
    match      against, score, error, games           a match at the end
    waiting    reason                                 there is no room on the disk; the run goes on when there is
    stopped    reason                                 the coordinator ends

Nothing that decides what the run computes is read back from here.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import msgspec

from selfplay.errors import RunError
from selfplay.files import is_disk_full

Event = dict[str, Any]


class EventLog:
    """Appends to the log; one line per write, so that readers meet whole lines or a torn last one."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._may_be_torn = True

    def add(self, event: str, **facts: Any) -> None:
        """Append an event now. Where the disk has no room it is left out: nothing depends on events.

        Raises `RunError` where the log cannot be written for another reason.
        """
        line = msgspec.json.encode({"time": round(time.time(), 3), "event": event, **facts})
        try:
            if self._may_be_torn:
                _end_torn_line(self._path)
            with open(self._path, "ab") as file:
                file.write(line + b"\n")
            self._may_be_torn = False
        except OSError as error:
            self._may_be_torn = True
            if not is_disk_full(error):
                raise RunError(f"cannot write {self._path}: {error.strerror or error}") from error


def _end_torn_line(path: Path) -> None:
    """A writer that was killed inside a line must not swallow the next one."""
    if path.exists() and path.stat().st_size:
        with open(path, "rb+") as file:
            file.seek(-1, 2)
            if file.read(1) != b"\n":
                file.write(b"\n")


def read_events(path: Path, *, offset: int = 0) -> tuple[list[Event], int]:
    """Whole events from byte `offset` on, and the offset to go on from; lines that are no events are passed over."""
    try:
        with open(path, "rb") as file:
            file.seek(offset)
            content = file.read()
    except FileNotFoundError:
        return [], 0
    whole = content[: content.rfind(b"\n") + 1]
    events = []
    for line in whole.splitlines():
        try:
            event = msgspec.json.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
        if isinstance(event, dict) and "event" in event:
            events.append(event)
    return events, offset + len(whole)
