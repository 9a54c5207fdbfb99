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
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
from machine import facts
from refusals import errors_in_a_line
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from selfplay.arena.oracle import open_oracle
from selfplay.config import settings_of_run
from selfplay.evaluation.cache import CachedEvaluator
from selfplay.evaluation.evaluator import Positions
from selfplay.evaluation.onnx_evaluator import OnnxEvaluator
from selfplay.games.game import Rules, States
from selfplay.games.registry import load_rules
from selfplay.rundir.layout import RunLayout, inference_twin
from selfplay.worker.openings import Openings

CHOICES = (1, 2, 4, 8, 16, 32)
SHORTEST = 8  # plies
PICKS = 20_000  # of which means are taken
console = Console(stderr=True, width=120)


class Solved(NamedTuple):
    """Random openings, n of them."""

    states: States  # [n]
    plies: npt.NDArray[np.int64]  # [n]
    truth: npt.NDArray[np.int8]  # [n] outcome of perfect play for the player to move


def solved_openings(rules: Rules, openings: Openings, count: int, rng: np.random.Generator) -> Solved:
    """So many of SHORTEST plies or more. Raises `UsageError` where the solver is not installed."""
    oracle = open_oracle(rules)
    states: list[States] = []
    plies: list[int] = []
    truth: list[int] = []
    with console.status("solving") as status:
        while len(plies) < count:
            opening = openings.draw(rng)
            if len(opening.moves) < SHORTEST:
                continue
            states.append(opening.state)
            plies.append(len(opening.moves))
            truth.append(oracle.outcomes(opening.moves).max())
            status.update(f"solving: {len(plies):,} of {count:,} openings")
    return Solved(np.concatenate(states), np.array(plies), np.array(truth))


def most_even(
    doubts: npt.NDArray[np.float32], plies: npt.NDArray[np.int64], choices: int, rng: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Which openings are played, PICKS of them by index, where there are so many choices: those with the least distance
    from 0 [n] of some with equally many plies [n]."""
    of_length = {int(length): np.flatnonzero(plies == length) for length in np.unique(plies)}
    picked = []
    for length in plies[rng.integers(len(plies), size=PICKS)]:
        drawn = rng.choice(of_length[int(length)], size=choices)
        picked.append(drawn[doubts[drawn].argmin()])
    return np.array(picked)


def measured(layout: RunLayout, number: int, count: int, rng: np.random.Generator) -> list[dict[str, float]]:
    """What there is to learn, for each of CHOICES; shown as a table too. Raises `SelfplayError`."""
    settings = settings_of_run(layout.settings)
    rules = load_rules(settings.game.name)
    evaluator = CachedEvaluator(
        OnnxEvaluator(inference_twin(layout.model(number)), rules.info), rules.info, positions=0
    )
    any_opening = msgspec.structs.replace(settings.search, opening_share=1.0, opening_choices=1)
    states, plies, truth = solved_openings(rules, Openings(rules, evaluator, any_opening), count, rng)
    values = evaluator.glance(Positions.of(rules, states)).values
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
    return found


@errors_in_a_line()
def main() -> None:
    """Draw, solve, judge; print a table, then JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of a run of connect4 (its `data`)")
    parser.add_argument("--round", type=int, help="whose model judges (default: the newest)")
    parser.add_argument("--count", type=int, default=5_000, help="openings that are solved (default 5000)")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    layout = RunLayout(arguments.data)
    if arguments.count < 1:
        parser.error(f"--count {arguments.count}: expected 1 or more")
    if (name := settings_of_run(layout.settings).game.name) != "connect4":
        parser.error(f"{arguments.data} is a run of {name}, expected one of connect4, which can be solved")
    number = arguments.round if arguments.round is not None else layout.newest_round()
    found = measured(layout, number, arguments.count, np.random.default_rng(arguments.seed))
    json.dump({"machine": facts(), "round": number, "count": arguments.count, "openings": found}, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
