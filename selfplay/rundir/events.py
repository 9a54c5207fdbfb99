"""The log of what happened in a run, `events.jsonl`: one JSON object per line, append only. `event_types.py` says what
can stand there; times, speeds and host names stand there and nowhere else.

Nothing that decides what the run computes is read back from here.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from selfplay.errors import RunError
from selfplay.files import is_disk_full
from selfplay.rundir.event_types import AnyEvent

LONGEST_LINE = 1 << 20  # bytes; the progress of a thousand workers takes a tenth
_decoder: msgspec.json.Decoder[AnyEvent] = msgspec.json.Decoder(AnyEvent)


class EventLog:
    """Appends to the log; one line per write, so that readers meet whole lines or a torn last one."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._may_be_torn = True

    def add(self, event: AnyEvent) -> None:
        """Append an event, now. Where the disk has no room it is left out: nothing depends on events.

        Raises `RunError` where the log cannot be written for another reason.
        """
        line = msgspec.json.encode(msgspec.structs.replace(event, time=round(time.time(), 3)))
        try:
            if self._may_be_torn:
                _end_torn_line(self._path)
            with open(self._path, "ab") as file:
                file.write(line + b"\n")
            self._may_be_torn = False
        except OSError as error:
            self._may_be_torn = True
            if not is_disk_full(error):
                hint = "; the run's folder is gone" if isinstance(error, FileNotFoundError) else ""
                raise RunError(f"cannot write {self._path}: {error.strerror or error}{hint}") from error


def _end_torn_line(path: Path) -> None:
    """A writer that was killed inside a line must not swallow the next one."""
    if path.exists() and path.stat().st_size:
        with open(path, "rb+") as file:
            file.seek(-1, 2)
            if file.read(1) != b"\n":
                file.write(b"\n")


class EventReader:
    """Reads a log on from where it last stopped; nothing is read twice.

    Iterating gives the events since the last time. Torn lines are waited for, lines that are no events passed over.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0  # of the first byte of a line

    def __iter__(self) -> Iterator[AnyEvent]:
        with contextlib.suppress(FileNotFoundError), open(self._path, "rb") as file:
            if file.seek(0, 2) < self._offset:  # another log took its place
                self._offset = 0
            file.seek(self._offset)
            while line := file.readline(LONGEST_LINE):
                if line.endswith(b"\n") or len(line) == LONGEST_LINE:  # what is too long is taken in pieces, none fits
                    self._offset += len(line)
                    if (event := _event(line)) is not None:
                        yield event


def _event(line: bytes) -> AnyEvent | None:
    try:
        return _decoder.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
