"""How strong Connect Four gets from nothing within some minutes on this machine, against perfect play.

    python benchmarks/connect4_strength.py --minutes 30 --positions FOLDER
    python benchmarks/connect4_strength.py --minutes 10 --positions FOLDER --seed 1 --set search.simulations=64

Trains with the preset, or with `--set` beside it, and counts mistakes: moves that change the outcome (win, draw, loss)
of perfect play for the worse. FOLDER holds the six test sets of 1,000 positions each that AlphaZero.jl publishes its
own mistakes on (Test_L1_R1 … Test_L3_R1; from its repository, games/connect-four/benchmark). Needs `selfplay[oracle]`.

Stopped at any time, the same command goes on: minutes count where training ran, noted in the folder of the run
(`--data`). Time that the host of a shared machine gave to others is not counted, and stated. The newest model is
measured with 0, 64 and 600 simulations, and rounds on the way with 0 and 64: the curve.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np
from machine import facts
from refusals import errors_in_a_line
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from timed_training import train

from selfplay.arena.mistakes import measure
from selfplay.arena.oracle import Oracle, open_oracle
from selfplay.arena.player import SearchPlayer, open_model
from selfplay.arena.positions import PositionSet, position_set
from selfplay.errors import UsageError
from selfplay.games.game import Rules
from selfplay.games.registry import load_rules
from selfplay.rundir.layout import RunLayout

SETS = ("L1_R1", "L1_R2", "L1_R3", "L2_R1", "L2_R2", "L3_R1")
# Share of mistakes with 600 simulations. AlphaZero.jl: read off its published plots, 15 to 30 hours with an RTX 2070.
OTHERS = {"AlphaZero.jl after 15 iterations": (0.0, 0.02, 0.075, 0.0, 0.028, 0.0)}
SIMULATIONS, ON_THE_WAY = (0, 64, 600), (0, 64)
console = Console(stderr=True, width=110)


def answered(path: Path, rules: Rules, oracle: Oracle, folder: Path) -> PositionSet:
    """A set with its answers, which are kept in the folder: solving takes minutes."""
    name = path.name.removeprefix("Test_")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    kept = folder / f"answers_{name}_{digest}.npz"
    if not kept.exists():
        with console.status(f"solving {name}") as status:
            found = position_set(path, rules, oracle, on_progress=lambda n: status.update(f"solving {name}: {n}"))
        np.savez(kept, plies=found.plies, states=found.states, outcomes=found.outcomes)
    with np.load(kept) as columns:
        return PositionSet(name, columns["plies"], columns["states"], columns["outcomes"])


def test_sets(folder: Path, rules: Rules, kept_in: Path) -> list[PositionSet]:
    """The six sets with their answers. Raises `UsageError` where a set or the solver is missing."""
    if missing := [f"Test_{name}" for name in SETS if not (folder / f"Test_{name}").is_file()]:
        expected = "expected AlphaZero.jl's test sets, from games/connect-four/benchmark in its repository"
        raise UsageError(f"--positions {folder}: found no {', '.join(missing)} there; {expected}")
    kept_in.mkdir(parents=True, exist_ok=True)
    oracle = open_oracle(rules)
    return [answered(folder / f"Test_{name}", rules, oracle, kept_in) for name in SETS]


def shares(player: SearchPlayer, rules: Rules, sets: list[PositionSet], simulations: tuple[int, ...]) -> dict[str, Any]:
    """Of each set, the share of mistakes by simulations, and the error of the network's values."""
    found: dict[str, Any] = {}
    for positions in sets:
        verdict = measure(player, rules, positions, simulations=simulations)
        rows = [row for row in verdict.mistakes if row.stage == "all"]
        found[positions.name] = {
            "mistakes": {str(row.simulations): round(row.share, 4) for row in rows},
            "value_error": round(rows[0].value_error, 4),
        }
    return found


def rounds_on_the_way(layout: RunLayout, count: int) -> list[int]:
    """So many rounds whose models are there, evenly spread, the newest left out."""
    there = sorted(layout.rounds_with_models())[1:-1]
    return [there[round(place)] for place in np.linspace(0, len(there) - 1, min(count, len(there)))] if there else []


def report(name: str, newest: dict[str, Any], curve: list[dict[str, Any]]) -> None:
    """The tables for people."""
    table = Table(title="Mistakes against perfect play, % of 1,000 positions", box=SIMPLE_HEAD)
    for column in ("", "simulations", *SETS):
        table.add_column(column, justify="left" if not column else "right", no_wrap=True)
    for other, published in OTHERS.items():
        table.add_row(other, "600", *(f"{100 * share:.1f}" for share in published))
    for simulations in SIMULATIONS:
        figures = [newest[each]["mistakes"][str(simulations)] for each in SETS]
        table.add_row(name, str(simulations), *(f"{100 * share:.1f}" for share in figures))
    for point in curve:
        figures = [point["sets"][each]["mistakes"]["64"] for each in SETS]
        table.add_row(f"  round {point['round']}", "64", *(f"{100 * share:.1f}" for share in figures))
    console.print(table)


@errors_in_a_line()
def main() -> None:
    """Solve, train, measure, print tables, then JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, required=True, help="minutes of training, from nothing")
    parser.add_argument("--positions", type=Path, required=True, help="folder of the test sets")
    parser.add_argument("--preset", default="connect4")
    parser.add_argument("--set", action="append", default=[], help="a setting beside the preset; repeatable")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", default="auto")
    parser.add_argument("--data", type=Path, help="folder of the run (default: strength_MINUTES_SEED here)")
    parser.add_argument("--points", type=int, default=5, help="rounds on the way that are measured too (default 5)")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # the training is ended too
    folder = arguments.data or Path(f"strength_{arguments.minutes:g}_{arguments.seed}")
    rules = load_rules("connect4")
    sets = test_sets(arguments.positions, rules, folder)
    asked = ["connect4", "--preset", arguments.preset, "--seed", str(arguments.seed), "--workers", arguments.workers]
    spent = train(folder, [*asked, *(f"--set={each}" for each in arguments.set)], minutes=arguments.minutes)
    layout = RunLayout(folder / "data")
    curve, rounds = [], layout.newest_round()  # may be trained and not published yet
    with console.status("measuring"):
        newest = shares(open_model(layout.model(rounds), rules, simulations=None), rules, sets, SIMULATIONS)
        for number in rounds_on_the_way(layout, arguments.points):
            player = open_model(layout.model(number), rules, simulations=None)
            curve.append({"round": number, "sets": shares(player, rules, sets, ON_THE_WAY)})
    report(f"selfplay, {spent.seconds / 60:.1f} minutes, round {rounds}", newest, curve)
    found = {
        "seconds": round(spent.seconds),
        "seconds_stolen": round(spent.stolen),
        "rounds": rounds,
        "preset": arguments.preset,
        "settings": arguments.set,
        "seed": arguments.seed,
    }
    print(json.dumps({"machine": facts(), **found, "newest": newest, "curve": curve}, indent=1))


if __name__ == "__main__":
    main()
