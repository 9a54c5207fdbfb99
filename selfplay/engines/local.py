"""Children as processes of this machine, one JSON line each way over their standard input and output.

A child ends itself when its standard input closes, so nothing outlives a killed coordinator.
"""

from __future__ import annotations

import contextlib
import os
import queue
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import msgspec

from selfplay.engines.engine import Answer, Ended, Message

STOP_GRACE_SECONDS = 2.0


@dataclass
class _Child:
    process: subprocess.Popen[bytes]
    reader: threading.Thread


class LocalEngine:
    """Starts each child as `python -m selfplay.engines.child`, with its log in `logs`."""

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._children: dict[str, _Child] = {}
        self._arrived: queue.SimpleQueue[Answer | Ended] = queue.SimpleQueue()

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
        reader = threading.Thread(target=self._read, args=(name, process, process.stdout), daemon=True)
        self._children[name] = _Child(process, reader)
        reader.start()

    def send(self, name: str, message: Message) -> None:
        stdin = self._children[name].process.stdin
        assert stdin is not None
        with contextlib.suppress(BrokenPipeError):  # a dead child is reported by its reader
            stdin.write(msgspec.json.encode(message) + b"\n")
            stdin.flush()

    def poll(self, timeout_seconds: float) -> list[Answer | Ended]:
        arrived: list[Answer | Ended] = []
        with contextlib.suppress(queue.Empty):
            arrived.append(self._arrived.get(timeout=timeout_seconds))
            while True:
                arrived.append(self._arrived.get_nowait())
        return [item for item in arrived if item.child in self._children]

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

    def _read(self, name: str, process: subprocess.Popen[bytes], stdout: IO[bytes]) -> None:
        """Runs in a thread: pass on the child's lines, then its end."""
        with stdout:
            for line in stdout:
                with contextlib.suppress(msgspec.DecodeError):  # the torn last line of a killed child
                    self._arrived.put(Answer(name, msgspec.json.decode(line)))
        code = process.wait()
        child = self._children.get(name)
        if child is not None and child.process is process:  # not one that was stopped or replaced
            self._arrived.put(Ended(name, code))
