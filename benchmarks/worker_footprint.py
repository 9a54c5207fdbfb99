"""How small and how quick to start a worker is: memory, and time from its start to its first simulation.

    python benchmarks/worker_footprint.py

Runs `selfplay worker` on Connect Four with a fresh 4 × 32 network several times in a new process each, after one
run that fills the kernel cache. Memory is what is resident when the last game ends.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from selfplay.config import Settings
from selfplay.games.registry import load_rules
from selfplay.network.checkpoint import save_checkpoint, untrained
from selfplay.rundir.layout import inference_twin

SELFPLAY = Path(sys.executable).with_name("selfplay")


def run(model: Path, out: Path, games: int) -> tuple[float, int]:
    """Seconds to the first progress report, which comes after the first simulation; MB at the end."""
    command = [SELFPLAY, "worker", "--model", model, "--out", out, "--games", str(games)]
    start, first, last = time.perf_counter(), 0.0, ""
    with subprocess.Popen(
        list(map(str, command)), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            first = first or time.perf_counter() - start
            last = line
    return first, int(json.loads(last)["memory"])


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
        "seconds_to_first_simulation": round(statistics.median(seconds for seconds, _ in results), 3),
        "resident_megabytes": statistics.median(memory for _, memory in results),
    }
    print(f"first simulation after {facts['seconds_to_first_simulation']} s, {facts['resident_megabytes']} MB resident")
    print(json.dumps(facts))


if __name__ == "__main__":
    main()
