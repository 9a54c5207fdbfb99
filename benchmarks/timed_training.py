"""Training for so many minutes, which may come in pieces: for benchmarks of strength.

Minutes count where training ran, noted in the folder of the run. Time that the host of a shared machine gave to others
is not counted, but stated.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

from machine import stolen_seconds

SELFPLAY = Path(sys.executable).with_name("selfplay")
POLL_SECONDS = 2.0


class Spent(NamedTuple):
    """Seconds of training so far."""

    seconds: float = 0.0  # counted
    stolen: float = 0.0  # that others had the cores, not counted

    @classmethod
    def read(cls, notes: Path) -> Spent:
        return cls(**json.loads(notes.read_text())) if notes.exists() else cls()

    def plus(self, wall: float, stolen: float) -> Spent:
        """After so much more time by the clock, of which so much was stolen."""
        stolen = min(stolen, wall)
        return Spent(self.seconds + wall - stolen, self.stolen + stolen)


def train(folder: Path, asked: list[str], *, minutes: float) -> Spent:
    """Go on with `selfplay train` and these arguments until the run in the folder has had its minutes."""
    notes = folder / "strength.json"
    before = spent = Spent.read(notes)
    wanted = 60.0 * minutes
    if spent.seconds >= wanted:
        return spent
    command = [str(SELFPLAY), "train", *asked, "--model", str(folder / "model.pt"), "--data", str(folder / "data")]
    command += ["--rounds", "1000000", "--match-games", "0"]
    began, stolen = time.monotonic(), stolen_seconds()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as running:
        try:
            while running.poll() is None and spent.seconds < wanted:
                time.sleep(POLL_SECONDS)
                spent = before.plus(time.monotonic() - began, stolen_seconds() - stolen)
                notes.write_text(json.dumps(spent._asdict()))
        finally:
            if running.poll() is None:
                running.send_signal(signal.SIGTERM)  # SIGINT is ignored behind a shell's "&"
    if running.returncode not in (0, 130):
        raise SystemExit(f"selfplay train ended with {running.returncode}")
    return spent
