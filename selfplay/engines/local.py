"""Children as processes of this machine, one JSON line each way over their standard input and output.

A child ends itself when its standard input closes, so nothing outlives a killed coordinator. A child that hangs is
killed: a process that is stopped or starved, and one whose work gives no sign any more.
"""

from __future__ import annotations

import contextlib
import os
import queue
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import msgspec

from selfplay.engines.engine import ALIVE, FINISH, Answer, Ended, Message

STOP_GRACE_SECONDS = 2.0
SILENT_SECONDS = 15.0  # without a word from a process that speaks every second
STUCK_SECONDS = 1800.0  # without a sign from work that gives many each second, but for taking in years of games
LONGEST_LOOK_SECONDS = 1.0  # counted at most between two looks: a coordinator that slept itself accuses nobody


@dataclass
class _Child:
    process: subprocess.Popen[bytes]
    reader: threading.Thread
    silent: float = 0.0  # seconds since its process spoke
    stuck: float = 0.0  # seconds since its work gave a sign, or it had none to do
    signs: int = -1
    reason: str = ""  # why it was killed

    def hear(self, message: Message) -> None:
        """Its process spoke."""
        self.silent = 0.0
        if message.get("event") != ALIVE:
            self.stuck = 0.0
        elif not message["busy"] or message["signs"] != self.signs:
            self.stuck, self.signs = 0.0, message["signs"]


class LocalEngine:
    """Starts each child as `python -m selfplay.engines.child`, with its log in `logs`."""

    def __init__(
        self, logs: Path, *, silent_seconds: float = SILENT_SECONDS, stuck_seconds: float = STUCK_SECONDS
    ) -> None:
        self._logs = logs
        self._silent_seconds, self._stuck_seconds = silent_seconds, stuck_seconds
        self._looked = time.monotonic()
        self._children: dict[str, _Child] = {}
        self._arrived: queue.SimpleQueue[tuple[_Child, Answer | Ended]] = queue.SimpleQueue()

    def start(self, name: str, service: str, settings: Message) -> None:
        # One thread for every math library in a child: the cores are shared out by the number of children. The
        # trainer sets its own number of threads.
        environment = {
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
            "MKL_NUM_THREADS": "1",
        }
        with open(self._logs / f"{name}.log", "ab") as log:
            process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "selfplay.engines.child",
                    service,
                    msgspec.json.encode(settings).decode(),
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=environment,
            )
        assert process.stdout is not None
        reader = threading.Thread(target=self._read, args=(name, process.stdout), daemon=True)
        self._children[name] = _Child(process, reader)
        reader.start()

    def send(self, name: str, message: Message) -> None:
        self._write(name, msgspec.json.encode(message))

    def finish(self, name: str) -> None:
        self._write(name, FINISH)

    def is_ready(self, name: str) -> bool:
        return True  # what is sent meanwhile waits for it

    def _write(self, name: str, line: bytes) -> None:
        stdin = self._children[name].process.stdin
        assert stdin is not None
        with contextlib.suppress(BrokenPipeError):  # a dead child is reported by its reader
            stdin.write(line + b"\n")
            stdin.flush()

    def poll(self, timeout_seconds: float) -> list[Answer | Ended]:
        arrived: list[tuple[_Child, Answer | Ended]] = []
        with contextlib.suppress(queue.Empty):
            arrived.append(self._arrived.get(timeout=timeout_seconds))
            while True:
                arrived.append(self._arrived.get_nowait())
        self._kill_the_hung()
        # Nothing from one that was stopped meanwhile, nor from the one that had the name before.
        return [item for child, item in arrived if self._children.get(item.child) is child]

    def _kill_the_hung(self) -> None:
        """Their readers then report their end."""
        now = time.monotonic()
        passed, self._looked = min(now - self._looked, LONGEST_LOOK_SECONDS), now
        for child in self._children.values():
            child.silent += passed
            child.stuck += passed
            if child.silent > self._silent_seconds:
                child.reason = f"hung: not a sign of life for {child.silent:.0f} s"
            elif child.stuck > self._stuck_seconds:
                child.reason = f"hung: its work gave no sign for {child.stuck:.0f} s"
            if child.reason:
                child.process.kill()

    def stop(self, name: str) -> None:
        child = self._children.pop(name)
        self._ask_to_end(child)
        self._make_end(child)

    def stop_all(self) -> None:
        children = list(self._children.values())
        self._children.clear()
        for child in children:
            self._ask_to_end(child)
        for child in children:
            self._make_end(child)

    def _ask_to_end(self, child: _Child) -> None:
        assert child.process.stdin is not None
        with contextlib.suppress(OSError):
            child.process.stdin.close()
        child.process.terminate()

    def _make_end(self, child: _Child) -> None:
        try:
            child.process.wait(STOP_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            child.process.kill()
            child.process.wait()
        child.reader.join()

    def _read(self, name: str, stdout: IO[bytes]) -> None:
        """Runs in a thread: pass on the child's lines, then its end."""
        child = self._children[name]
        with stdout:
            for line in stdout:
                with contextlib.suppress(msgspec.DecodeError):  # the torn last line of a killed child
                    message = msgspec.json.decode(line)
                    child.hear(message)
                    if message.get("event") != ALIVE:
                        self._arrived.put((child, Answer(name, message, message.pop("cpu", None))))
        self._arrived.put((child, Ended(name, child.process.wait(), child.reason)))
