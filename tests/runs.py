"""Whole runs for tests: as processes, by the command, and inside this process, with children that fail on cue."""

from __future__ import annotations

import contextlib
import io
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from selfplay.cli.main import main
from selfplay.config import merged
from selfplay.coordinator.coordinator import Coordinator, Options
from selfplay.coordinator.run import RunRequest, open_run
from selfplay.engines.inline import InlineEngine
from selfplay.network.card import read_onnx_card
from selfplay.rundir.events import EventReader
from selfplay.rundir.layout import RunLayout
from selfplay.samples.batch_file import read_batch

SELFPLAY = Path(sys.executable).with_name("selfplay")
SMALL_CONNECT4 = [
    "connect4", "--games-per-round", "14", "--rounds", "2", "--seed", "7",
    "--set", "search.simulations=12", "--set", "network.blocks=1", "--set", "network.channels=8",
]  # fmt: skip
ALONE = ["--workers", "1", "--engine", "inline"]  # all in one process: cheaper where processes are not the point
TICTACTOE = ["tictactoe", "--games-per-round", "60", "--rounds", "3", "--seed", "7"]


def command(arguments, folder):
    return [
        SELFPLAY,
        "train",
        "--model",
        folder / "model.pt",
        "--data",
        folder / "data",
        "--match-games",
        "0",
        *arguments,
    ]


def train(arguments, folder, code=0):
    folder.mkdir(exist_ok=True)
    words = list(map(str, command(arguments, folder)))
    if "inline" in words:
        return in_this_process(words[1:], code)
    done = subprocess.run(words, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == code, f"{done.returncode}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr
    return done.stdout if code == 0 else done.stderr


def in_this_process(words, code=0):
    """What a command prints, without a new process, which would have to load everything first."""
    out, err, before = io.StringIO(), io.StringIO(), (sys.argv, signal.getsignal(signal.SIGTERM))
    sys.argv = ["selfplay", *words]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as end:
            main()
    finally:
        sys.argv = before[0]
        signal.signal(signal.SIGTERM, before[1])
    assert end.value.code == code, f"{end.value.code}\n{out.getvalue()}\n{err.getvalue()}"
    return out.getvalue() if code == 0 else err.getvalue()


def info(folder):
    return json.loads(in_this_process(["info", str(folder / "model.pt"), "--json"]))


def games_of(folder):
    """Every game of the run: (round, number) -> record, each exactly once."""
    games = {}
    for path in RunLayout(folder / "data").batch_files():
        batch = read_batch(path)
        for game in batch.games:
            assert games.setdefault((batch.round, game.number), game) == game
    return games


def wait_for(condition, seconds=60):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "timed out"
        time.sleep(0.02)


def children_of(pid):
    """Those that run their own program by now: until a new one does, its parent stands still, and signals hit both."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in children if _command_line(child) not in (b"", _command_line(pid))]


def _command_line(pid):
    """Empty where it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


# --- inside this process ---------------------------------------------------------------------------------------

SMALL = {
    "search": {"simulations": 4},
    "network": {"blocks": 1, "channels": 8},
    "selfplay": {"games_per_round": 25, "device": "cpu"},
    "training": {"threads": 1, "passes": 2.0},
    "evaluation": {"games": 0},
}


def run(tmp_path, engine, rounds=2, workers=2, seed=0, assignments=None):
    settings = merged(SMALL, {"selfplay": {"seed": seed}}, assignments or {})
    opened = open_run(RunRequest(tmp_path / "data", tmp_path / "model.pt", game="tictactoe", assignments=settings))
    lines = []
    Coordinator(
        opened, Options(workers=workers, rounds=rounds), engine, show=lambda status: None, say=lines.append
    ).work()
    return read_onnx_card(tmp_path / "model.onnx"), lines


def kinds_of_events(tmp_path):
    return [type(event).__name__.lower() for event in EventReader(tmp_path / "data" / "events.jsonl")]


def games_of_round_1(tmp_path):
    files = (tmp_path / "data").glob("worker_*/batch_r0001_*.json")
    return sorted((game for path in files for game in read_batch(path).games), key=lambda game: game.number)


def events_of(tmp_path, kind):
    return [event for event in EventReader(tmp_path / "data" / "events.jsonl") if isinstance(event, kind)]


class Stalling(InlineEngine):
    """Gives a worker no turn from its n-th on, until it is started anew."""

    def __init__(self, victim, turn):
        super().__init__()
        self.victim, self.turns_left = victim, turn
        self.starts = []

    def start(self, name, service, settings):
        super().start(name, service, settings)
        self.starts.append(name)
        if self.starts.count(self.victim) == 2:
            self.victim = ""

    def _turn(self, name):
        if name == self.victim:
            self.turns_left -= 1
            if self.turns_left < 0:
                return []
        return super()._turn(name)


class Interrupting(InlineEngine):
    """Ctrl-C at the n-th look, and once more where there are two numbers."""

    def __init__(self, *looks):
        super().__init__()
        self.looks, self.looked = looks, 0

    def poll(self, timeout_seconds):
        self.looked += 1
        if self.looked in self.looks:
            raise KeyboardInterrupt
        return super().poll(timeout_seconds)
