"""How much a choice among random openings teaches: how wrong the network is about those that would be played.

    python benchmarks/openings.py --data data
    python benchmarks/openings.py --data data --round 119 --count 8000

Random openings of Connect Four, as many plies long as the run's settings would have them, are solved, and judged by a
model of the run. Of so many of one length (`search.opening_choices`) the one is taken whose value is nearest to 0. The
squared error of its value against perfect play is what there is to learn from it, its distance from 0 how decided the
network holds it to be. Openings of fewer than eight plies are left out: to solve one takes seconds. Needs the extra
`oracle`.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from machine import facts
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from selfplay.arena.oracle import open_oracle
from selfplay.arena.player import open_model
from selfplay.config import settings_of_run
from selfplay.games.game import Rules, States
from selfplay.games.random_play import random_opening
from selfplay.games.registry import load_rules
from selfplay.rundir.layout import RunLayout
from selfplay.settings import SearchSettings

CHOICES = (1, 2, 4, 8, 16, 32)
SHORTEST = 8  # plies
PICKS = 20_000  # of which means are taken
console = Console(stderr=True, width=120)


class Solved(NamedTuple):
    """Random openings, n of them."""

    states: States  # [n]
    plies: npt.NDArray[np.int64]  # [n]
    truth: npt.NDArray[np.int8]  # [n] outcome of perfect play for the player to move


def solved_openings(rules: Rules, settings: SearchSettings, count: int, rng: np.random.Generator) -> Solved:
    """So many, drawn as in self-play."""
    oracle = open_oracle(rules)
    states: list[States] = []
    plies: list[int] = []
    truth: list[int] = []
    with console.status("solving") as status:
        while len(plies) < count:
            length = min(int(rng.integers(1, settings.opening_plies + 1)) for _ in range(settings.opening_draws))
            opening = random_opening(rules, length, rng)
            if len(opening.moves) < SHORTEST:
                continue
            states.append(opening.state)
            plies.append(len(opening.moves))
            truth.append(oracle.outcomes(opening.moves).max())
            status.update(f"solving: {len(plies):,} of {count:,} openings")
    return Solved(np.concatenate(states), np.array(plies), np.array(truth))


def most_even(doubts: npt.NDArray[Any], plies: npt.NDArray[np.int64], choices: int, rng: Any) -> npt.NDArray[np.int64]:
    """The openings that are played where there are so many choices: PICKS of them, by index."""
    of_length = {int(length): np.flatnonzero(plies == length) for length in np.unique(plies)}
    picked = []
    for length in plies[rng.integers(len(plies), size=PICKS)]:
        drawn = rng.choice(of_length[int(length)], size=choices)
        picked.append(drawn[doubts[drawn].argmin()])
    return np.array(picked)


def main() -> None:
    """Draw, solve, judge; print a table, then JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the run (its `data`)")
    parser.add_argument("--round", type=int, help="whose model judges (default: the newest)")
    parser.add_argument("--count", type=int, default=5_000, help="openings that are solved (default 5000)")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    layout = RunLayout(arguments.data)
    settings = settings_of_run(layout.settings)
    if settings.game.name != "connect4" or arguments.count < 1:
        parser.error(f"needs a run of connect4 (this one is of {settings.game.name}) and --count from 1")
    number = arguments.round if arguments.round is not None else max(layout.rounds_with_models())
    rules, rng = load_rules(settings.game.name), np.random.default_rng(arguments.seed)
    states, plies, truth = solved_openings(rules, settings.search, arguments.count, rng)
    values = open_model(layout.model(number), rules, simulations=1).glance(states).values
    table = Table(title=f"Openings that would be played, and the model of round {number}", box=SIMPLE_HEAD)
    columns = ("choices", "distance from 0", "squared error", "wrong by more than 1", "drawn in truth")
    for name in columns:
        table.add_column(name, justify="right")
    found = []
    for choices in CHOICES:
        picked = most_even(np.abs(values), plies, choices, rng)
        error = np.abs(values - truth)[picked]
        means = (np.abs(values)[picked].mean(), (error**2).mean(), (error > 1).mean(), (truth[picked] == 0).mean())
        found.append(dict(zip(columns, (choices, *(round(float(mean), 4) for mean in means)), strict=True)))
        table.add_row(str(choices), f"{means[0]:.2f}", f"{means[1]:.3f}", f"{means[2]:.1%}", f"{means[3]:.1%}")
    console.print(table)
    json.dump({"machine": facts(), "round": number, "count": arguments.count, "openings": found}, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
