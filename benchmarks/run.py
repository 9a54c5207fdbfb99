"""Runs the benchmarks of speed and writes what they found, with the machine they ran on, into one file.

    python benchmarks/run.py                              all, about 40 minutes -> benchmarks/results/DATE_COMMIT.json
    python benchmarks/run.py --only selfplay_speed,work --out /tmp/now.json

Each is a command of its own that prints tables to people and JSON to programs; what each measures stands in its file.
Two such files, or two commits, are held against each other by `compare.py`. Close other programs first.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from machine import commit, facts
from rich.console import Console

HERE = Path(__file__).parent
RESULTS = HERE / "results"
# Runs under fire, long runs and strength are not about speed, and have commands of their own.
BENCHMARKS = ("selfplay_speed", "where_time_goes", "training_speed", "scaling", "start_up", "work", "worker_footprint")


def run(name: str, extra: list[str]) -> object:
    """What a benchmark found. Raises `CalledProcessError` where it fails."""
    command = [sys.executable, str(HERE / f"{name}.py"), *extra]
    found = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(found.stdout)


def main() -> None:
    """Run them one after another; the file is written anew after each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", help=f"these, by commas, of {', '.join(BENCHMARKS)} (default: all)")
    parser.add_argument("--out", type=Path, help="file to write (default: in benchmarks/results/)")
    arguments, extra = parser.parse_known_args()
    chosen = arguments.only.split(",") if arguments.only else BENCHMARKS
    if unknown := set(chosen) - set(BENCHMARKS):
        parser.error(f"no benchmark {', '.join(sorted(unknown))}; there are {', '.join(BENCHMARKS)}")
    console, now = Console(stderr=True), datetime.now(UTC)
    path = arguments.out or RESULTS / f"{now:%Y-%m-%d}_{commit().rstrip('+')}.json"
    results: dict[str, object] = {}
    seconds: dict[str, int] = {}
    command = " ".join(["python", "benchmarks/run.py", *sys.argv[1:]])
    result = {
        "command": command,
        "time": f"{now:%Y-%m-%dT%H:%MZ}",
        "machine": facts(),
        "results": results,
        "seconds": seconds,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    for name in chosen:
        console.rule(name)
        started = time.monotonic()
        results[name] = run(name, extra)
        seconds[name] = round(time.monotonic() - started)
        path.write_text(json.dumps(result, indent=1) + "\n")
    console.print(f"written: {path}")


if __name__ == "__main__":
    main()
