"""How small and how quick to start a worker is: memory, and time from its start to its first simulation.

    python benchmarks/worker_footprint.py

Runs the worker that `selfplay train` starts, on Connect Four with a fresh 4 × 32 network, several times, each in a new
process, after one run that fills the kernel cache. Memory is what is resident when the last game ends.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import msgspec
from figures import figure

from selfplay.games.registry import load_rules
from selfplay.network.checkpoint import save_checkpoint, untrained
from selfplay.rundir.layout import inference_twin
from selfplay.settings import Settings


def run(model: Path, out: Path, games: int) -> tuple[float, int]:
    """Seconds to the first progress report, which comes after the first simulation; MB at the end."""
    settings = msgspec.to_builtins(Settings())
    setup = {"game": "connect4", "out": str(out), "seed": 0, "device": "cpu"}
    setup |= {"search": settings["search"], "worker": settings["worker"]}
    task = {"model": str(model), "fingerprint": "", "round": 1, "first_game": 0, "num_games": games}
    service = "selfplay.worker.process:make_worker"
    command = [sys.executable, "-m", "selfplay.engines.child", service, json.dumps(setup)]
    start, first = time.perf_counter(), 0.0
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(task) + "\n")
        process.stdin.flush()
        for message in map(json.loads, process.stdout):
            if message["event"] == "progress":
                first = first or time.perf_counter() - start
            if message["event"] == "done":
                process.stdin.close()
                return first, int(message["memory"])
    raise RuntimeError("the worker ended before its games were played")


def main() -> None:
    """Print the medians, then JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--games", type=int, default=100)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "model.pt"
        save_checkpoint(untrained(load_rules("connect4").info, Settings()), model)
        run(inference_twin(model), Path(folder) / "warm", 1)
        results = [run(inference_twin(model), Path(folder) / str(n), arguments.games) for n in range(arguments.runs)]
    facts = {
        "first_simulation_seconds": figure([seconds for seconds, _ in results]),
        "resident_megabytes": figure([memory for _, memory in results]),
    }
    seconds, megabytes = (found["median"] for found in facts.values())
    print(f"first simulation after {seconds} s, {megabytes:.0f} MB resident", file=sys.stderr)
    print(json.dumps(facts))


if __name__ == "__main__":
    main()
