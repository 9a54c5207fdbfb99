"""How fast Connect Four self-play is on a GPU against the bare network on the same GPU.

    python benchmarks/gpu_speed.py                          5 x 64 in bfloat16, 100 simulations, one worker's loop
    python benchmarks/gpu_speed.py --blocks 10 --channels 128 --games 1024
    python benchmarks/gpu_speed.py --device cpu --seconds 1    only to see that it works: nothing here is made for that

The bare network is measured at every size of a pass, its input already made; self-play asks for what its games need.
Several workers on one GPU are what `selfplay train` starts; `benchmarks/scaling.py` counts theirs.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

from figures import figure
from machine import facts
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from selfplay.config import from_tree
from selfplay.evaluation.cache import CachedEvaluator
from selfplay.evaluation.torch_evaluator import ROWS, TorchEvaluator
from selfplay.games.random_play import random_positions
from selfplay.games.registry import load_rules
from selfplay.network.checkpoint import save_checkpoint, untrained
from selfplay.settings import WorkerSettings
from selfplay.worker.lockstep import Lockstep

PASSES = (64, 256, 1024, 4096)


def bare(path: Path, device: str, rows: int, seconds: float) -> float:
    """Positions/s of the network alone, so many rows in a pass."""
    network = TorchEvaluator(path, device=device, rows=rows)
    rules = load_rules("connect4")
    planes = rules.encode(random_positions(rules, rows, seed=0))
    network.run(planes)
    runs, start = 0, time.perf_counter()
    while (now := time.perf_counter()) - start < seconds:
        network.run(planes)
        runs += 1
    return runs * rows / (now - start)


def measure(arguments: argparse.Namespace, path: Path) -> dict[str, Any]:
    """Evaluations/s, simulations/s and games/s of one worker's loop beside the bare network's, in turns."""
    rules = load_rules("connect4")
    tree = {"search": {"simulations": arguments.simulations}}
    cached = CachedEvaluator(TorchEvaluator(path, device=arguments.device), actions=7, positions=1 << 18)
    lockstep = Lockstep(rules, cached, from_tree(tree, where="gpu").search, slots=arguments.games, run_seed=0,
                        round_number=1)  # fmt: skip
    play = lockstep.play(range(10**9))
    found: dict[str, list[float]] = {name: [] for name in ("evaluations", "simulations", "games")}
    passes: dict[int, list[float]] = {rows: [] for rows in PASSES}
    for _ in range(arguments.turns):
        for rows, rates in passes.items():
            rates.append(bare(path, arguments.device, rows, arguments.seconds / 2))
        before = (cached.counts.evaluated, lockstep.counts.simulations, lockstep.counts.games)
        start = time.perf_counter()
        while (now := time.perf_counter()) - start < arguments.seconds:
            next(play)
        after = (cached.counts.evaluated, lockstep.counts.simulations, lockstep.counts.games)
        for rates, new, old in zip(found.values(), after, before, strict=True):
            rates.append((new - old) / (now - start))
    best = max(passes, key=lambda rows: figure(passes[rows])["median"])
    shares = [ours / theirs for ours, theirs in zip(found["evaluations"], passes[best], strict=True)]
    return {
        "bare_network": {str(rows): figure(rates) for rows, rates in passes.items()},
        **{f"{name}_per_second": figure(rates) for name, rates in found.items()},
        "evaluations_over_bare": figure(shares, places=3),
    }


def main() -> None:
    """Measure, print the table, then JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--blocks", type=int, default=5)
    parser.add_argument("--channels", type=int, default=64)
    parser.add_argument("--simulations", type=int, default=100)
    parser.add_argument("--games", type=int, default=WorkerSettings().games_side_by_side("cuda"))
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="seconds of a turn (default 3)")
    arguments = parser.parse_args()
    network = {"blocks": arguments.blocks, "channels": arguments.channels}
    settings = from_tree({"network": network, "selfplay": {"precision": "bfloat16"}}, where="gpu")
    with tempfile.TemporaryDirectory() as folder:
        save_checkpoint(untrained(load_rules("connect4").info, settings), Path(folder) / "model.pt")
        found = measure(arguments, Path(folder) / "model.pt")
    table = Table(title=f"{arguments.blocks} x {arguments.channels}, {arguments.device}", box=SIMPLE_HEAD)
    for column in ("what", "per second", "low", "high"):
        table.add_column(column, justify="left" if column == "what" else "right")
    rows = {f"bare network, {size} in a pass": rate for size, rate in found["bare_network"].items()}
    rows |= {name.removesuffix("_per_second"): found[name] for name in found if name.endswith("_per_second")}
    for name, rate in rows.items():
        table.add_row(name, *(f"{rate[key]:,.0f}" for key in ("median", "low", "high")))
    Console(stderr=True).print(table)
    print(json.dumps({"machine": facts(), "rows_in_a_pass": ROWS, **found}, indent=1))


if __name__ == "__main__":
    main()
