"""What Ray costs on one machine: the same run with the local engine and with Ray's, in turns.

    python benchmarks/ray_speed.py                  about 6 minutes
    python benchmarks/ray_speed.py --turns 5 --games 1000

Both play rounds of Connect Four with as many workers as cores, from nothing and with the same seed, so that both play
the same games. The first round, in which processes start, is left out; of the others games per second by the event log.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from figures import figure
from machine import facts
from rich.console import Console

from selfplay.machine import usable_cores
from selfplay.network.card import read_onnx_card
from selfplay.rundir.event_types import Played
from selfplay.rundir.events import EventReader

SELFPLAY = Path(sys.executable).with_name("selfplay")


def games_per_second(engine: str, arguments: argparse.Namespace) -> tuple[float, str]:
    """Of one run, and its fingerprint."""
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        command = [SELFPLAY, "train", "connect4", "--engine", engine, "--data", data, "--model", data / "model.pt"]
        command += ["--workers", usable_cores(), "--games-per-round", arguments.games, "--rounds", arguments.rounds]
        command += ["--match-games", 0, "--set", "training.passes=0.5"]
        subprocess.run([*map(str, command)], check=True, stdout=subprocess.DEVNULL)
        events = EventReader(data / "events.jsonl")
        rounds = [event for event in events if isinstance(event, Played) and event.round > 1]
        fingerprint = read_onnx_card(data / "model.onnx").fingerprint
    return sum(event.games for event in rounds) / sum(event.seconds for event in rounds), fingerprint


def main() -> None:
    """Measure, print lines, then JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--games", type=int, default=600, help="of a round (default 600)")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    console = Console(stderr=True, width=110)
    speeds: dict[str, list[float]] = {"local": [], "ray": []}
    fingerprints = set()
    for turn in range(arguments.turns):
        for engine, found in speeds.items():
            with console.status(f"turn {turn + 1}/{arguments.turns}: {engine}"):
                speed, fingerprint = games_per_second(engine, arguments)
            found.append(speed)
            fingerprints.add(fingerprint)
    if len(fingerprints) > 1:
        sys.exit(f"the two engines do not agree: {fingerprints}")
    ratio = figure([ray / local for local, ray in zip(speeds["local"], speeds["ray"], strict=True)])
    console.print(
        f"{usable_cores()} workers: local {figure(speeds['local'])['median']} games/s, Ray "
        f"{figure(speeds['ray'])['median']}: {ratio['median']:.3f} times ({ratio['low']:.3f} to {ratio['high']:.3f}); "
        "asked for: 0.95"
    )
    summary = {name: figure(values) for name, values in speeds.items()}
    print(json.dumps({"machine": facts(), "games_per_second": summary, "ratio": ratio}, indent=1))


if __name__ == "__main__":
    main()
