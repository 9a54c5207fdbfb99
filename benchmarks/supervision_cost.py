"""What supervision costs: how much of the workers' time goes to whoever watches over them.

    python benchmarks/supervision_cost.py --turns 20

Two figures from one run of Connect Four with the preset's network, a worker per core:

    share      CPU seconds of the coordinator and of the workers' heartbeats per CPU second of play
    ratio      CPU seconds of play per second with the coordinator at work, over the same while it is halted (SIGSTOP),
               in turns of a few seconds: what supervision takes from the workers, side by side
"""

from __future__ import annotations

import argparse
import json
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
from rich.console import Console

from selfplay.machine import usable_cores

SELFPLAY = Path(sys.executable).with_name("selfplay")
WARM_SECONDS = 6.0
SETTLE_SECONDS = 1.0


def of_play(workers: list[psutil.Process]) -> float:
    """CPU seconds of the workers' main threads so far."""
    return sum(thread.user_time + thread.system_time for w in workers for thread in w.threads() if thread.id == w.pid)


def of_all(processes: list[psutil.Process]) -> float:
    """CPU seconds of all threads so far."""
    return sum(process.cpu_times().user + process.cpu_times().system for process in processes)


def pace(workers: list[psutil.Process], seconds: float) -> float:
    """CPU seconds of play per second, now."""
    began, before = time.monotonic(), of_play(workers)
    time.sleep(seconds)
    return (of_play(workers) - before) / (time.monotonic() - began)


def measure(coordinator: psutil.Process, arguments: argparse.Namespace, say: Console) -> dict[str, object]:
    """The two figures of a run that plays."""
    workers = [child for child in coordinator.children() if "make_worker" in " ".join(child.cmdline())]
    began, played = of_all([coordinator, *workers]), of_play(workers)
    pace(workers, arguments.turns * arguments.seconds / 2)
    play = of_play(workers) - played
    share = (of_all([coordinator, *workers]) - began - play) / play
    ratios = []
    for turn in range(arguments.turns):
        time.sleep(SETTLE_SECONDS)  # what lay about while it was halted is no part of its work
        supervised = pace(workers, arguments.seconds)
        coordinator.send_signal(signal.SIGSTOP)
        alone = pace(workers, arguments.seconds)
        coordinator.send_signal(signal.SIGCONT)
        ratios.append(supervised / alone)
        say.print(f"turn {turn + 1}/{arguments.turns}: {ratios[-1]:.4f}")
    low, _, high = statistics.quantiles(ratios, n=4)
    return {
        "workers": len(workers),
        "share": round(share, 5),
        "ratio": round(statistics.median(ratios), 4),
        "quartiles": [round(low, 4), round(high, 4)],
    }


def main() -> None:
    """Print a line, then JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each half of a turn")
    parser.add_argument("--workers", type=int, default=usable_cores())
    arguments = parser.parse_args()
    say = Console(stderr=True, highlight=False)
    with tempfile.TemporaryDirectory() as folder:
        command = [SELFPLAY, "train", "connect4", "--data", f"{folder}/data", "--model", f"{folder}/model.pt"]
        command += ["--workers", arguments.workers, "--rounds", 1, "--games-per-round", 50_000]
        with psutil.Popen(list(map(str, command)), stdout=subprocess.DEVNULL) as coordinator:
            while not list(Path(folder).glob("data/worker_*/batch_*")):
                time.sleep(0.5)
            time.sleep(WARM_SECONDS)
            found = measure(coordinator, arguments, say)
            for _ in range(2):  # at once: the games are of no use
                coordinator.send_signal(signal.SIGINT)
                time.sleep(0.5)
            coordinator.wait()
    say.print(
        f"supervision takes {found['share']:.2%} of the time of play; pace with it over without: {found['ratio']}"
    )
    print(json.dumps(found))


if __name__ == "__main__":
    main()
