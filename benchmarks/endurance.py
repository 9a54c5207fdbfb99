"""Does a long run stay as small as it began? Memory and file handles of every process over hundreds of tiny rounds.

    python benchmarks/endurance.py --rounds 300 --plot endurance.png

Trains tic-tac-toe with a small network in tiny rounds, looks at coordinator, workers and trainer once a second, and
compares the medians of two stretches of rounds: after a tenth of the run, when all is loaded, and at its end. Growth
of 5 % or more of any process is an exit code of 1.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table

from selfplay.rundir.event_types import Trained
from selfplay.rundir.events import EventReader

SELFPLAY = Path(sys.executable).with_name("selfplay")
MOST_GROWTH = 0.05
LOOK_SECONDS = 1.0


@dataclass(frozen=True)
class Look:
    """One process at a moment."""

    round: int  # last one trained
    process: str  # coordinator, trainer, worker_0, …
    megabytes: float  # resident
    handles: int  # open files, pipes and sockets


def watch(arguments: argparse.Namespace, data: Path) -> list[Look]:
    """Run the training to its end, looking on."""
    command = [SELFPLAY, "train", "tictactoe", "--data", data, "--model", data.parent / "model.pt"]
    command += ["--workers", arguments.workers, "--rounds", arguments.rounds, "--games-per-round", 20]
    command += ["--match-games", 0, "--set", "search.simulations=8", "--set", "network.blocks=1"]
    command += ["--set", "training.window_start=1000", "--set", "training.window_slope=0.05"]
    looks, newest, events = [], 0, EventReader(data / "events.jsonl")
    say = Console(stderr=True)
    with psutil.Popen(list(map(str, command)), stdout=subprocess.DEVNULL) as process, say.status("") as status:
        while process.poll() is None:
            for event in events:
                newest = event.round if isinstance(event, Trained) else newest
            status.update(f"round {newest} of {arguments.rounds}")
            looks += look(process, newest)
            time.sleep(LOOK_SECONDS)
    if process.returncode != 0:
        sys.exit(f"the run ended with exit code {process.returncode}")
    return looks


def look(coordinator: psutil.Process, newest: int) -> list[Look]:
    """Every process of the run as it is now."""
    looks = []
    with contextlib.suppress(psutil.NoSuchProcess):
        for process in [coordinator, *coordinator.children()]:
            with contextlib.suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
                name = name_of(process, coordinator)
                looks.append(Look(newest, name, process.memory_info().rss / 1e6, process.num_fds()))
    return looks


def name_of(process: psutil.Process, coordinator: psutil.Process) -> str:
    """What a process is in the run."""
    if process == coordinator:
        return "coordinator"
    command = " ".join(process.cmdline())
    return "trainer" if "make_trainer" in command else "worker_" + command.partition("/worker_")[2].partition('"')[0]


def growth(looks: list[Look], process: str, field: str, rounds: int) -> tuple[float, float]:
    """Medians of a figure early in the run and at its end."""
    tenth = max(1, rounds // 10)
    early = [getattr(x, field) for x in looks if x.process == process and tenth < x.round <= 2 * tenth]
    late = [getattr(x, field) for x in looks if x.process == process and x.round > rounds - tenth]
    if not early or not late:
        sys.exit(f"too few looks at {process}: take more rounds")
    return statistics.median(early), statistics.median(late)


def plot(looks: list[Look], path: Path) -> None:
    """Memory and handles over rounds, as a picture."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (above, below) = pyplot.subplots(2, 1, sharex=True, figsize=(8, 6))
    for process in sorted({x.process for x in looks}):
        mine = [x for x in looks if x.process == process]
        above.plot([x.round for x in mine], [x.megabytes for x in mine], label=process)
        below.plot([x.round for x in mine], [x.handles for x in mine], label=process)
    above.set(ylabel="resident memory (MB)", ylim=(0, None))
    below.set(ylabel="file handles", xlabel="round", ylim=(0, None))
    above.legend()
    figure.savefig(path, dpi=120)


def main() -> None:
    """Print a table, then JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--plot", type=Path, metavar="FILE.png", help="draw memory and handles over rounds")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        looks = watch(arguments, Path(folder) / "data")
    table = Table("process", "figure", "early", "late", "growth", title=f"{arguments.rounds} rounds")
    found, worst = [], 0.0
    for process in sorted({x.process for x in looks}):
        for field in ("megabytes", "handles"):
            early, late = growth(looks, process, field, arguments.rounds)
            grown = late / early - 1
            worst = max(worst, grown)
            table.add_row(process, field, f"{early:.1f}", f"{late:.1f}", f"{grown:+.1%}")
            found.append({"process": process, "figure": field, "early": early, "late": late, "growth": grown})
    Console(stderr=True).print(table)
    if arguments.plot:
        plot(looks, arguments.plot)
    print(json.dumps({"rounds": arguments.rounds, "worst_growth": worst, "figures": found}))
    sys.exit(worst >= MOST_GROWTH)


if __name__ == "__main__":
    main()
