"""What goes by before and between the work: imports, first games, the step from one round to the next, idle cores.

    python benchmarks/start_up.py                                            about 3 minutes
    python benchmarks/start_up.py --preset connect4-30min --rounds 20        about 6
    python benchmarks/start_up.py --set selfplay.lag=1                       playing and training overlap

Imports and first simulations in new processes, several times, with a warm kernel cache. Then a run of Connect Four with
a preset, from nothing, by its event log: seconds from the command to the first round that is handed out; what a round
boundary costs, from the last game of a round to its training and from its end to the next games; and the share of the
cores' time that nothing of the run used.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from figures import figure
from machine import facts
from rich.console import Console

from selfplay.machine import usable_cores
from selfplay.rundir.event_types import Played, Playing, Started, Trained
from selfplay.rundir.events import EventReader

SELFPLAY = Path(sys.executable).with_name("selfplay")
IMPORTS = {
    "help": "selfplay.cli.main",
    "coordinator": "selfplay.coordinator.coordinator",
    "worker": "selfplay.worker.process",
    "trainer": "selfplay.training.process",
}


def import_seconds(module: str) -> float:
    """A new process that imports a module and ends."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", f"import {module}, os; os._exit(0)"], check=True)
    return time.perf_counter() - start


def measure_run(preset: str, rounds: int, settings: list[str]) -> dict[str, Any]:
    """A run from nothing, by its event log; with a lag, rounds have no boundary that one could measure."""
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        command = [SELFPLAY, "train", "connect4", "--rounds", rounds, "--data", data, "--model", data / "model.pt"]
        began = time.time()
        command += ["--preset", preset, "--match-games", 0, *(f"--set={each}" for each in settings)]
        subprocess.run([*map(str, command)], check=True, stdout=subprocess.DEVNULL)
        events = list(EventReader(data / "events.jsonl"))
    first = next(event.time for event in events if isinstance(event, Playing)) - began
    boundaries, last_end, played, laps = [], None, 0.0, []
    for event in events:
        if isinstance(event, Playing):
            waited = event.time - last_end if last_end else 0.0
        elif isinstance(event, Played):
            played = event.time
        elif isinstance(event, Trained):
            last_end = event.time
            if event.round > 1:
                boundaries.append(waited + event.time - played - event.seconds)
        laps += [event] if isinstance(event, (Played, Trained)) else []
    cores = next(event.cores for event in events if isinstance(event, Started))
    span = cores * sum(lap.span_seconds for lap in laps)
    return {
        "preset": preset,
        "settings": settings,
        "rounds": rounds,
        "first_round_seconds": figure([first]),
        "boundary_seconds": figure([0.0] if any("lag" in each for each in settings) else boundaries),
        "seconds": figure([events[-1].time - began]),
        "share_idle": figure([1 - sum(lap.cpu_seconds for lap in laps) / span]),
    }


def main() -> None:
    """Measure, print lines, then JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=7, help="processes for each import (default 7)")
    parser.add_argument("--rounds", type=int, default=20, help="rounds of the run (default 20)")
    parser.add_argument("--preset", default="connect4")
    parser.add_argument("--set", action="append", default=[], help="a setting beside the preset; repeatable")
    arguments = parser.parse_args()
    console = Console(stderr=True, width=100)
    imports = {}
    for name, module in IMPORTS.items():
        import_seconds(module)
        imports[f"{name}_seconds"] = figure([import_seconds(module) for _ in range(arguments.turns)])
        console.print(f"import {module}: {imports[f'{name}_seconds']['median']:.2f} s")
    run = measure_run(arguments.preset, arguments.rounds, arguments.set)
    first, boundary, idle = (run[key]["median"] for key in ("first_round_seconds", "boundary_seconds", "share_idle"))
    console.print(
        f"run of {run['rounds']} rounds on {usable_cores()} cores: first round handed out after {first:.1f} s, a round "
        f"boundary costs {boundary:.2f} s, cores idle {idle:.1%} of the time"
    )
    print(json.dumps({"machine": facts(), "imports": imports, "run": run}, indent=1))


if __name__ == "__main__":
    main()
