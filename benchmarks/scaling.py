"""One worker, two, and as many as there are cores: simulations/s against so many times one, and memory of each.

    python benchmarks/scaling.py                      Connect Four, preset's network in 8 bits, untrained
    python benchmarks/scaling.py --turns 7 --seconds 4

Workers as a run has them (games in lockstep, inference on one thread, no torch), each pinned to a core of its own. In
every turn each plays alone, and then so many of them at once; efficiency is what they make together over what the same
ones make alone, as the median over the turns. "Of its own" is memory that ending the worker would free.
"""

from __future__ import annotations

import argparse
import json
import os
from collections import defaultdict
from typing import Any

from figures import figure
from machine import facts
from players import Player, fresh_model
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table


def counts(cores: int) -> list[int]:
    """How many workers to try: powers of two, and all."""
    powers = [2**power for power in range(1, 10) if 2**power < cores]
    return [*powers, cores]


def together(players: list[Player], seconds: float) -> float:
    """Simulations/s of all of them at once."""
    for player in players:
        player.tell("play", seconds)
    answers = [player.answer() for player in players]
    return sum(answer["simulations"] / answer["seconds"] for answer in answers)


def measure(arguments: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Efficiency for every number of workers, and memory."""
    cores = sorted(os.sched_getaffinity(0))[: arguments.most]
    alone: list[float] = []
    rates, ratios = defaultdict(list), defaultdict(list)
    with fresh_model(arguments.blocks, arguments.channels, arguments.precision) as model:
        players = Player.several(["ours.py", "play", str(model)], cores)
        for player in players:
            player.tell("warm", arguments.warm)
        for player in players:
            player.answer()
        for turn in range(arguments.turns):
            console.print(f"turn {turn + 1} of {arguments.turns}")
            singles = [together([player], arguments.seconds) for player in players]
            alone += singles
            for count in counts(len(cores)) if len(cores) > 1 else ():
                made = together(players[:count], arguments.seconds)
                rates[count].append(made)
                ratios[count].append(made / (sum(singles[:count]) / count))
        own = [player.own_megabytes() for player in players]
        for player in players:
            player.close()
    return {
        "alone_simulations_per_second": figure(alone),
        "workers": [
            {
                "name": f"{count} workers",
                "simulations_per_second": figure(rates[count]),
                "ratio_to_one": figure(ratios[count]),
                "efficiency": figure([ratio / count for ratio in ratios[count]]),
            }
            for count in rates
        ],
        "own_megabytes_per_worker": figure(own),
    }


def main() -> None:
    """Measure, print the table, then JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=5, help="turns (default 5)")
    parser.add_argument("--seconds", type=float, default=4.0, help="seconds of play in each part of a turn (default 4)")
    parser.add_argument("--warm", type=float, default=12.0, help="seconds that fill the caches (default 12)")
    parser.add_argument("--most", type=int, default=64, help="most workers (default: a worker per core, 64)")
    parser.add_argument("--blocks", type=int, default=4)
    parser.add_argument("--channels", type=int, default=32)
    parser.add_argument("--precision", default="int8", choices=["int8", "float32"])
    arguments = parser.parse_args()
    console = Console(stderr=True)
    found = measure(arguments, console)
    table = Table(title=f"Connect Four, {arguments.blocks}x{arguments.channels} {arguments.precision}", box=SIMPLE_HEAD)
    for column in ("workers", "sims/s", "times one", "efficiency"):
        table.add_column(column, justify="right")
    table.add_row("1", f"{found['alone_simulations_per_second']['median']:,.0f}", "1.00", "1.00")
    for row in found["workers"]:
        rate, ratio, efficiency = (
            row[key]["median"] for key in ("simulations_per_second", "ratio_to_one", "efficiency")
        )
        table.add_row(row["name"].split()[0], f"{rate:,.0f}", f"{ratio:.2f}", f"{efficiency:.2f}")
    console.print(table)
    console.print(f"memory of its own, each: {found['own_megabytes_per_worker']['median']:.0f} MB (at most 120)")
    print(json.dumps({"machine": facts(), **found}, indent=1))


if __name__ == "__main__":
    main()
