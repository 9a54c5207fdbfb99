"""How long a run with a million games takes to go on: the real command on a made-up run.

    python benchmarks/resume_scale.py                                   1,000,000 games, about 12 minutes and 2 GB
    python benchmarks/resume_scale.py --games 100000 --rounds 5

Makes the folder of a run of Connect Four that has come so far: models of every round, each the child of the one before,
and batch files of random games with made-up searches, valid in all else. Then starts `selfplay train` on it twice until
workers play on: the first time every file is read, the second time the index that was written then is there. Last the
monitor's first screen.
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec
from machine import facts
from made_up_games import random_games
from rich.console import Console

from selfplay.config import settings_of_run
from selfplay.games.registry import load_rules
from selfplay.network.card import read_onnx_card
from selfplay.network.checkpoint import load_checkpoint, make_checkpoint, save_checkpoint
from selfplay.rundir.event_types import Playing
from selfplay.rundir.events import EventReader
from selfplay.rundir.layout import RunLayout, inference_twin
from selfplay.samples.batch_file import GAMES_PER_FILE, BatchHeader, encode_batch, game_seed
from selfplay.samples.writer import batch_name

SELFPLAY = Path(sys.executable).with_name("selfplay")
WORKERS = 100  # whose folders hold the games
POLL_SECONDS = 0.05
console = Console(stderr=True, width=110)


def command(folder: Path, games: int, rounds: int) -> list[str]:
    """`selfplay train` on the run."""
    words = [SELFPLAY, "train", "connect4", "--data", folder / "data", "--model", folder / "model.pt", "--workers", 2]
    words += ["--games-per-round", games, "--rounds", rounds, "--match-games", 0]
    return [*map(str, words)]


def make_run(folder: Path, games: int, rounds: int) -> RunLayout:
    """A run with so many rounds of so many games each."""
    subprocess.run(command(folder, games, 0), check=True, stdout=subprocess.DEVNULL)
    layout = RunLayout(folder / "data")
    settings, rules = settings_of_run(layout.settings), load_rules("connect4")
    first = load_checkpoint(layout.model(0))
    made = random_games(rules, settings.search.simulations)
    for number in range(1, WORKERS + 1):
        layout.worker(number).mkdir()
    for number in range(1, rounds + 1):
        parent = read_onnx_card(inference_twin(layout.model(number - 1))).fingerprint
        weights = {name: tensor + number * 1e-6 for name, tensor in first.average.items()}
        child = make_checkpoint(
            rules.info,
            first.settings,
            weights=weights,
            average=weights,
            optimizer={},
            steps=0,
            round_number=number,
            parent=parent,
        )
        save_checkpoint(child, layout.model(number))
        header = BatchHeader(
            game=rules.info.name,
            rules=rules.info.rules_hash,
            model=parent,
            round=number,
            search=msgspec.to_builtins(settings.search),
        )
        for start in range(0, games, GAMES_PER_FILE):
            records = [
                msgspec.structs.replace(made[game % len(made)], number=game, seed=game_seed(0, number, game))
                for game in range(start, min(games, start + GAMES_PER_FILE))
            ]
            worker = layout.worker(1 + start // GAMES_PER_FILE % WORKERS)
            (worker / batch_name(number, start)).write_bytes(encode_batch(header, records))
    return layout


def seconds_to_play(folder: Path, games: int, rounds: int) -> float:
    """From the command until games of the next round are handed out."""
    log, began = EventReader(folder / "data" / "events.jsonl"), time.monotonic()
    list(log)
    with subprocess.Popen(command(folder, games, rounds + 1), stdout=subprocess.DEVNULL) as running:
        while not any(isinstance(event, Playing) for event in log):
            if running.poll() is not None:
                sys.exit(f"selfplay train ended with {running.returncode}")
            time.sleep(POLL_SECONDS)
        took = time.monotonic() - began
        running.send_signal(signal.SIGINT)
        running.send_signal(signal.SIGINT)
    return took


def measure(folder: Path, games: int, rounds: int) -> dict[str, Any]:
    """Seconds of each start, and of the monitor."""
    with console.status("making the run"):
        layout = make_run(folder, games, rounds)
    found: dict[str, Any] = {"games": games * rounds, "rounds": rounds, "files": len(layout.batch_files())}
    for name in ("first_start_seconds", "start_seconds"):
        with console.status(name):
            found[name] = round(seconds_to_play(folder, games, rounds), 1)
    with console.status("monitor"):
        began = time.monotonic()
        subprocess.run([SELFPLAY, "monitor", layout.root, "--once"], stdout=subprocess.DEVNULL, check=True)
        found["monitor_seconds"] = round(time.monotonic() - began, 1)
    return found


def main() -> None:
    """Measure, print a line, then JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--games", type=int, default=1_000_000, help="of the whole run (default 1,000,000)")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--out", type=Path, help="folder to make the run in (default: a temporary one)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.out) as folder:
        found = measure(Path(folder), arguments.games // arguments.rounds, arguments.rounds)
    console.print(
        f"{found['games']:,} games in {found['files']:,} files: the first start, which reads all, takes "
        f"{found['first_start_seconds']} s, later ones {found['start_seconds']} s; the monitor's first screen "
        f"{found['monitor_seconds']} s"
    )
    print(json.dumps({"machine": facts(), **found}, indent=1))


if __name__ == "__main__":
    main()
