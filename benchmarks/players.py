"""Processes that play when they are told to, each pinned to a core; what they speak: `peer_systems/driver.py`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import psutil

SYSTEMS = Path(__file__).parent / "peer_systems"


class Player:
    """A driver that is ready to play.

    Args:
        driver: its file in `peer_systems/`, with its arguments.
        python: the interpreter of its environment.
        core: the only core it may use; any, if it is not given.
    """

    def __init__(self, driver: list[str], *, core: int | None = None, python: Path = Path(sys.executable)) -> None:
        self._driver, started = driver, time.perf_counter()
        alone = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "MKL", "OPENBLAS", "NUMBA")}
        pinned = [] if core is None else ["taskset", "--cpu-list", str(core)]
        self._child = subprocess.Popen(
            [*pinned, str(python), str(SYSTEMS / driver[0]), *driver[1:]],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, **alone, "JAX_PLATFORMS": "cpu"},
        )
        self.answer()  # ready
        self.start_up_seconds = time.perf_counter() - started

    @classmethod
    def several(cls, driver: list[str], cores: Sequence[int | None]) -> list[Player]:
        """One for each core, all started at once."""
        with ThreadPoolExecutor(len(cores)) as starting:
            return list(starting.map(lambda core: cls(driver, core=core), cores))

    def tell(self, what: str, seconds: float) -> None:
        """Have something done; `answer` says when, and what came out."""
        assert self._child.stdin is not None
        self._child.stdin.write(f"{what} {seconds}\n")
        self._child.stdin.flush()

    def answer(self) -> dict[str, float]:
        """What the driver says next; ends with a message where it has died."""
        assert self._child.stdout is not None
        line = self._child.stdout.readline()
        if not line:
            raise SystemExit(f"a driver ended; see why: python benchmarks/peer_systems/{' '.join(self._driver)}")
        answer: dict[str, float] = json.loads(line)
        return answer

    def ask(self, what: str, seconds: float) -> dict[str, float]:
        """Have something done, and what came out."""
        self.tell(what, seconds)
        return self.answer()

    def most_megabytes(self) -> float:
        """The most memory it ever held."""
        status = Path(f"/proc/{self._child.pid}/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) * 1024 / 1e6

    def own_megabytes(self) -> float:
        """Memory that would be free if it ended: without what it shares with others of its kind."""
        return float(psutil.Process(self._child.pid).memory_full_info().uss) / 1e6

    def close(self) -> None:
        """End it."""
        self._child.communicate()


@contextmanager
def fresh_model(blocks: int, channels: int, precision: str) -> Iterator[Path]:
    """The inference file of an untrained Connect Four model."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.pt"
        command = [sys.executable, str(SYSTEMS / "ours.py"), "write", str(path), str(blocks), str(channels), precision]
        subprocess.run(command, check=True)  # a process of its own: players hold no torch
        yield path.with_suffix(".onnx")
