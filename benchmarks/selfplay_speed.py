"""How fast Connect Four self-play is against the bare network on the same core.

    python benchmarks/selfplay_speed.py                      the table in README.md, about 15 minutes
    python benchmarks/selfplay_speed.py --model model.pt     with a trained model instead of untrained ones

Simulations/s of self-play and forward passes/s of the same network alone (at its best batch size, in the same ONNX
Runtime with one thread) are measured within one process that is pinned to one core; what counts is their ratio, as
the median over the turns. A turn goes to and fro between the two every half second: other work on the machine, which
comes and goes in seconds, then slows both. Only simulations that were made count: visits kept from the move before
do not.
What is promised are the ratios of plain search, from the first position on, without the solver: it leaves out
simulations that cost nothing, and random openings share less, so that fewer simulations per second play as many plies.
The last case trains and plays as the preset does. Trained models come from `selfplay train connect4`, in a temporary
folder, about a minute each. An untrained one prefers nothing, so that its games share the least and the cache helps the
least.
"Outside" is what a simulation costs besides the network: 1 / simulations/s less what its share of evaluations takes.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from figures import figure
from machine import facts
from refusals import errors_in_a_line
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from selfplay.config import from_tree, preset
from selfplay.evaluation.cache import CachedEvaluator
from selfplay.evaluation.onnx_evaluator import OnnxEvaluator
from selfplay.games.random_play import random_positions
from selfplay.games.registry import load_rules
from selfplay.rundir.layout import inference_twin
from selfplay.settings import NetworkSettings, SearchSettings, Settings, WorkerSettings
from selfplay.worker.lockstep import Lockstep
from selfplay.worker.process import spare_the_collector

BATCHES = (1, 8, 16, 32, 64, 128, 256, 512)
SEED = 0
HASTY_SIMULATIONS = 4
SLICE_SECONDS, SWEEPS = 0.5, 3


@dataclass(frozen=True)
class Case:
    """One line of the table."""

    blocks: int
    channels: int
    precision: str
    simulations: int
    cache: bool
    rounds: int  # of training before the measurement; 0 = untrained
    floor: float | None = None  # the ratio that this project promises
    plain: bool = True  # games from the first position, searched as in AlphaZero; else as the preset says
    method: str = "puct"

    @property
    def name(self) -> str:
        """What results call it."""
        cache = "" if self.cache else " without cache"
        preset = "" if self.plain else " preset"
        size = f"{self.blocks}x{self.channels} {self.precision}"
        gumbel = " gumbel" if self.method == "gumbel" else ""
        return f"{size} round {self.rounds} {self.simulations} visits{gumbel}{cache}{preset}"


CASES = (
    Case(5, 64, "float32", 100, True, 0, 1.6),
    Case(5, 64, "float32", 100, False, 0, 0.95),
    Case(5, 64, "int8", 100, True, 0),
    Case(4, 32, "float32", 64, True, 10, 1.7),
    Case(4, 32, "float32", 32, True, 10, 2.6, method="gumbel"),
    Case(4, 32, "int8", 64, True, 10),
    Case(4, 32, "int8", 64, True, 0),
    Case(4, 32, "int8", 64, True, 10, plain=False),
)
# AlphaZero's own search and targets, as the promises were made for; the preset goes further.
PLAIN: dict[str, dict[str, Any]] = {
    "search": {"opening_share": 0.0, "solver": False, "temperature_plies": 12, "late_temperature": 0.3},
    "training": {"value_lambda": 1.0},
}


class Bench:
    """Self-play and the bare network of one case, ready to run in turns."""

    def __init__(self, case: Case, model: Path, games: int) -> None:
        self.rules = load_rules("connect4")
        self.network = OnnxEvaluator(model, self.rules.info)
        positions = WorkerSettings().cache_positions if case.cache else 0
        self.cached = CachedEvaluator(self.network, self.rules.info, positions=positions)
        asked = {
            **preset("connect4")["search"],
            **(PLAIN["search"] if case.plain else {}),
            "simulations": case.simulations,
            "method": case.method,
        }
        search = from_tree({"search": asked}, where="case")
        self.lockstep = Lockstep(self.rules, self.cached, search.search, slots=games, run_seed=SEED, round_number=1)
        spare_the_collector()  # as a worker does
        self._play = self.lockstep.play(range(10**9))
        self.played_seconds = 0.0
        self._planes = self.rules.encode(random_positions(self.rules, max(BATCHES), seed=SEED))

    def selfplay(self, seconds: float) -> float:
        """Simulations/s over the next seconds of self-play, which goes on from turn to turn."""
        before, start = self.lockstep.counts.simulations, time.perf_counter()
        while (now := time.perf_counter()) - start < seconds:
            next(self._play)
        self.played_seconds += now - start
        return (self.lockstep.counts.simulations - before) / (now - start)

    @property
    def plies(self) -> int:
        """Made so far, those of unfinished games too."""
        return self.lockstep.counts.plies + sum(len(seat.simulations) for seat in self.lockstep._seats if seat)

    def best_batch(self) -> int:
        """The batch size at which the network alone is fastest, by the median of several sweeps."""
        sweeps = [[self.bare(batch, SLICE_SECONDS / 2) for batch in BATCHES] for _ in range(SWEEPS)]
        medians = np.median(sweeps, axis=0)
        return BATCHES[int(medians.argmax())]

    def turn(self, batch: int, seconds: float) -> tuple[float, float]:
        """Forward passes/s and simulations/s, so many seconds of each, in slices."""
        slices = max(1, round(seconds / SLICE_SECONDS))
        rates = [(self.bare(batch, SLICE_SECONDS), self.selfplay(SLICE_SECONDS)) for _ in range(slices)]
        passes, simulations = zip(*rates, strict=True)
        return statistics.mean(passes), statistics.mean(simulations)

    def spread(self, seconds: float) -> None:
        """Play hasty games first: games that began together would go through their plies in step, and one turn would
        see nothing but openings and the next nothing but endings."""
        search = self.lockstep.search
        simulations, search.simulations = search.simulations, HASTY_SIMULATIONS
        self.selfplay(seconds)
        search.simulations = simulations

    def bare(self, batch: int, seconds: float) -> float:
        """Forward passes/s of the network alone."""
        planes = self._planes[:batch]
        self.network.run(planes)
        runs, start = 0, time.perf_counter()
        while (now := time.perf_counter()) - start < seconds:
            self.network.run(planes)
            runs += 1
        return runs * batch / (now - start)


def measure(case: Case, model: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """The figures of one case, medians over the turns."""
    bench = Bench(case, model, arguments.games)
    bench.spread(arguments.seconds)
    bench.selfplay(arguments.seconds)  # fills the cache
    counts = bench.cached.counts
    counts.reset()
    simulations = bench.lockstep.counts.simulations
    best = bench.best_batch()
    plies, started = bench.plies, bench.played_seconds
    turns = [bench.turn(best, arguments.seconds) for _ in range(arguments.turns)]
    plies_per_second = (bench.plies - plies) / (bench.played_seconds - started)
    evaluated = counts.evaluated / (bench.lockstep.counts.simulations - simulations)
    outside = [1e6 / simulations - evaluated * 1e6 / passes for passes, simulations in turns]
    return {
        "name": case.name,
        **asdict(case),
        "simulations_per_second": figure([simulations for _, simulations in turns], places=0),
        "forward_passes_per_second": figure([passes for passes, _ in turns], places=0),
        "ratio": figure([simulations / passes for passes, simulations in turns]),
        "outside_microseconds": figure(outside, places=2),
        "plies_per_second": round(plies_per_second),
        "best_batch": best,
        "evaluated_per_simulation": round(evaluated, 3),
    }


def model_of(case: Case, folder: Path) -> Path:
    """The inference file of a network of the case's size, trained by the preset for as long as the case asks."""
    name = f"{case.blocks}x{case.channels}_{case.rounds}_{case.precision}_{case.plain}_{case.method}"
    path = folder / f"{name}.pt"
    if path.exists():
        return inference_twin(path)
    if case.rounds:
        command = [Path(sys.executable).with_name("selfplay"), "train", "connect4", "--rounds", case.rounds]
        network = {"block": "basic", "blocks": case.blocks, "channels": case.channels, "first_blocks": 0}
        asked: dict[str, dict[str, Any]] = {"network": network, "training": {"passes": 16}}
        asked |= {"selfplay": {"precision": case.precision}, **(PLAIN if case.plain else {})}
        if case.method == "gumbel":
            command += ["--set=search.method=gumbel", f"--set=search.simulations={case.simulations}"]
        for group, fields in asked.items():
            command += [f"--set={group}.{name}={str(value).lower()}" for name, value in fields.items()]
        command += ["--model", path, "--data", path.with_suffix(""), "--match-games", 0]
        subprocess.run(list(map(str, command)), check=True, stdout=sys.stderr)
        return inference_twin(path)
    from selfplay.network.checkpoint import save_checkpoint, untrained

    settings = Settings(
        network=NetworkSettings(blocks=case.blocks, channels=case.channels),
        search=SearchSettings(simulations=case.simulations),
        selfplay=from_tree({"selfplay": {"precision": case.precision}}, where="case").selfplay,
    )
    save_checkpoint(untrained(load_rules("connect4").info, settings), path)
    return inference_twin(path)


def report(rows: list[dict[str, Any]], console: Console) -> None:
    """The table for people."""
    table = Table(title="Connect Four self-play, one core", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for column in (
        "network",
        "sims/s",
        "passes/s",
        "plies/s",
        "evaluated",
        "outside µs",
        "ratio",
        "quartiles",
        "promised",
    ):
        table.add_column(column, justify="left" if column == "network" else "right", no_wrap=True)
    for row in rows:
        ratio = row["ratio"]
        table.add_row(
            row["name"],
            f"{row['simulations_per_second']['median']:,.0f}",
            f"{row['forward_passes_per_second']['median']:,.0f}",
            f"{row['plies_per_second']:,}",
            f"{row['evaluated_per_simulation']:.0%}",
            f"{row['outside_microseconds']['median']:.1f}",
            f"{ratio['median']:.2f}",
            f"{ratio['low']:.2f}–{ratio['high']:.2f}",
            f">= {row['floor']}" if row["floor"] else "-",
        )
    console.print(table)


def cases_of(model: Path) -> dict[Case, Path]:
    """A given model, with and without the cache."""
    path = inference_twin(model)
    card = OnnxEvaluator(path).card
    sizes = (card.blocks, card.channels, card.precision, card.simulations)
    return {Case(*sizes, cache, card.round): path for cache in (True, False)}


@errors_in_a_line()
def main() -> None:
    """Run all cases and print the table, then JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="a trained Connect Four model, instead of those of the table")
    parser.add_argument("--only", default="", help="only lines of the table in whose name this occurs, as gumbel")
    parser.add_argument("--turns", type=int, default=7, help="turns of each case (default 7)")
    parser.add_argument("--seconds", type=float, default=4.0, help="seconds of each kind in a turn (default 4)")
    parser.add_argument(
        "--games", type=int, default=WorkerSettings().games_side_by_side("cpu"), help="games side by side"
    )
    parser.add_argument("--core", type=int, help="core to run on (default: the last)")
    arguments = parser.parse_args()
    usable, console = os.sched_getaffinity(0), Console(stderr=True, width=140)
    with tempfile.TemporaryDirectory() as folder:
        if arguments.model:
            models = cases_of(arguments.model)
        else:
            models = {case: model_of(case, Path(folder)) for case in CASES if arguments.only in case.name}
        os.sched_setaffinity(0, {arguments.core if arguments.core is not None else max(usable)})
        rows: list[dict[str, Any]] = []
        for case, model in models.items():
            console.print(f"measuring {case.name}, {len(rows) + 1} of {len(models)}")
            rows.append(measure(case, model, arguments))
    report(rows, console)
    print(json.dumps({"machine": facts(), "cases": rows}, indent=1))


if __name__ == "__main__":
    main()
