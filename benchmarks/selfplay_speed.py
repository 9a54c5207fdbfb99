"""How fast Connect Four self-play is against the bare network on the same core, and two workers against one.

    python benchmarks/selfplay_speed.py                      the table in README.md
    python benchmarks/selfplay_speed.py --model model.pt     with a trained model instead of untrained ones

Simulations/s of self-play and forward passes/s of the same network alone (at its best batch size, in the same ONNX
Runtime with one thread) are measured within one process that is pinned to one core; what counts is their ratio, as
the median over the turns. A turn goes to and fro between the two every half second: other work on the machine, which
comes and goes in seconds, then slows both. Only simulations that were made count: visits kept from the move before
do not.
The trained model comes from `selfplay train connect4` with its preset, in a temporary folder, about a minute. An
untrained one prefers nothing, so that its games share the least and the cache helps the least.
For two workers, the same work runs in one process on one core and in two on two cores, in turns.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from selfplay.config import NetworkSettings, SearchSettings, Settings, WorkerSettings, from_tree, preset
from selfplay.evaluation.cache import CachedEvaluator
from selfplay.evaluation.onnx_evaluator import OnnxEvaluator
from selfplay.games.random_play import random_positions
from selfplay.games.registry import load_rules
from selfplay.rundir.layout import inference_twin
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
    simulations: int
    cache: bool
    rounds: int  # of training before the measurement; 0 = untrained
    floor: float | None  # the ratio that this project promises


CASES = (
    Case(5, 64, 100, True, 0, 1.3),
    Case(5, 64, 100, False, 0, 0.9),
    Case(4, 32, 64, True, 10, 1.3),
    Case(4, 32, 64, True, 0, 1.3),
)


class Bench:
    """Self-play and the bare network of one case, ready to run in turns."""

    def __init__(self, case: Case, model: Path, games: int) -> None:
        self.rules = load_rules("connect4")
        self.network = OnnxEvaluator(model, self.rules.info)
        positions = WorkerSettings().cache_positions if case.cache else 0
        self.cached = CachedEvaluator(self.network, actions=self.rules.info.num_actions, positions=positions)
        search = from_tree({"search": {**preset("connect4")["search"], "simulations": case.simulations}}, where="case")
        self.lockstep = Lockstep(self.rules, self.cached, search.search, slots=games, run_seed=SEED, round_number=1)
        spare_the_collector()  # as a worker does
        self._play = self.lockstep.play(range(10**9))
        self._planes = self.rules.encode(random_positions(self.rules, max(BATCHES), seed=SEED))

    def selfplay(self, seconds: float) -> float:
        """Simulations/s over the next seconds of self-play, which goes on from turn to turn."""
        before, start = self.lockstep.counts.simulations, time.perf_counter()
        while (now := time.perf_counter()) - start < seconds:
            next(self._play)
        return (self.lockstep.counts.simulations - before) / (now - start)

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


def measure(case: Case, model: Path, arguments: argparse.Namespace) -> dict[str, object]:
    """The figures of one case, medians over the turns."""
    bench = Bench(case, model, arguments.games)
    bench.spread(arguments.seconds)
    bench.selfplay(arguments.seconds)  # fills the cache
    counts = bench.cached.counts
    counts.reset()
    best = bench.best_batch()
    turns = [bench.turn(best, arguments.seconds) for _ in range(arguments.turns)]
    ratios = [simulations / passes for passes, simulations in turns]
    return {
        **asdict(case),
        "simulations_per_second": round(statistics.median(simulations for _, simulations in turns)),
        "forward_passes_per_second": round(statistics.median(passes for passes, _ in turns)),
        "best_batch": best,
        "ratio": round(statistics.median(ratios), 3),
        "ratio_lowest": round(min(ratios), 3),
        "ratio_highest": round(max(ratios), 3),
        "evaluated_share_of_leaves": round(counts.evaluated / counts.lookups, 3),
    }


def scaling(model: Path, arguments: argparse.Namespace) -> dict[str, object]:
    """Simulations/s of two pinned processes over those of one, in turns."""
    cores = sorted(os.sched_getaffinity(0))[:2]
    ratios = []
    for _ in range(arguments.turns):
        alone = statistics.mean(sum(run_together([core], model, arguments)) for core in cores)
        ratios.append(sum(run_together(cores, model, arguments)) / alone)
    return {"two_workers_over_one": round(statistics.median(ratios), 3), "turns": [round(ratio, 3) for ratio in ratios]}


def run_together(cores: list[int], model: Path, arguments: argparse.Namespace) -> list[float]:
    """Simulations/s of one process on each of the cores, all at once."""
    command = [sys.executable, __file__, "--one", str(model), "--seconds", str(arguments.seconds)]
    processes = [
        subprocess.Popen([*command, "--core", str(core)], stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True)
        for core in cores
    ]
    for process in processes:
        assert process.stdout is not None
        process.stdout.readline()  # warm
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    return [float(process.communicate()[0]) for process in processes]


def one(arguments: argparse.Namespace) -> None:
    """A process of `scaling`: warm up, wait for the word, measure, print."""
    os.sched_setaffinity(0, {arguments.core})
    bench = Bench(CASES[-1], Path(arguments.one), arguments.games)
    bench.spread(1.0)
    bench.selfplay(1.0)
    print("ready", flush=True)
    sys.stdin.readline()
    print(bench.selfplay(arguments.seconds), flush=True)


def model_of(case: Case, folder: Path) -> Path:
    """The inference file of a network of the case's size, trained by the preset for as long as the case asks."""
    path = folder / f"{case.blocks}x{case.channels}_{case.rounds}.pt"
    if case.rounds:
        command = [Path(sys.executable).with_name("selfplay"), "train", "connect4", "--rounds", case.rounds]
        command += ["--model", path, "--data", folder / "run", "--final-games", 0]
        subprocess.run(list(map(str, command)), check=True, stdout=sys.stderr)
        return inference_twin(path)
    from selfplay.network.checkpoint import save_checkpoint, untrained

    settings = Settings(
        network=NetworkSettings(blocks=case.blocks, channels=case.channels),
        search=SearchSettings(simulations=case.simulations),
    )
    save_checkpoint(untrained(load_rules("connect4").info, settings), path)
    return inference_twin(path)


def report(rows: list[dict[str, object]], workers: dict[str, object], console: Console) -> None:
    """The table for people."""
    table = Table(title="Connect Four self-play, one core", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for column in ("network", "rounds", "visits", "cache", "sims/s", "passes/s", "ratio", "turns", "promised"):
        table.add_column(column, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(
            f"{row['blocks']}x{row['channels']}",
            str(row["rounds"]),
            str(row["simulations"]),
            "on" if row["cache"] else "off",
            f"{row['simulations_per_second']:,}",
            f"{row['forward_passes_per_second']:,}",
            f"{row['ratio']:.2f}",
            f"{row['ratio_lowest']:.2f}–{row['ratio_highest']:.2f}",
            f">= {row['floor']}" if row["floor"] else "-",
        )
    console.print(table)
    if workers:
        console.print(f"two workers on two cores over one: {workers['two_workers_over_one']} (promised: >= 1.9)")


def main() -> None:
    """Run all cases and print the table, then JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="a trained Connect Four model, instead of untrained networks")
    parser.add_argument("--turns", type=int, default=7, help="turns of each case (default 7)")
    parser.add_argument("--seconds", type=float, default=4.0, help="seconds of each kind in a turn (default 4)")
    parser.add_argument("--games", type=int, default=WorkerSettings().games_in_parallel, help="games side by side")
    parser.add_argument("--core", type=int, help="core to run on (default: the first)")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        return one(arguments)
    console = Console(stderr=True)
    usable = os.sched_getaffinity(0)
    with tempfile.TemporaryDirectory() as folder:
        cases: tuple[Case, ...] = CASES
        if arguments.model:
            path = inference_twin(arguments.model)
            card = OnnxEvaluator(path).card
            sizes = (card.blocks, card.channels, card.simulations)
            cases = tuple(Case(*sizes, cache, card.round, None) for cache in (True, False))
            models = dict.fromkeys(cases, path)
        else:
            models = {case: model_of(case, Path(folder)) for case in cases}
        os.sched_setaffinity(0, {arguments.core if arguments.core is not None else min(usable)})
        rows = [measure(case, models[case], arguments) for case in cases]
        os.sched_setaffinity(0, usable)
        workers = scaling(models[cases[-1]], arguments) if len(usable) > 1 else {}
    report(rows, workers, console)
    print(json.dumps({"machine": platform.processor() or platform.machine(), "cases": rows, **workers}))
    return None


if __name__ == "__main__":
    main()
