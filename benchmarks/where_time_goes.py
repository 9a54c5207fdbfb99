"""Where a microsecond of self-play goes: network, trees and rules, cache, encoding, moves, Python between them.

    python benchmarks/where_time_goes.py                     Connect Four, 4 x 32 in 8 bits, 64 simulations, untrained
    python benchmarks/where_time_goes.py --blocks 5 --channels 64 --precision float32 --simulations 100

One core. A clock is put around each part of a running worker's loop; reading it costs about a tenth of a microsecond, a
few times per step of all games. Figures are microseconds per simulation.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from figures import figure
from machine import facts
from refusals import errors_in_a_line
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from selfplay_speed import Bench, Case, model_of

from selfplay.rundir.layout import inference_twin

PARTS = {
    "network": "ONNX Runtime's runs",
    "trees, rules and cache": "the compiled loop that grows all trees: descent, rules, hash, look-up, backup",
    "encoding": "input planes of the leaves",
    "reading the network": "softmax over legal actions, storing in the cache, handing back to the trees",
    "moves": "choosing, recording and playing a move; re-rooting the tree; noise",
    "rest": "Python between these",
}


class Clock:
    """Adds up the time within functions; time within an inner one is not counted for the outer."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._inner = [0.0]

    def around(self, owner: Any, name: str, part: str) -> None:
        """Measure a method of an object from now on."""
        function: Callable[..., Any] = getattr(owner, name)

        def measured(*arguments: Any, **named: Any) -> Any:
            start = time.perf_counter()
            self._inner.append(0.0)
            try:
                return function(*arguments, **named)
            finally:
                spent = time.perf_counter() - start
                self.seconds[part] += spent - self._inner.pop()
                self._inner[-1] += spent

        setattr(owner, name, measured)


def measure(bench: Bench, seconds: float, turns: int) -> dict[str, Any]:
    """Microseconds per simulation of every part, over the turns."""
    clock, search = Clock(), bench.lockstep.search
    simulator = search._simulator
    clock.around(bench.network, "run", "network")
    clock.around(simulator, "_grow", "trees, rules and cache")
    clock.around(bench.rules, "encode", "encoding")
    clock.around(bench.cached, "evaluate", "reading the network")
    clock.around(bench.lockstep, "_make_moves", "moves")
    found: dict[str, list[float]] = {part: [] for part in PARTS}
    plies = 0.0
    for _ in range(turns):
        counts, before = bench.lockstep.counts, bench.lockstep.counts.simulations
        moved = sum(len(seat.moves) for seat in bench.lockstep._seats if seat) + counts.plies
        clock.seconds.clear()
        start = time.perf_counter()
        bench.selfplay(seconds)
        spent = time.perf_counter() - start
        made = counts.simulations - before
        plies += (sum(len(seat.moves) for seat in bench.lockstep._seats if seat) + counts.plies - moved) / made
        clock.seconds["rest"] = spent - sum(clock.seconds.values())
        for part in PARTS:
            found[part].append(1e6 * clock.seconds[part] / made)
    return {
        "evaluated_per_simulation": round(bench.cached.counts.evaluated / bench.cached.counts.lookups, 3),
        "moves_per_simulation": round(plies / turns, 4),
        "microseconds_per_simulation": {part: figure(values, places=2) for part, values in found.items()},
    }


@errors_in_a_line()
def main() -> None:
    """Measure, print the table, then JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--blocks", type=int, default=4)
    parser.add_argument("--channels", type=int, default=32)
    parser.add_argument("--precision", choices=["int8", "float32"], default="int8")
    parser.add_argument("--simulations", type=int, default=64)
    parser.add_argument("--method", choices=["puct", "gumbel"], default="puct")
    parser.add_argument("--model", type=Path, help="a trained model of that size, instead of an untrained one")
    parser.add_argument("--games", type=int, default=64, help="games side by side (default 64)")
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=2.0, help="seconds of a turn (default 2)")
    arguments = parser.parse_args()
    size = arguments.blocks, arguments.channels, arguments.precision
    case = Case(*size, arguments.simulations, True, 0, method=arguments.method)
    with tempfile.TemporaryDirectory() as folder:
        model = inference_twin(arguments.model) if arguments.model else model_of(case, Path(folder))
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
        bench = Bench(case, model, arguments.games)
        bench.spread(arguments.seconds)
        bench.selfplay(2 * arguments.seconds)
        bench.cached.counts.reset()
        found = measure(bench, arguments.seconds, arguments.turns)
    parts = found["microseconds_per_simulation"]
    whole = sum(part["median"] for part in parts.values())
    table = Table(title=case.name, box=SIMPLE_HEAD)
    for column in ("part", "µs per simulation", "share", "what it is"):
        table.add_column(column, justify="right" if "share" in column or "µs" in column else "left")
    for part, spent in parts.items():
        table.add_row(part, f"{spent['median']:.2f}", f"{spent['median'] / whole:.0%}", PARTS[part])
    table.add_row("all", f"{whole:.2f}", "100%", f"{1e6 / whole:,.0f} simulations/s")
    console = Console(stderr=True, width=120)
    console.print(table)
    per_move = parts["moves"]["median"] / found["moves_per_simulation"]
    console.print(
        f"{found['evaluated_per_simulation']:.0%} of the leaves that were asked for went to the network; "
        f"a move costs {per_move:.0f} µs"
    )
    print(json.dumps({"machine": facts(), "name": case.name, **found}, indent=1))


if __name__ == "__main__":
    main()
