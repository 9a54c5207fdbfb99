"""How many workers one coordinator can serve: the real coordinator, trainer's pool and files, and made-up workers.

    python benchmarks/coordinator_scale.py                              100, 1,000 and 10,000 workers, about 4 minutes
    python benchmarks/coordinator_scale.py --workers 1000 --games-per-second 2000

A round of Connect Four is played by workers that one process beside pretends to be: it answers the coordinator's
messages as workers do, two words of progress a second each, and writes batch files of random games with made-up
searches, which are valid in all else. All workers together play `--games-per-second`. Reported are games taken in per
second, seconds from a game's file to the trainer's pool (of the oldest game in each collection: median and worst), the
share of a core and the memory of the coordinator, and the same of the trainer, which collects.
"""

from __future__ import annotations

import argparse
import contextlib
import heapq
import json
import multiprocessing
import resource
import sys
import tempfile
import time
from collections import deque
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import psutil
from machine import facts
from made_up_games import random_games
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from selfplay.coordinator.coordinator import Coordinator, Options
from selfplay.coordinator.crew import TRAINER
from selfplay.coordinator.run import RunRequest, open_run
from selfplay.coordinator.status import Status
from selfplay.engines.engine import Answer, Ended, Message
from selfplay.engines.local import LocalEngine
from selfplay.games.registry import load_rules
from selfplay.samples.batch_file import GAMES_PER_FILE, BatchHeader, GameRecord, encode_batch, game_seed
from selfplay.samples.writer import batch_name
from selfplay.settings import SearchSettings

PROGRESS_SECONDS = 0.5
TURN_SECONDS = 0.02
GAME = "connect4"


# --- the made-up workers, in a process of their own ---------------------------------------------------------------


@dataclass
class Pretender:
    """One worker."""

    name: str
    out: Path
    task: dict[str, Any] = field(default_factory=dict)
    done: int = 0  # games of its task


class Swarm:
    """All workers: a heap of what is due when."""

    def __init__(self, pipe: Connection, seconds_per_game: float, search: Message) -> None:
        rules = load_rules(GAME)
        self._pipe, self._seconds_per_game, self._search = pipe, seconds_per_game, search
        self._info = rules.info
        self._games = random_games(rules, msgspec.convert(search, SearchSettings).simulations)
        self._workers: dict[str, Pretender] = {}
        self._due: list[tuple[float, int, str, str]] = []  # time, a number that breaks ties, what, who
        self._said: list[tuple[str, Message]] = []
        self._written: list[tuple[float, int]] = []  # when files were written, and games by then
        self._count = self._ties = 0
        self._rng = np.random.default_rng(0)

    def work(self) -> None:
        """Until told to stop."""
        while True:
            while self._pipe.poll(0):
                asked = self._pipe.recv()
                if asked is None:
                    self._pipe.send(self._written)
                    return
                self._hear(*asked)
            now = time.monotonic()
            while self._due and self._due[0][0] <= now:
                at, _, what, name = heapq.heappop(self._due)
                self._progress(self._workers[name], at) if what == "progress" else self._play(self._workers[name], at)
            if self._said:
                self._pipe.send(self._said)
                self._said = []
            time.sleep(TURN_SECONDS)

    def _hear(self, what: str, name: str, table: Message) -> None:
        now = time.monotonic()
        if what == "start":
            self._workers[name] = Pretender(name, Path(table["out"]))
            self._workers[name].out.mkdir()
            return
        worker = self._workers[name]
        worker.task, worker.done = table, 0
        self._plan(now + self._rng.uniform(0, PROGRESS_SECONDS), "progress", name)
        self._plan(now + self._rng.uniform(0.5, 1.5) * self._seconds_of_next(worker), "play", name)

    def _seconds_of_next(self, worker: Pretender) -> float:
        """That the next file takes."""
        return float(min(GAMES_PER_FILE, worker.task["num_games"] - worker.done) * self._seconds_per_game)

    def _plan(self, at: float, what: str, name: str) -> None:
        self._ties += 1
        heapq.heappush(self._due, (at, self._ties, what, name))

    def _progress(self, worker: Pretender, at: float) -> None:
        if worker.task:
            self._said.append((worker.name, {"event": "progress", **self._counts(worker)}))
            self._plan(at + PROGRESS_SECONDS, "progress", worker.name)

    def _play(self, worker: Pretender, at: float) -> None:
        """The next file of its task is written; after the last one it is done."""
        task, first = worker.task, worker.task["first_game"] + worker.done
        numbers = range(first, min(first + GAMES_PER_FILE, task["first_game"] + task["num_games"]))
        header = BatchHeader(
            game=self._info.name,
            rules=self._info.rules_hash,
            model=task["fingerprint"],
            round=task["round"],
            search=self._search,
        )
        games = [self._game(task["round"], number) for number in numbers]
        path = worker.out / batch_name(task["round"], first)
        path.write_bytes(encode_batch(header, games))
        self._count += len(games)
        self._written.append((time.monotonic(), self._count))
        worker.done += len(games)
        self._said.append((worker.name, {"event": "batch", "file": path.name}))
        if worker.done == task["num_games"]:
            self._said.append((worker.name, {"event": "done", **self._counts(worker)}))
            worker.task = {}
        else:
            self._plan(at + self._seconds_of_next(worker), "play", worker.name)

    def _game(self, round_number: int, number: int) -> GameRecord:
        game = self._games[number % len(self._games)]
        return msgspec.structs.replace(game, number=number, seed=game_seed(0, round_number, number))

    def _counts(self, worker: Pretender) -> Message:
        return {
            "games": worker.done,
            "plies": 30 * worker.done,
            "simulations": 2000 * worker.done,
            "lookups": 2000 * worker.done,
            "hits": 800 * worker.done,
            "memory": 90,
        }


def swarm(pipe: Connection, seconds_per_game: float, search: Message) -> None:
    """The process."""
    Swarm(pipe, seconds_per_game, search).work()


# --- the coordinator's side -----------------------------------------------------------------------------------------


class SwarmEngine:
    """Workers are the swarm's, the trainer is real."""

    def __init__(self, logs: Path, seconds_per_game: float, search: Message) -> None:
        self._home = LocalEngine(logs)
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=swarm, args=(theirs, seconds_per_game, search), daemon=True)
        self._process.start()
        self.collected: list[tuple[float, int]] = []  # when the trainer had taken in so many games
        self.written: list[tuple[float, int]] = []
        self.trainer_cpu = 0.0

    def start(self, name: str, service: str, settings: Message) -> None:
        if name == TRAINER:
            self._home.start(name, service, settings)
        else:
            self._pipe.send(("start", name, settings))

    def send(self, name: str, message: Message) -> None:
        self._home.send(name, message) if name == TRAINER else self._pipe.send(("send", name, message))

    def finish(self, name: str) -> None:
        """The round is over by then."""

    def is_ready(self, name: str) -> bool:
        return True

    def poll(self, timeout_seconds: float) -> list[Answer | Ended]:
        found = self._home.poll(0)
        if self._pipe.poll(0 if found else timeout_seconds):
            found += [Answer(name, message) for name, message in self._pipe.recv()]
        for item in found:
            if isinstance(item, Answer) and item.child == TRAINER:
                self.trainer_cpu = item.cpu_seconds or self.trainer_cpu
                if item.message["event"] == "collected":
                    before = self.collected[-1][1] if self.collected else 0
                    self.collected.append((time.monotonic(), before + item.message["games"]))
        return found

    def trainer_memory(self) -> float:
        """MB that the trainer holds."""
        children = psutil.Process().children()
        mine = [child for child in children if any("make_trainer" in word for word in child.cmdline())]
        return max((child.memory_info().rss / 1e6 for child in mine), default=0.0)

    def stop(self, name: str) -> None:
        if name == TRAINER:
            self._home.stop(name)

    def stop_all(self) -> None:
        self._pipe.send(None)
        while not (isinstance(answer := self._pipe.recv(), list) and (not answer or isinstance(answer[0][0], float))):
            pass
        self.written = answer
        self._process.join()
        self._home.stop_all()


class Enough(Exception):
    """The round is played and taken in."""


def measure(workers: int, games_per_second: float, seconds: float) -> dict[str, Any]:
    """One round."""
    games = round(games_per_second * seconds / GAMES_PER_FILE) * GAMES_PER_FILE
    assignments = {"selfplay": {"games_per_round": games, "device": "cpu"}, "evaluation": {"games": 0}}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run = open_run(RunRequest(folder / "data", folder / "model.pt", game=GAME, assignments=assignments))
        engine = SwarmEngine(run.layout.logs, workers / games_per_second, msgspec.to_builtins(run.settings.search))
        began: list[tuple[float, float, float]] = []  # time, own CPU, trainer's
        memory = [0.0]

        def show(status: Status) -> None:
            if status.phase == "playing" and not began and status.games_done:
                began.append((time.monotonic(), time.process_time(), engine.trainer_cpu))
            if engine.collected and engine.collected[-1][1] >= games:
                memory[0] = engine.trainer_memory()
                raise Enough

        coordinator = Coordinator(run, Options(workers, 1), engine, show=show, say=lambda line: None)
        with contextlib.suppress(Enough):
            coordinator.work()
        took = time.monotonic() - began[0][0]
        delays = delays_of(engine.written, engine.collected)
        return {
            "workers": workers,
            "games": games,
            "games_per_second_offered": games_per_second,
            "games_per_second": round(games / (engine.collected[-1][0] - engine.written[0][0]), 1),
            "delay_median_seconds": round(float(np.median(delays)), 2),
            "delay_worst_seconds": round(max(delays), 2),
            "coordinator_cores": round((time.process_time() - began[0][1]) / took, 2),
            "coordinator_megabytes": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3),
            "trainer_cores": round((engine.trainer_cpu - began[0][2]) / took, 2),
            "trainer_megabytes": round(memory[0]),
            "event_log_megabytes": round(run.layout.events.stat().st_size / 1e6, 1),
        }


def delays_of(written: list[tuple[float, int]], collected: list[tuple[float, int]]) -> list[float]:
    """Of each collection, how long its oldest game had waited. Files are taken in about in the order they came."""
    waiting, before, delays = deque(written), 0, []
    for at, count in collected:
        while waiting and waiting[0][1] <= before:
            waiting.popleft()
        if count > before and waiting:
            delays.append(at - waiting[0][0])
        before = count
    return delays


def main() -> None:
    """Each number of workers in a process of its own, whose memory is its own; a table, then JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, action="append", help="repeatable  (default 100, 1000, 10000)")
    parser.add_argument("--games-per-second", type=float, default=300.0, help="of all workers (default 300)")
    parser.add_argument("--seconds", type=float, default=40.0, help="length of the round (default 40)")
    arguments = parser.parse_args()
    rows = []
    console = Console(stderr=True, width=130)
    for workers in arguments.workers or [100, 1000, 10_000]:
        with console.status(f"{workers:,} workers"):
            rows.append(in_a_process(workers, arguments.games_per_second, arguments.seconds))
    table = Table(title="One coordinator and made-up workers", box=SIMPLE_HEAD)
    for column in rows[0]:
        table.add_column(column.replace("_", " "), justify="right")
    for row in rows:
        table.add_row(*(f"{figure:,}" for figure in row.values()))
    console.print(table)
    print(json.dumps({"machine": facts(), "rows": rows}, indent=1))


def in_a_process(workers: int, games_per_second: float, seconds: float) -> dict[str, Any]:
    """Measured in a new process."""
    ours, theirs = multiprocessing.get_context("spawn").Pipe()
    process = multiprocessing.get_context("spawn").Process(
        target=_measure_and_send, args=(theirs, workers, games_per_second, seconds)
    )
    process.start()
    theirs.close()
    try:
        found: dict[str, Any] = ours.recv()
    except EOFError:
        sys.exit(f"the measurement with {workers} workers failed")
    process.join()
    return found


def _measure_and_send(pipe: Connection, workers: int, games_per_second: float, seconds: float) -> None:
    pipe.send(measure(workers, games_per_second, seconds))


if __name__ == "__main__":
    main()
