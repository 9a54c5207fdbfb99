"""How strength grows with the arithmetic that went into it: Connect Four, networks of several sizes, one scale of Elo.

    python benchmarks/scaling_law.py --out FOLDER                                  about 35 minutes on two cores
    python benchmarks/scaling_law.py --out FOLDER --minutes 20 --plot docs         and docs/scaling_law.svg

Each size is trained from nothing for some minutes. Models on the way, at rounds that double, and random play then meet
each other; their ratings are one Bradley-Terry fit, in which random play has 0. Compute is the arithmetic of play
(forward passes of positions that the network judged) and training (three times a forward pass for a sample).

The fit is that of Jones 2021 ("Scaling Scaling Laws with Board Games") and of Neumann and Gros 2022 ("Scaling Laws for
a Multi-Agent Reinforcement Learning Model"), for the rising part of their curves: Elo = a + b log10(compute) on the
frontier, which are the models that none stronger is cheaper than. Strength in Bradley and Terry's sense then grows as
compute to the power b / 400. Games begin with random plies, both colours from each: an opening that is won for one side
gives a point to each, so that distances in Elo are smaller than from the empty board.

Before each training `selfplay plan` foretells how many rounds the time is enough for: the other figure that is checked.
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from machine import facts
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from timed_training import SELFPLAY, train

from selfplay.coordinator.run import settings_as_run
from selfplay.games.registry import load_rules
from selfplay.machine import usable_cores
from selfplay.rundir.event_types import Played, Trained
from selfplay.rundir.events import EventReader
from selfplay.rundir.layout import RunLayout
from selfplay.training.parallel_plan import BACKWARD, Work

PRESET = "connect4-30min"
GAMES_PER_ROUND = 200
ANCHOR = "random"
BOOTSTRAPS = 1000


@dataclass(frozen=True)
class Point:
    """A model on the way of a run."""

    network: str
    round: int
    flops: float
    elo: float = 0.0
    error: float = 0.0  # half of the 95 % interval


def chosen(size: str) -> list[str]:
    """Settings of a run with a network of BLOCKSxCHANNELS, beside the preset."""
    blocks, channels = size.split("x")
    return [
        "network.block=basic",
        f"network.blocks={blocks}",
        f"network.channels={channels}",
        f"selfplay.games_per_round={GAMES_PER_ROUND}",
    ]


def asked(size: str) -> list[str]:
    """The same as a command's arguments."""
    return ["connect4", "--preset", PRESET, *(f"--set={each}" for each in chosen(size))]


def foretold(size: str, minutes: float, folder: Path) -> dict[str, Any]:
    """What `selfplay plan` says of a run; kept in the folder."""
    kept = folder / "plan.json"
    if not kept.exists():
        command = [str(SELFPLAY), "plan", *asked(size), "--hours", str(minutes / 60), "--cores", str(usable_cores())]
        kept.write_bytes(subprocess.run([*command, "--json"], check=True, stdout=subprocess.PIPE).stdout)
    plan: dict[str, Any] = json.loads(kept.read_text())
    return plan


def compute_by_round(size: str, layout: RunLayout, plan: dict[str, Any]) -> dict[int, float]:
    """FLOP that went into each round's model, from the first round on."""
    settings = settings_as_run("connect4", PRESET, None, tuple(chosen(size)))
    work = Work.of(load_rules("connect4").info, settings.network, settings.training, GAMES_PER_ROUND)
    evaluations_per_ply = plan["speeds"]["simulations_per_ply"] * plan["speeds"]["evaluated_share"]
    spent, found = 0.0, {}
    for event in EventReader(layout.events):
        if isinstance(event, Played):
            spent += event.plies * evaluations_per_ply * work.flops
        elif isinstance(event, Trained):
            spent += event.steps * settings.training.batch_size * (1 + BACKWARD) * work.flops
            found[event.round] = spent
    return found


def doubling(last: int) -> list[int]:
    """1, 2, 4 and so on, and the last."""
    rounds = [2**power for power in range(last.bit_length())]
    return rounds if rounds[-1] == last else [*rounds, last]


def rated(points: list[Point], layouts: dict[str, RunLayout], games: int, folder: Path) -> list[Point]:
    """The points with their ratings; what was played is kept in the folder."""
    kept = folder / f"ratings_{games}.json"
    models = [str(layouts[point.network].model(point.round)) for point in points]
    if not kept.exists():
        command = [str(SELFPLAY), "arena", ANCHOR, *models, "--games", str(games), "--json"]
        kept.write_bytes(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    found = {rating["name"]: rating for rating in json.loads(kept.read_text())["ratings"]}
    by_model = [next(found[name] for name in found if name.split(" (")[0].endswith(model)) for model in models]
    return [
        Point(point.network, point.round, point.flops, rating["elo"], rating["error"])
        for point, rating in zip(points, by_model, strict=True)
    ]


def frontier(points: list[Point]) -> list[Point]:
    """Those that none stronger is cheaper than."""
    best, found = -np.inf, []
    for point in sorted(points, key=lambda point: point.flops):
        if point.elo > best:
            best = point.elo
            found.append(point)
    return found


def fit(points: list[Point]) -> dict[str, Any]:
    """The line through the frontier, with 95 % intervals by drawing points again."""
    rising = frontier(points)
    x = np.log10([point.flops for point in rising])
    y = np.array([point.elo for point in rising])
    slope, intercept = np.polyfit(x, y, 1)
    rng = np.random.default_rng(0)
    slopes: list[float] = []
    while len(slopes) < BOOTSTRAPS:
        rows = rng.integers(len(x), size=len(x))
        if len(set(rows)) > 2:
            slopes.append(np.polyfit(x[rows], y[rows], 1)[0])
    low, high = np.percentile(slopes, [2.5, 97.5])
    left = y - (intercept + slope * x)
    return {
        "points": len(rising),
        "elo_per_tenfold": {"median": round(slope), "low": round(low), "high": round(high)},
        "exponent": round(slope / 400, 3),
        "intercept": round(intercept, 1),
        "residual_elo": round(float(np.sqrt(np.mean(left**2)))),
    }


def report(points: list[Point], law: dict[str, Any], runs: list[dict[str, Any]]) -> None:
    """Tables for people."""
    console, table = Console(stderr=True, width=100), Table(box=SIMPLE_HEAD)
    on_it = frontier(points)
    for column in ("network", "round", "TFLOP", "Elo above random play", "±", "frontier"):
        table.add_column(column, justify="right")
    for point in sorted(points, key=lambda point: point.flops):
        figures = f"{point.flops / 1e12:,.2f}", f"{point.elo:,.0f}", f"{point.error:.0f}"
        table.add_row(point.network, str(point.round), *figures, "*" if point in on_it else "")
    console.print(table)
    slope = law["elo_per_tenfold"]
    console.print(
        f"{slope['median']} Elo for ten times the compute ({slope['low']} to {slope['high']}), strength as compute to "
        f"the power {law['exponent']}; {law['points']} points, {law['residual_elo']} Elo off the line"
    )
    for run in runs:
        console.print(f"{run['name']}: {run['rounds_foretold']} rounds foretold, {run['rounds']} trained")


def plot(points: list[Point], law: dict[str, Any], path: Path) -> None:
    """Elo against compute, all sizes and the line."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "selfplay"
    matplotlib.rcParams["svg.fonttype"] = "none"
    from matplotlib import pyplot

    picture, axis = pyplot.subplots(figsize=(6.4, 4.0), layout="constrained")
    for network in dict.fromkeys(point.network for point in points):
        own = [point for point in points if point.network == network]
        spread = [point.error for point in own]
        axis.errorbar([p.flops for p in own], [p.elo for p in own], spread, marker="o", label=network)
    flops = np.array([point.flops for point in frontier(points)])
    line = law["intercept"] + law["elo_per_tenfold"]["median"] * np.log10(flops)
    axis.plot(flops, line, "k--", label=f"{law['elo_per_tenfold']['median']} Elo for ten times as much")
    axis.set(xscale="log", xlabel="FLOP of self-play and training", ylabel="Elo above random play")
    axis.legend()
    axis.grid(alpha=0.3)
    picture.savefig(path, metadata={"Date": None})


def main() -> None:
    """Foretell, train, play, fit; print tables, then JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs; the same command goes on there")
    parser.add_argument("--minutes", type=float, default=6.0, help="of training for each size (default 6)")
    parser.add_argument("--sizes", default="1x8,2x16,4x32,5x64", help="networks (default 1x8,2x16,4x32,5x64)")
    parser.add_argument("--games", type=int, default=10, help="of each match (default 10)")
    parser.add_argument("--plot", type=Path, help="folder for scaling_law.svg")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # the training is ended too
    points, runs, layouts = [], [], {}
    for size in arguments.sizes.split(","):
        folder = arguments.out / size
        folder.mkdir(parents=True, exist_ok=True)
        plan = foretold(size, arguments.minutes, folder)
        spent = train(folder, asked(size), minutes=arguments.minutes)
        layouts[size] = layout = RunLayout(folder / "data")
        flops = compute_by_round(size, layout, plan)
        rounds = layout.newest_round()
        points += [Point(size, number, flops[number]) for number in doubling(rounds)]
        runs.append(
            {
                "name": size,
                "rounds": rounds,
                "rounds_foretold": plan["runs"][0]["rounds"],
                "seconds": round(spent.seconds),
                "seconds_stolen": round(spent.stolen),
            }
        )
    points = rated(points, layouts, arguments.games, arguments.out)
    law = fit(points)
    report(points, law, runs)
    if arguments.plot:
        plot(points, law, arguments.plot / "scaling_law.svg")
    found = {"runs": runs, "fit": law, "points": [asdict(point) for point in points]}
    print(json.dumps({"machine": facts(), **found}, indent=1))


if __name__ == "__main__":
    main()
