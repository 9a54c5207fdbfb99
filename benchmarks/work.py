"""How time and memory grow with the work: simulations, board, network, games side by side, replay window.

    python benchmarks/work.py                       about 5 minutes; the tables
    python benchmarks/work.py --plot docs           and docs/performance_work.svg
    python benchmarks/work.py --plot docs --drawn-from benchmarks/results/FILE.json    what `run.py` has measured

One core. For each kind of work, a row of sizes; beside each the cost of one unit of it (a simulation, a forward pass, a
position), and the exponent by which the whole grew with the size since the row before: 1 is linear, above it a size
would cost more than its share. Boards are those of five in a row, stones in any free cell, with a 4 x 32 network.
Memory is that of the search's arrays, which are all that grows.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from figures import figure
from machine import facts
from made_up_games import write_games
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from selfplay.config import from_tree
from selfplay.evaluation.cache import CachedEvaluator
from selfplay.evaluation.onnx_evaluator import OnnxEvaluator
from selfplay.games.game import Rules
from selfplay.games.random_play import random_positions
from selfplay.games.registry import load_rules
from selfplay.network.checkpoint import save_checkpoint, untrained
from selfplay.rundir.layout import inference_twin
from selfplay.samples.collector import RunIdentity
from selfplay.samples.pool import TrainingDataPool
from selfplay.settings import SelfPlaySettings, Settings
from selfplay.training.parallel_plan import Work
from selfplay.worker.lockstep import Lockstep

SECONDS = 1.5  # of one measurement
TURNS = 3
BOARD_GAME = '''
import numpy as np
from selfplay.games.game import DRAW, ONGOING, WIN, Game

SIZE = {size}


class Row(Game):
    """Five in a row on a square board."""

    name, board_shape, num_actions, num_planes, max_plies = "row", (SIZE, SIZE), SIZE * SIZE, 2, SIZE * SIZE
    State = np.dtype([("stones", np.int8, (SIZE, SIZE)), ("plies", np.int16), ("to_move", np.int8)])

    def start(state):
        state.to_move = 0

    def legal(state, mask):
        for cell in range(SIZE * SIZE):
            mask[cell] = state.stones[cell // SIZE, cell % SIZE] == 0

    def play(state, action):
        row, column = action // SIZE, action % SIZE
        state.stones[row, column] = state.to_move + 1
        state.to_move = 1 - state.to_move
        state.plies += 1
        for down, right in ((0, 1), (1, 0), (1, 1), (1, -1)):
            length = 1
            for sign in (-1, 1):
                r, c = row + sign * down, column + sign * right
                while 0 <= r < SIZE and 0 <= c < SIZE and state.stones[r, c] == state.stones[row, column]:
                    length, r, c = length + 1, r + sign * down, c + sign * right
            if length >= 5:
                return WIN
        return DRAW if state.plies == SIZE * SIZE else ONGOING

    def encode(state, planes):
        for cell in range(SIZE * SIZE):
            stone = state.stones[cell // SIZE, cell % SIZE]
            if stone != 0:
                planes[0 if stone == state.to_move + 1 else 1, cell // SIZE, cell % SIZE] = 1.0

    def draw(state):
        return str(state.stones)
'''


class Bench:
    """Untrained self-play of one kind, ready to run."""

    def __init__(self, rules: Rules, folder: Path, *, network: tuple[int, int], simulations: int, games: int) -> None:
        tree = {
            "network": {"blocks": network[0], "channels": network[1]},
            "search": {"simulations": simulations},
            "selfplay": {"precision": "int8"},
        }
        settings = from_tree(tree, where="work")
        path = folder / f"{rules.info.name}_{rules.info.num_actions}_{network[0]}x{network[1]}.pt"
        if not path.exists():
            save_checkpoint(untrained(rules.info, settings), path)
        self.network = OnnxEvaluator(inference_twin(path))
        cached = CachedEvaluator(self.network, rules.info, positions=1 << 17)
        self.lockstep = Lockstep(rules, cached, settings.search, slots=games, run_seed=0, round_number=1)
        self._play = self.lockstep.play(range(10**9))
        self._planes = rules.encode(random_positions(rules, 64, seed=0))
        self.run(SECONDS)

    def run(self, seconds: float) -> float:
        """Seconds per simulation."""
        before, start = self.lockstep.counts.simulations, time.perf_counter()
        while (now := time.perf_counter()) - start < seconds:
            next(self._play)
        return (now - start) / max(1, self.lockstep.counts.simulations - before)

    def forward(self, seconds: float) -> float:
        """Seconds per position that the network judges."""
        runs, start = 0, time.perf_counter()
        while (now := time.perf_counter()) - start < seconds:
            self.network.run(self._planes)
            runs += 1
        return (now - start) / (runs * len(self._planes))

    @property
    def megabytes(self) -> float:
        """Of trees and states."""
        simulator = self.lockstep.search._simulator
        return float(sum(array.nbytes for array in (*simulator.tree, simulator.states))) / 1e6


def row(size: float, unit_microseconds: list[float], units: float, megabytes: float | None = None) -> dict[str, Any]:
    """A size of some work: the cost of a unit, and of all the units that make it up."""
    cost = figure(unit_microseconds)
    return {"name": size, "unit_microseconds": cost, "whole": cost["median"] * units, "megabytes": megabytes}


def by_simulations(folder: Path) -> list[dict[str, Any]]:
    """Connect Four, 4 x 32: a move of so many simulations."""
    rules, rows = load_rules("connect4"), []
    for simulations in (25, 50, 100, 200, 400, 800, 1600):
        bench = Bench(rules, folder, network=(4, 32), simulations=simulations, games=64)
        costs = [1e6 * bench.run(SECONDS) for _ in range(TURNS)]
        rows.append(row(simulations, costs, simulations, bench.megabytes))
    return rows


def by_board(folder: Path) -> list[dict[str, Any]]:
    """Five in a row, 4 x 32, 64 simulations: a simulation on a board of so many cells."""
    rows = []
    for size in (7, 9, 11, 13, 15, 19):
        file = folder / f"row{size}.py"
        file.write_text(BOARD_GAME.format(size=size))
        bench = Bench(load_rules(f"{file}:Row"), folder, network=(4, 32), simulations=64, games=64)
        costs = [1e6 * bench.run(SECONDS) for _ in range(TURNS)]
        rows.append(row(size * size, costs, 1, bench.megabytes))
    return rows


def by_network(folder: Path) -> list[dict[str, Any]]:
    """Connect Four, 64 simulations: a forward pass of so many MFLOP, at 64 positions a run."""
    rules, rows = load_rules("connect4"), []
    for network in ((2, 16), (4, 32), (5, 64), (8, 96), (10, 128)):
        bench = Bench(rules, folder, network=network, simulations=64, games=64)
        settings = from_tree({"network": {"blocks": network[0], "channels": network[1]}}, where="work")
        flops = Work.of(rules.info, settings.network, settings.training, 1).flops
        rows.append(row(round(flops / 1e6, 1), [1e6 * bench.forward(SECONDS) for _ in range(TURNS)], 1))
    return rows


def by_games(folder: Path) -> list[dict[str, Any]]:
    """Connect Four, 4 x 32, 64 simulations: a simulation in each of so many games side by side."""
    rules, rows = load_rules("connect4"), []
    for games in (1, 4, 16, 64, 256, 1024):
        bench = Bench(rules, folder, network=(4, 32), simulations=64, games=games)
        costs = [1e6 * bench.run(SECONDS) for _ in range(TURNS)]
        rows.append(row(games, costs, games, bench.megabytes))
    return rows


def _the_same(listed: Callable[[], list[Path]]) -> Callable[[], list[Path]]:
    return listed


def by_window(folder: Path) -> list[dict[str, Any]]:
    """Connect Four: reading a window of so many positions from its files."""
    rules, rows = load_rules("connect4"), []
    for positions in (30_000, 100_000, 300_000, 1_000_000):
        games = write_games(folder / str(positions), rules, Settings().search, positions=positions)
        settings = Settings(selfplay=SelfPlaySettings(games_per_round=games))
        training = msgspec.structs.replace(settings.training, window_start=2 * positions)
        listed: Callable[[], list[Path]] = partial(list, sorted((folder / str(positions)).iterdir()))
        pool = TrainingDataPool(partial(_the_same, listed), RunIdentity.of(settings, rules, lambda _: ""), training)
        start = time.perf_counter()
        pool.collect()
        window = pool.window(1)
        cost = 1e6 * (time.perf_counter() - start) / positions
        columns = [*window.positions, window.ends, window.weight]
        rows.append(row(positions, [cost], positions, sum(column.nbytes for column in columns) / 1e6))
    return rows


KINDS = {
    "simulations": (by_simulations, "simulations per move", "µs per simulation"),
    "board": (by_board, "cells of the board", "µs per simulation"),
    "network": (by_network, "MFLOP of a forward pass", "µs per forward pass"),
    "games": (by_games, "games side by side", "µs per simulation"),
    "window": (by_window, "positions in the window", "µs per position read"),
}


def add_exponents(rows: list[dict[str, Any]]) -> None:
    """By which power the whole grew with the size, since the row before and since the first."""
    for place, now in enumerate(rows):
        for name, before in (("exponent", rows[max(0, place - 1)]), ("exponent_overall", rows[0])):
            grown = math.log(now["whole"] / before["whole"]) if place else 0.0
            now[name] = round(grown / math.log(now["name"] / before["name"]), 2) if place else None


def show(kind: str, rows: list[dict[str, Any]], console: Console) -> None:
    """A table for people."""
    _, size, unit = KINDS[kind]
    table = Table(title=f"by {kind}", box=SIMPLE_HEAD)
    for column in (size, unit, "MB", "exponent", "since the first"):
        table.add_column(column, justify="right")
    for each in rows:
        memory = "-" if each["megabytes"] is None else f"{each['megabytes']:,.1f}"
        exponents = ("-" if each[name] is None else f"{each[name]:.2f}" for name in ("exponent", "exponent_overall"))
        table.add_row(f"{each['name']:,}", f"{each['unit_microseconds']['median']:,.2f}", memory, *exponents)
    console.print(table)


def plot(found: dict[str, list[dict[str, Any]]], folder: Path) -> None:
    """One picture with a plot of every kind: cost of a unit against size, both in powers."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "selfplay"
    matplotlib.rcParams["svg.fonttype"] = "none"
    from matplotlib import pyplot

    pictures, axes = pyplot.subplots(1, len(found), figsize=(3.2 * len(found), 3.0), layout="constrained")
    for axis, (kind, rows) in zip(np.atleast_1d(axes), found.items(), strict=True):
        sizes = [each["name"] for each in rows]
        axis.plot(sizes, [each["unit_microseconds"]["median"] for each in rows], marker="o")
        axis.set(xscale="log", yscale="log", xlabel=KINDS[kind][1], ylabel=KINDS[kind][2])
        axis.grid(alpha=0.3)
    pictures.savefig(folder / "performance_work.svg", metadata={"Date": None})


def main() -> None:
    """Measure, print tables, then JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kinds", help=f"these, by commas, of {', '.join(KINDS)} (default: all)")
    parser.add_argument("--plot", type=Path, help="folder for performance_work.svg")
    parser.add_argument("--drawn-from", type=Path, help="measure nothing: plot what this file of run.py holds")
    arguments = parser.parse_args()
    if arguments.drawn_from:
        measured = json.loads(arguments.drawn_from.read_text())["results"]["work"]
        plot({kind: measured[kind] for kind in KINDS}, arguments.plot or Path("docs"))
        return
    console = Console(stderr=True, width=100)
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for kind in arguments.kinds.split(",") if arguments.kinds else KINDS:
            found[kind] = KINDS[kind][0](Path(folder))
            add_exponents(found[kind])
            show(kind, found[kind], console)
    if arguments.plot:
        plot(found, arguments.plot)
    print(json.dumps({"machine": facts(), **found}, indent=1))


if __name__ == "__main__":
    main()
