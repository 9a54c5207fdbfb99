"""How fast training is: steps, minibatches, and a window that is read from its files.

    python benchmarks/training_speed.py                       about 4 minutes
    python benchmarks/training_speed.py --positions 1000000   a window of so many positions (the default)

Steps: samples/s of whole optimizer steps on random Connect Four positions, for two networks, on one thread and on all
cores, in 32 bits and in the precision that `auto` finds for this machine, and on a GPU if there is one, in turns. Pool:
seconds to read a window from batch files, what its columns take, memory of the process before and after; rows/s of
minibatches made from it, beside which stands the share of a step that is.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
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
from selfplay.evaluation.torch_evaluator import cuda_is_usable
from selfplay.games.registry import load_rules
from selfplay.machine import multiplies_bfloat16, resident_megabytes, usable_cores
from selfplay.samples.collector import RunIdentity
from selfplay.samples.pool import Samples, TrainingDataPool
from selfplay.settings import SelfPlaySettings, Settings
from selfplay.training.comparison import random_batches
from selfplay.training.train import Trainer

NETWORKS = ((4, 32), (5, 64))
BATCH = 256
STEPS = 12  # in a turn


def trainers() -> dict[str, Trainer]:
    """A trainer for each network, precision and number of threads."""
    found = {}
    precisions = ["float32", "bfloat16"] if multiplies_bfloat16() else ["float32"]
    for blocks, channels in NETWORKS:
        for precision in precisions:
            for threads in sorted({1, usable_cores()}):
                name = f"{blocks}x{channels} {precision} {threads} thread{'s' if threads > 1 else ''}"
                found[name] = trainer((blocks, channels), device="cpu", precision=precision, threads=threads)
        if cuda_is_usable():
            name, gpu = f"{blocks}x{channels} bfloat16", {"device": "cuda", "precision": "bfloat16"}
            found[f"{name} GPU"] = trainer((blocks, channels), **gpu)
            found[f"{name} GPU compiled"] = trainer((blocks, channels), **gpu, compile=True)
    return found


def trainer(network: tuple[int, int], **plan: Any) -> Trainer:
    """A trainer for a network of so many blocks and channels."""
    training = {"mode": "serial", "ranks": 1, "threads": 1, "batch_size": BATCH, **plan}
    tree = {"network": {"blocks": network[0], "channels": network[1]}, "training": training}
    return Trainer.new(load_rules("connect4").info, from_tree(tree, where="benchmark"))


def steps_per_second(trainer: Trainer, batches: list[Samples]) -> float:
    """Samples/s of a turn."""
    start = time.perf_counter()
    for _ in trainer.train_round(lambda: batches):
        pass
    return len(batches) * BATCH / (time.perf_counter() - start)


def measure_steps(turns: int) -> list[dict[str, Any]]:
    """Samples/s of every trainer, in turns."""
    batches = random_batches(load_rules("connect4"), batch_size=BATCH, count=STEPS)
    all_of_them = trainers()
    for trainer in all_of_them.values():
        steps_per_second(trainer, batches[:2])
    rates: dict[str, list[float]] = {name: [] for name in all_of_them}
    for _ in range(turns):
        for name, trainer in all_of_them.items():
            rates[name].append(steps_per_second(trainer, batches))
    return [{"name": name, "samples_per_second": figure(found, places=0)} for name, found in rates.items()]


def measure_pool(positions: int) -> dict[str, Any]:
    """Reading a window, holding it, drawing from it."""
    rules, settings = load_rules("connect4"), Settings()
    with tempfile.TemporaryDirectory() as folder:
        games = write_games(Path(folder) / "worker_0", rules, settings.search, positions=positions)
        settings = Settings(selfplay=SelfPlaySettings(games_per_round=games))
        files = sorted(Path(folder).glob("worker_0/*.json"))
        whole = msgspec.structs.replace(settings.training, window_start=2 * positions)
        pool = TrainingDataPool(lambda: lambda: files, RunIdentity.of(settings, rules, lambda _: ""), whole)
        megabytes = sum(file.stat().st_size for file in files) / 1e6
        before, start = resident_megabytes(), time.perf_counter()
        pool.collect()
        window = pool.window(1)
        seconds = time.perf_counter() - start
    count, after = len(window.weight), resident_megabytes()
    columns = [*window.positions, window.ends, window.weight]
    rates = [minibatch_rows(pool, window, seed) for seed in range(5)]
    return {
        "positions": count,
        "json_megabytes": round(megabytes),
        "read_seconds_per_million": figure([seconds / count * 1e6], places=1),
        "columns_megabytes_per_million": figure([sum(column.nbytes for column in columns) / count], places=0),
        "process_megabytes_per_million": figure([(after - before) / count * 1e6], places=0),
        "minibatch_rows_per_second": figure(rates, places=0),
    }


def minibatch_rows(pool: TrainingDataPool, window: Any, seed: int) -> float:
    """Rows/s of minibatches that nobody trains on."""
    start, rows = time.perf_counter(), 0
    for batch in pool.minibatches(window, steps=200, rng=np.random.default_rng(seed)):
        rows += len(batch.planes)
    return rows / (time.perf_counter() - start)


def main() -> None:
    """Measure, print tables, then JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=5, help="turns of each trainer (default 5)")
    parser.add_argument("--positions", type=int, default=1_000_000, help="in the window (default 1,000,000)")
    arguments = parser.parse_args()
    console = Console(stderr=True, width=100)
    pool = measure_pool(arguments.positions)  # first: torch's memory would hide its own
    steps = measure_steps(arguments.turns)
    table = Table(title=f"Optimizer steps, batches of {BATCH}", box=SIMPLE_HEAD)
    for column in ("network", "samples/s", "quartiles"):
        table.add_column(column, justify="left" if column == "network" else "right")
    for row in steps:
        rate = row["samples_per_second"]
        table.add_row(row["name"], f"{rate['median']:,.0f}", f"{rate['low']:,.0f}–{rate['high']:,.0f}")
    console.print(table)
    read, columns, process, rows = (
        pool[name]["median"]
        for name in (
            "read_seconds_per_million",
            "columns_megabytes_per_million",
            "process_megabytes_per_million",
            "minibatch_rows_per_second",
        )
    )
    console.print(
        f"a window of {pool['positions']:,} positions, {pool['json_megabytes']} MB of JSON; per million: read "
        f"in {read} s, columns {columns:.0f} MB, the process grew by {process:.0f} MB; minibatches: {rows:,.0f} rows/s"
    )
    print(json.dumps({"machine": facts(), "steps": steps, "pool": pool}, indent=1))


if __name__ == "__main__":
    main()
