"""What each idea for learning is worth on Connect Four, against perfect play, at a fixed budget.

    python benchmarks/learning.py runs --minutes 6 --seeds 0 1 --positions FOLDER --data runs
    python benchmarks/learning.py runs --only "half the passes" "Gumbel" --minutes 6 --positions FOLDER --data runs
    python benchmarks/learning.py targets --data data
    python benchmarks/learning.py resignation --data data

`runs` trains from nothing with the preset, and with one thing changed at a time, each for so many minutes with each
seed, and counts mistakes on the six public test sets (see connect4_strength.py) with 0 and 64 simulations. It takes
hours, goes on where it was stopped, and measures no run twice. `targets` holds what a run's newest round learns from,
and what its model makes of it, against perfect play, ply by ply: whether the targets are wrong, or not learnt.
`resignation` tells what the newest round's games would have saved, had players resigned, and how often wrongly. What
other networks learn from the same games: `networks.py`; what other targets teach: `lessons.py`.
"""

from __future__ import annotations

import argparse
import json
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from connect4_strength import SETS, shares, test_sets
from machine import facts
from refusals import errors_in_a_line
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from timed_training import train

from selfplay.arena.oracle import open_oracle
from selfplay.arena.player import open_model
from selfplay.arena.positions import PositionSet
from selfplay.config import settings_of_run
from selfplay.games.game import Rules
from selfplay.games.registry import load_rules
from selfplay.rundir.layout import RunLayout
from selfplay.samples.batch_file import GameRecord, read_batch
from selfplay.samples.positions import value_targets

PRESET = "connect4-30min"
# What is changed, and where the idea comes from.
VARIANTS: dict[str, tuple[str, ...]] = {
    "the preset": (),
    "openings as before": (
        "search.temperature_plies=6",
        "search.opening_share=0.7",
        "search.opening_draws=1",
        "search.opening_choices=1",
    ),
    "any opening": ("search.opening_choices=1",),
    "the most even of eight openings": ("search.opening_choices=8",),
    "openings to 16 plies": ("search.opening_plies=16", "search.opening_draws=1"),
    "no random openings": ("search.temperature_plies=6", "search.opening_share=0"),
    "early moves thought over": ("search.early_simulations=400", "search.early_plies=10"),
    "temperature as in AlphaZero": ("search.temperature_plies=42",),
    "outcomes alone": ("training.value_lambda=1",),  # AlphaZero
    "lambda 0.8": ("training.value_lambda=0.8",),
    "half the passes": ("training.passes=1.25",),
    "twice the passes": ("training.passes=5",),
    "half the window": ("training.window_start=30000",),
    "twice the window": ("training.window_start=120000",),
    "half the step size": ("training.learning_rate=0.002",),
    "twice the step size": ("training.learning_rate=0.008",),
    "short average": ("training.average_decay=0.98",),
    "value counts twice": ("training.value_weight=2",),
    "duplicates made one": ("training.duplicates=0.5",),
    "32 simulations": ("search.simulations=32",),
    "128 simulations": ("search.simulations=128",),
    "Gumbel": ("search.method=gumbel", "search.simulations=32", "search.gumbel_scale=0.3"),  # Danihelka et al. 2022
    "openings by the policy": ("search.opening_policy=0.5",),  # Wu 2019, appendix D
    "targets pruned": ("search.prune_targets=true",),  # Wu 2019, 3.2
    "no noise": ("search.noise_fraction=0",),
    "quick moves": ("search.full_share=0.25", "search.simulations=128"),  # Wu 2019, 3.1
    "decided games cut short": ("search.decided_value=0.9",),  # KataGo: reduced visits
    "no solver": ("search.solver=false",),
    "end not foretold": ("network.future=false",),  # Wu 2019, 4.1
    "Muon, steps falling later": ("training.muon_learning_rate=0.02", "training.constant_steps=2000"),
    "Muon, falling steps": ("training.muon_learning_rate=0.02", "training.constant_steps=500"),  # Jordan et al. 2024
    "4 x 32": ("network.channels=32",),
    "8 x 32": ("network.blocks=8", "network.channels=32"),
    "6 x 64": ("network.blocks=6",),
    "6 x 64 bottleneck": ("network.block=bottleneck", "network.blocks=6"),
    "growing from two blocks": ("network.first_blocks=2",),
    "a gate": ("selfplay.gate=0.55", "selfplay.gate_games=100"),  # AlphaGo Zero
}
PLIES = (0, 6, 10, 14, 18, 22, 26, 30, 42)  # of the bins of `targets`
GAMES_LOOKED_AT = 600
RESIGNING = (-0.7, -0.8, -0.9, -0.95)  # values of the root below which a player would resign
console = Console(stderr=True, width=120)


# --- runs ----------------------------------------------------------------------------------------------------------


def runs(arguments: argparse.Namespace) -> dict[str, Any]:
    """Every variant with every seed."""
    rules = load_rules("connect4")
    sets = test_sets(arguments.positions, rules, arguments.data)
    found: dict[str, list[dict[str, Any]]] = {}
    for seed in arguments.seeds:
        for name in arguments.only or VARIANTS:
            folder = arguments.data / "_".join(
                [name.replace(" ", "_"), f"{arguments.minutes:g}", str(seed), *arguments.set]
            )
            notes = folder / "learnt.json"
            if not notes.exists():
                notes.write_text(
                    json.dumps(one_run(folder, (*arguments.set, *VARIANTS[name]), seed, arguments, rules, sets))
                )
            found.setdefault(name, []).append(json.loads(notes.read_text()))
            show(found)
    return {"minutes": arguments.minutes, "seeds": arguments.seeds, "preset": PRESET, "runs": found}


def one_run(
    folder: Path,
    changes: tuple[str, ...],
    seed: int,
    arguments: argparse.Namespace,
    rules: Rules,
    sets: list[PositionSet],
) -> dict[str, Any]:
    """One variant with one seed: trained and measured."""
    folder.mkdir(parents=True, exist_ok=True)
    asked = ["connect4", "--preset", PRESET, "--seed", str(seed), *(f"--set={change}" for change in changes)]
    spent = train(folder, asked, minutes=arguments.minutes)
    layout = RunLayout(folder / "data")
    rounds = layout.newest_round()  # may be trained and not published yet
    measured = shares(open_model(layout.model(rounds), rules, simulations=None), rules, sets, (0, 64))
    return {"settings": changes, "seed": seed, "seconds": round(spent.seconds), "rounds": rounds, "sets": measured}


def show(found: dict[str, list[dict[str, Any]]], simulations: int = 64) -> None:
    """Means over seeds: of all sets, and of each with so many simulations."""
    table = Table(title="Mistakes, % of 1,000 positions", box=SIMPLE_HEAD)
    for column in ("", "seeds", "rounds", "policy", f"{simulations} sim.", "values", *SETS):
        table.add_column(column, justify="right" if column else "left", no_wrap=bool(column), overflow="fold")
    for name, measured in found.items():
        cells = [name, str(len(measured)), f"{np.mean([run['rounds'] for run in measured]):.0f}"]
        cells += [f"{100 * mean_of(measured, SETS, each):.2f}" for each in ("0", str(simulations))]
        errors = [run["sets"][each]["value_error"] for run in measured for each in SETS]
        cells.append(f"{np.mean(errors):.3f}")
        table.add_row(*cells, *(f"{100 * mean_of(measured, (each,), str(simulations)):.1f}" for each in SETS))
    console.print(table)


def mean_of(measured: list[dict[str, Any]], sets: tuple[str, ...], simulations: str) -> float:
    """Mean share of mistakes over runs and sets."""
    return float(np.mean([run["sets"][each]["mistakes"][simulations] for run in measured for each in sets]))


# --- targets -------------------------------------------------------------------------------------------------------


def targets(arguments: argparse.Namespace) -> dict[str, Any]:
    """What the newest round's games say of positions, what they teach, and what the model says, against the truth."""
    layout = RunLayout(arguments.data)
    settings = settings_of_run(layout.settings)
    rules, newest = load_rules(settings.game.name), layout.newest_round()
    oracle, rng = open_oracle(rules), np.random.default_rng(0)
    games = [game for path in layout.batch_files() for game in games_of(path, newest)]
    rows: list[tuple[int, float, float, float, int]] = []
    states = []
    with console.status("solving") as status:
        for place in rng.permutation(len(games))[:GAMES_LOOKED_AT]:
            game = games[place]
            replayed, known = rules.replay(game.moves)
            taught = value_targets(game, known.to_move[:-1], settings.training.value_lambda)
            plies = np.arange(game.opening, len(game.moves))
            for ply in rng.choice(plies, size=min(3, len(plies)), replace=False):
                truth = int(oracle.outcomes(game.moves[:ply]).max())
                outcome = game.outcome if known.to_move[ply] == 0 else -game.outcome
                rows.append((int(ply), outcome, float(taught[ply, 0] - taught[ply, 2]), game.values[ply], truth))
                states.append(replayed[ply : ply + 1])
            status.update(f"solving: {len(rows)} positions")
    judged = open_model(layout.model(newest), rules, simulations=1).glance(np.concatenate(states)).values
    plies, *said, truth = np.array(rows).T
    columns = dict(zip(("outcome", "target", "search", "network"), [*said, judged], strict=True))
    table = Table(title=f"Mean squared error against perfect play, round {newest}", box=SIMPLE_HEAD)
    for name in ("plies", "positions", *columns):
        table.add_column(name, justify="right")
    found = []
    for low, high in pairwise(PLIES):
        inside = (plies >= low) & (plies < high)
        if inside.any():
            errors = {name: float(((column - truth)[inside] ** 2).mean()) for name, column in columns.items()}
            found.append({"plies": [low, high], "positions": int(inside.sum()), **errors})
            table.add_row(f"{low} to {high - 1}", str(inside.sum()), *(f"{error:.3f}" for error in errors.values()))
    console.print(table)
    return {"round": newest, "errors": found}


# --- resignation ---------------------------------------------------------------------------------------------------


def resignation(arguments: argparse.Namespace) -> dict[str, Any]:
    """What the newest round's games would have saved, and how often who resigned would not have lost: AlphaGo Zero kept
    that below 5 % (Silver et al. 2017, Methods: Self-play)."""
    layout = RunLayout(arguments.data)
    rules, newest = load_rules(settings_of_run(layout.settings).game.name), layout.newest_round()
    games = [game for path in layout.batch_files() for game in games_of(path, newest)]
    movers = [rules.replay(game.moves)[1].to_move[:-1] for game in games]
    table = Table(title=f"Resignation in {len(games):,} games of round {newest}", box=SIMPLE_HEAD)
    columns = ("value below", "games resigned", "wrongly", "positions saved", "simulations saved")
    for name in columns:
        table.add_column(name, justify="right")
    found = []
    for limit in RESIGNING:
        resigned, wrong, positions, simulations = np.sum(
            [saved(game, to_move, limit) for game, to_move in zip(games, movers, strict=True)], axis=0
        )
        of_all = np.sum([[len(game.moves) - game.opening, sum(game.simulations)] for game in games], axis=0)
        shares = (resigned / len(games), wrong / max(resigned, 1), positions / of_all[0], simulations / of_all[1])
        found.append(dict(zip(columns, (limit, *(round(float(share), 4) for share in shares)), strict=True)))
        table.add_row(f"{limit:g}", *(f"{share:.1%}" for share in shares))
    console.print(table)
    return {"round": newest, "games": len(games), "resignation": found}


def saved(game: GameRecord, to_move: npt.NDArray[np.int8], limit: float) -> tuple[bool, bool, int, int]:
    """Whether a player would have resigned, whether wrongly, and the positions and simulations left out by that."""
    plies = [ply for ply in range(game.opening, len(game.moves)) if game.values[ply] < limit]
    if not plies:
        return False, False, 0, 0
    outcome = game.outcome if to_move[plies[0]] == 0 else -game.outcome
    after = plies[0] + 1  # the search that shows it is made
    return True, outcome >= 0, len(game.moves) - after, sum(game.simulations[after:])


def games_of(path: Path, newest: int) -> list[GameRecord]:
    """The games of a batch file, if it is of that round."""
    batch = read_batch(path)
    return batch.games if batch.round == newest else []


@errors_in_a_line()
def main() -> None:
    """Compare, print lines, then JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("runs", "targets", "resignation"))
    parser.add_argument("--data", type=Path, required=True, help="folder of the runs, or of the run to look at")
    parser.add_argument("--positions", type=Path, help="folder of the test sets (runs)")
    parser.add_argument("--minutes", type=float, default=6.0, help="of each run (default 6)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--set", action="append", default=[], help="a setting beside all variants; repeatable (runs)")
    parser.add_argument("--only", nargs="+", choices=sorted(VARIANTS), metavar="VARIANT", help=", ".join(VARIANTS))
    arguments = parser.parse_args()
    if arguments.what == "runs" and arguments.positions is None:
        parser.error(f"{arguments.what} needs --positions")
    found = {"runs": runs, "targets": targets, "resignation": resignation}[arguments.what](arguments)
    json.dump({"machine": facts(), **found}, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
