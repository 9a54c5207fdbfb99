"""Does the monitor stay quick on a large run?

    python benchmarks/monitor_scale.py --files 10000 --rounds 1000 --workers 200

Makes the folder of such a run (right names, sizes and events; the games are empty), then measures: seconds until
`selfplay monitor --once` has printed its screen, processes' start included; CPU milliseconds of a refresh while the
run goes on (new events and a new file each time); memory after the first refreshes and after many.
"""

from __future__ import annotations

import argparse
import io
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import msgspec
import psutil
from rich.console import Console

from selfplay.config import to_toml
from selfplay.monitor.snapshot import Reader
from selfplay.monitor.terminal import screen
from selfplay.rundir.event_types import AnyEvent, Batch, Played, Progress, Started, Trained, WorkerFacts
from selfplay.rundir.layout import RunLayout, inference_twin
from selfplay.samples.writer import batch_name
from selfplay.settings import Settings

SELFPLAY = Path(sys.executable).with_name("selfplay")
PROGRESS_PER_ROUND = 5  # one every two seconds of a round of ten


def events_of_round(number: int, arguments: argparse.Namespace) -> list[AnyEvent]:
    """What a coordinator writes in a round."""
    now = 1e9 + 10.0 * number
    files = arguments.files // arguments.rounds
    facts = {
        f"worker_{w}": WorkerFacts(state="playing", games=w, simulations=999 * w, memory=200, heard=now)
        for w in range(arguments.workers)
    }
    workers = msgspec.Raw(msgspec.json.encode(facts))
    events: list[AnyEvent] = [
        Progress(
            time=now + 2 * n,
            round=number,
            phase="playing",
            games_per_second=50.0 + n,
            simulations_per_second=9000 + n,
            workers=workers,
        )
        for n in range(PROGRESS_PER_ROUND)
    ]
    names = [batch_name(number, n) for n in range(files)]
    events += [Batch(time=now, worker=f"worker_{n % arguments.workers}", file=name) for n, name in enumerate(names)]
    events.append(Played(time=now + 9, round=number, games=10 * files, first_won=5 * files, plies=300 * files))
    events.append(Trained(time=now + 10, round=number, fingerprint="f" * 64, policy=2.0, value=0.9, policy_floor=1.0))
    return events


def make_run(folder: Path, arguments: argparse.Namespace) -> RunLayout:
    """The folder of a run that has come so far."""
    layout = RunLayout(folder)
    layout.models.mkdir()
    layout.settings.write_text(to_toml(Settings(), heading="made up"))
    for number in range(arguments.workers):
        layout.worker(number).mkdir()
    for number in range(arguments.files):
        worker = layout.worker(number % arguments.workers)
        (worker / batch_name(1 + number * arguments.rounds // arguments.files, number)).write_bytes(b"x" * 4000)
    for number in range(arguments.rounds + 1):
        for path in (layout.model(number), inference_twin(layout.model(number))):
            path.write_bytes(b"x")
    with open(layout.events, "wb") as file:
        file.write(msgspec.json.encode(Started(workers=arguments.workers, rounds=arguments.rounds)) + b"\n")
        for number in range(1, arguments.rounds + 1):
            file.writelines(msgspec.json.encode(event) + b"\n" for event in events_of_round(number, arguments))
    return layout


def first_screen(layout: RunLayout) -> float:
    """Seconds until the command has printed its screen and ended."""
    started = time.monotonic()
    subprocess.run([SELFPLAY, "monitor", layout.root, "--once"], stdout=subprocess.DEVNULL, check=True)
    return time.monotonic() - started


def refreshes(layout: RunLayout, arguments: argparse.Namespace) -> dict[str, float]:
    """CPU milliseconds of a look and its screen while the run goes on, and memory before and after."""
    reader, console = Reader(layout.root), Console(file=io.StringIO(), width=140)
    console.print(screen(reader.look(), width=140, height=50))
    took, memory = [], []
    for turn in range(arguments.refreshes):
        with open(layout.events, "ab") as file:
            event = events_of_round(arguments.rounds, arguments)[turn % PROGRESS_PER_ROUND]
            file.write(msgspec.json.encode(event) + b"\n")
        (layout.worker(turn % arguments.workers) / batch_name(arguments.rounds + 1, turn)).write_bytes(b"x")
        began = time.process_time()
        console.print(screen(reader.look(), width=140, height=50))
        took.append(1e3 * (time.process_time() - began))
        console.file.seek(0)
        memory.append(psutil.Process().memory_info().rss / 1e6)
    tenth = max(1, len(memory) // 10)
    return {
        "refresh_ms": round(statistics.median(took), 1),
        "memory_early_mb": round(statistics.median(memory[tenth : 2 * tenth]), 1),
        "memory_late_mb": round(statistics.median(memory[-tenth:]), 1),
    }


def main() -> None:
    """Print JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=200)
    parser.add_argument("--refreshes", type=int, default=200)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        layout = make_run(Path(folder), arguments)
        first = [first_screen(layout) for _ in range(5)]
        log = round(layout.events.stat().st_size / 1e6, 1)
        found = {"events_mb": log, "first_screen_s": round(statistics.median(first), 2)}
        print(json.dumps({**found, **refreshes(layout, arguments)}))


if __name__ == "__main__":
    main()
