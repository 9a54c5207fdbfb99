"""How fast Connect Four self-play is on a GPU against the bare network on the same GPU.

    python benchmarks/gpu_speed.py                                        10 x 128 in bfloat16, 100 simulations
    python benchmarks/gpu_speed.py --blocks 5 --channels 64 --workers 16,32

The bare network: passes of several sizes, planes copied there and answers back, the next pass begun before the last
one is waited for; the best size counts. Self-play: so many workers as a run has them, which one process computes for.
All in turns; evaluations are positions that the network judged, simulations come beside them from caches and rules.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

from figures import figure
from machine import facts
from players import Player, fresh_model
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from selfplay.evaluation.torch_evaluator import ROWS, Lane, TorchNetwork
from selfplay.games.random_play import random_positions
from selfplay.games.registry import load_rules
from selfplay.machine import usable_cores
from selfplay.settings import WorkerSettings

SIZES = (1024, 2048, 4096)
COUNTS = ("evaluations", "simulations", "games")


def lanes(path: Path, rows: int) -> list[Lane]:
    """Two passes of so many rows, filled with positions of random games."""
    rules = load_rules("connect4")
    network, planes = TorchNetwork(path, device="cuda", rows=rows), rules.encode(random_positions(rules, rows, seed=0))
    found = [network.lane() for _ in range(2)]
    for lane in found:
        lane.planes[:] = planes
    return found


def bare(pair: list[Lane], seconds: float) -> float:
    """Positions/s of the network alone."""
    runs, start = 0, time.perf_counter()
    pair[0].begin()
    while (now := time.perf_counter()) - start < seconds:
        pair[(runs + 1) % 2].begin()
        pair[runs % 2].finish()
        runs += 1
    pair[runs % 2].finish()
    return runs * len(pair[0].planes) / (now - start)


def together(players: list[Player], seconds: float) -> dict[str, float]:
    """What all of them do per second, at once."""
    for player in players:
        player.tell("play", seconds)
    answers = [player.answer() for player in players]
    return {name: sum(answer[name] / answer["seconds"] for answer in answers) for name in COUNTS}


def measure(arguments: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Rates of the bare network by rows of a pass, and of self-play by workers."""
    workers = [int(count) for count in arguments.workers.split(",")]
    with fresh_model(arguments.blocks, arguments.channels, "bfloat16") as inference:
        model = inference.with_suffix(".pt")
        passes = {rows: lanes(model, rows) for rows in SIZES}
        players = Player.several(["ours.py", "play", str(model), str(arguments.games)], [None] * max(workers))
        for player in players:
            player.tell("warm", arguments.warm)
        for player in players:
            player.answer()
        alone: dict[int, list[float]] = defaultdict(list)
        made: dict[int, dict[str, list[float]]] = {count: defaultdict(list) for count in workers}
        for turn in range(arguments.turns):
            console.print(f"turn {turn + 1} of {arguments.turns}")
            for rows, pair in passes.items():
                alone[rows].append(bare(pair, arguments.seconds / 4))
            for count, rates in made.items():
                for name, rate in together(players[:count], arguments.seconds).items():
                    rates[name].append(rate)
        megabytes = [player.own_megabytes() for player in players]
        for player in players:
            player.close()
    best = max(SIZES, key=lambda rows: figure(alone[rows])["median"])
    return {
        "network": f"{arguments.blocks}x{arguments.channels} bfloat16",
        "rows_in_a_pass": ROWS,
        "games_per_worker": arguments.games,
        "bare_network": [{"name": rows, "evaluations_per_second": figure(alone[rows], places=0)} for rows in SIZES],
        "self_play": [
            {
                "name": f"{count} workers",
                **{f"{name}_per_second": figure(rates[name], places=0) for name in COUNTS},
                "evaluations_over_bare": figure(
                    [own / other for own, other in zip(rates["evaluations"], alone[best], strict=True)]
                ),
            }
            for count, rates in made.items()
        ],
        "own_megabytes_per_worker": figure(megabytes, places=0),
    }


def main() -> None:
    """Measure, print the table, then JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--blocks", type=int, default=10)
    parser.add_argument("--channels", type=int, default=128)
    parser.add_argument("--workers", default=f"{usable_cores()}", help="numbers of workers (default: the cores)")
    parser.add_argument("--games", type=int, default=WorkerSettings().games_side_by_side("cuda"), help="of each worker")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="seconds of a turn (default 3)")
    parser.add_argument("--warm", type=float, default=8.0, help="seconds that fill the caches (default 8)")
    arguments = parser.parse_args()
    console = Console(stderr=True, width=100)
    found = measure(arguments, console)
    table = Table(title=f"Connect Four, {found['network']}", box=SIMPLE_HEAD)
    for column in ("what", "evaluations/s", "of the bare network", "simulations/s", "games/s"):
        table.add_column(column, justify="left" if column == "what" else "right")
    for row in found["bare_network"]:
        table.add_row(f"bare, {row['name']} in a pass", f"{row['evaluations_per_second']['median']:,.0f}", "", "", "")
    for row in found["self_play"]:
        share, rates = row["evaluations_over_bare"], [row[f"{name}_per_second"]["median"] for name in COUNTS]
        shown = f"{share['median']:.2f} ({share['low']:.2f} to {share['high']:.2f})"
        table.add_row(row["name"], f"{rates[0]:,.0f}", shown, f"{rates[1]:,.0f}", f"{rates[2]:,.0f}")
    console.print(table)
    console.print(f"memory of its own, each worker: {found['own_megabytes_per_worker']['median']:.0f} MB")
    print(json.dumps({"machine": facts(), **found}, indent=1))


if __name__ == "__main__":
    main()
