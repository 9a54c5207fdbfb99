"""What some minutes of training are worth in each game: matches against tree search by random play, or other settings.

    python benchmarks/games_learning.py --minutes 10 --out games                   all, two hours on two cores
    python benchmarks/games_learning.py --minutes 10 --out games --only hex:size=7
    python benchmarks/games_learning.py --minutes 10 --out changed --set network.future=true --rival games

Each game is trained from nothing with its preset or with the settings that are derived from its rules, as `selfplay
train GAME` does, and then plays `rollout:1000`, or the model that this command left in the folder of `--rival`, with
as many simulations per move (`--simulations` for fewer): 200 games from random openings, colours and openings in pairs;
the score with its 95 % interval. Stopped at any time, the same command goes on.
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from machine import facts
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from timed_training import SELFPLAY, train

from selfplay.coordinator.suggested import preset_name
from selfplay.network.card import read_onnx_card
from selfplay.rundir.layout import inference_twin

GAMES = ("othello:size=6", "gomoku:size=9", "hex:size=7", "breakthrough:rows=6,columns=6", "kalah", "dots")
OPPONENT = "rollout:1000"
PROMISED = 0.75  # against OPPONENT


def measure(game: str, folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """Train, then play the match; what was found is kept in the folder."""
    changed = [f"--set={setting}" for setting in arguments.set]
    spent = train(folder, [game, "--seed", str(arguments.seed), *changed], minutes=arguments.minutes)
    own = folder / "model.pt"
    opponent, kept = OPPONENT, folder / f"match_{arguments.simulations}.json"
    if arguments.rival:
        model = arguments.rival / preset_name(game) / "model.pt"
        met = read_onnx_card(inference_twin(model)).fingerprint
        opponent, kept = str(model), folder / f"match_{arguments.simulations}_{met[:12]}.json"
    if not kept.exists():
        command = [str(SELFPLAY), "arena", str(own), opponent, "--games", str(arguments.games)]
        command += ["--simulations", str(arguments.simulations), "--json"]
        kept.write_bytes(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    match = json.loads(kept.read_text())
    return {
        "game": game,
        "seconds": round(spent.seconds),
        "seconds_stolen": round(spent.stolen),
        "rounds": read_onnx_card(inference_twin(own)).round,  # a newer one may be trained and not published
        "games": match["games"],
        "score": round(match["score"], 3),
        "low": round(match["low"], 3),
        "high": round(match["high"], 3),
    }


def report(rows: list[dict[str, Any]], console: Console, *, opponent: str) -> None:
    """The table for people."""
    promised = [f">= {PROMISED}"] if opponent == OPPONENT else []
    table = Table(title=f"Score against {opponent}", box=SIMPLE_HEAD)
    for column in ("game", "minutes", "rounds", "games", "score", "95 % interval", *(["promised"] if promised else [])):
        table.add_column(column, justify="left" if column == "game" else "right", no_wrap=True)
    for row in rows:
        interval = f"{row['low']:.3f} to {row['high']:.3f}"
        minutes = f"{row['seconds'] / 60:.1f}"
        table.add_row(
            row["game"],
            minutes,
            str(row["rounds"]),
            str(row["games"]),
            f"{row['score']:.3f}",
            interval,
            *promised,
        )
    console.print(table)


def main() -> None:
    """Train, play, print the table, then JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0, help="of training for each game (default 10)")
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs")
    parser.add_argument("--only", action="append", help=f"a game; repeatable (default: {', '.join(GAMES)})")
    parser.add_argument("--simulations", type=int, default=1000, help="per move of the trained model (default 1000)")
    parser.add_argument("--games", type=int, default=200, help="of each match (default 200)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="as `selfplay train` takes it")
    parser.add_argument("--rival", type=Path, metavar="FOLDER", help="--out of another such command: meet its models")
    arguments = parser.parse_args()
    if arguments.rival and arguments.rival.resolve() == arguments.out.resolve():
        parser.error("--rival is --out: models would meet themselves")
    for game in arguments.only or GAMES:
        if arguments.rival and not (arguments.rival / preset_name(game) / "model.pt").exists():
            parser.error(f"no {preset_name(game)}/model.pt in {arguments.rival}: train {game} there first, with --out")
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # the training is ended too
    console, rows = Console(stderr=True, width=110), []
    opponent = f"the models of {arguments.rival.resolve().name}" if arguments.rival else OPPONENT
    for game in arguments.only or GAMES:
        folder = arguments.out / preset_name(game)
        folder.mkdir(parents=True, exist_ok=True)
        console.print(f"{game}: training for {arguments.minutes:g} minutes, then {arguments.games} games")
        rows.append(measure(game, folder, arguments))
        report(rows, console, opponent=opponent)
    found = {"machine": facts(), "opponent": opponent, "set": arguments.set, "simulations": arguments.simulations}
    print(json.dumps(found | {"rows": rows}, indent=1))


if __name__ == "__main__":
    main()
