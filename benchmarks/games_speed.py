"""How fast the rules of each game are: beside OpenSpiel's, and as a share of self-play.

    python benchmarks/games_speed.py                        all, about 8 minutes
    python benchmarks/games_speed.py --only go,chess --turns 3

Random games per second on one core, in turns: our compiled loop; OpenSpiel's C++ driven from Python, a call for the
legal actions and one for the ply; and OpenSpiel's own C++ loop, its `MCTSBot` whose few simulations are random playouts
by the hundreds. Then self-play with the game's own settings and an untrained network: what share of its time the rules
take (a ply, the legal actions after it, copy and hash of the state for each simulation; input planes for each
evaluation). Last, games by the adapter `openspiel:NAME` with a small network: simulations per second.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyspiel
from figures import figure
from machine import facts
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from selfplay.config import settings_of_run
from selfplay.evaluation.cache import CachedEvaluator
from selfplay.evaluation.onnx_evaluator import OnnxEvaluator
from selfplay.games.playout_speed import playouts_per_second
from selfplay.games.random_play import random_positions
from selfplay.games.registry import load_rules
from selfplay.rundir.layout import RunLayout, inference_twin
from selfplay.worker.lockstep import Lockstep
from selfplay.worker.process import spare_the_collector

GAMES = {
    "tictactoe": "tic_tac_toe",
    "connect4": "connect_four",
    "mnk": "mnk(m=5,n=5,k=4)",
    "gomoku": "gomoku",
    "othello": "othello",
    "hex": "hex(board_size=11,swap=True)",
    "breakthrough": "breakthrough",
    "go": "go(board_size=9)",
    "kalah": "mancala",
    "dots": "dots_and_boxes(num_rows=3,num_cols=3)",
    "morris": "nine_mens_morris",
    "checkers": "checkers",
    "chess": "chess",
}
ADAPTED = ("openspiel:hex(board_size=5)", "openspiel:pentago")
SMALL = ("network.blocks=2", "network.channels=32", "evaluation.games=0")
PLAYOUTS, SEARCHES = 200, 10  # of OpenSpiel's bot: playouts of each simulation, and simulations
LEAST_RATIO, MOST_TIMES, MOST_SHARE, LEAST_ADAPTED = 5.0, 3.0, 0.1, 2000
SELFPLAY = Path(sys.executable).with_name("selfplay")


def rate(play: Callable[[], int], seconds: float) -> float:
    """Games per second of a function that plays some and says how many."""
    games, start = 0, time.perf_counter()
    while (now := time.perf_counter()) - start < seconds:
        games += play()
    return games / (now - start)


def driven_from_python(name: str) -> Callable[[], int]:
    """A random game by OpenSpiel, ply by ply from Python."""
    game, rng = pyspiel.load_game(name), random.Random(0)

    def play() -> int:
        state = game.new_initial_state()
        while not state.is_terminal():
            state.apply_action(rng.choice(state.legal_actions()))
        return 1

    return play


def own_loop(name: str) -> Callable[[], int]:
    """Random games in OpenSpiel's C++, from positions a ply or two behind the start."""
    game = pyspiel.load_game(name)
    evaluator = pyspiel.RandomRolloutEvaluator(PLAYOUTS, 0)
    bot = pyspiel.MCTSBot(game, evaluator, 2.0, SEARCHES, 1000, False, 1, False)
    state = game.new_initial_state()

    def play() -> int:
        bot.mcts_search(state)
        return SEARCHES * PLAYOUTS

    return play


def playouts(spec: str, theirs: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Random games per second, three ways in turns."""
    rules, python, loop = load_rules(spec), driven_from_python(theirs), own_loop(theirs)
    turns = [
        (
            playouts_per_second(rules, seconds=arguments.seconds),
            rate(python, arguments.seconds),
            rate(loop, arguments.seconds),
        )
        for _ in range(arguments.turns)
    ]
    ours, driven, own = zip(*turns, strict=True)
    return {
        "name": spec,
        "games_per_second": figure(ours, places=0),
        "openspiel_from_python_per_second": figure(driven, places=0),
        "openspiel_own_loop_per_second": figure(own, places=0),
        "ratio_python": figure([a / b for a, b in zip(ours, driven, strict=True)]),
        "ratio_own_loop": figure([a / b for a, b in zip(ours, own, strict=True)]),
    }


def model_of(spec: str, folder: Path, assignments: tuple[str, ...] = ()) -> RunLayout:
    """A run of no rounds: the game's settings and an untrained network."""
    data = folder / spec.replace("/", "_").replace(":", "_")
    command = [str(SELFPLAY), "train", spec, "--rounds", "0", "--data", str(data), "--model", str(data / "model.pt")]
    subprocess.run([*command, *(f"--set={each}" for each in assignments)], check=True, stdout=subprocess.DEVNULL)
    return RunLayout(data)


def selfplay(spec: str, layout: RunLayout, seconds: float) -> tuple[float, float]:
    """Simulations per second of one worker's loop, and evaluations per simulation."""
    settings, rules = settings_of_run(layout.settings), load_rules(spec)
    network = OnnxEvaluator(inference_twin(layout.model(0)), rules.info)
    cached = CachedEvaluator(network, rules.info, positions=settings.worker.cache_positions)
    slots = settings.worker.games_side_by_side("cpu")
    lockstep = Lockstep(rules, cached, settings.search, slots=slots, run_seed=0, round_number=1)
    spare_the_collector()
    play = lockstep.play(range(10**9))
    warm_until = time.perf_counter() + seconds / 2
    while time.perf_counter() < warm_until:
        next(play)
    cached.counts.reset()
    before, start = lockstep.counts.simulations, time.perf_counter()
    while (now := time.perf_counter()) - start < seconds:
        next(play)
    simulations = lockstep.counts.simulations - before
    return simulations / (now - start), cached.counts.evaluated / simulations


def seconds_each(work: Callable[[], Any], rows: int) -> float:
    """Median seconds per row of a piece of work."""
    work()
    taken = []
    for _ in range(9):
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken) / rows


def share_of_rules(spec: str, folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """What part of self-play's time a game's rules take."""
    rules = load_rules(spec)
    states = random_positions(rules, 512, seed=0)
    known = rules.describe(states.copy())
    rng = np.random.default_rng(0)
    actions = np.array([rng.choice(np.flatnonzero(legal)) for legal in known.legal], np.int32)
    ply = seconds_each(lambda: rules.advance(states.copy(), actions), len(states))
    planes = seconds_each(lambda: rules.encode(states), len(states))
    per_second, evaluated = selfplay(spec, model_of(spec, folder), arguments.selfplay_seconds)
    return {
        "name": f"{spec} self-play",
        "simulations_per_second": round(per_second),
        "rules_microseconds": round(1e6 * (ply + evaluated * planes), 2),
        "share_of_rules": round((ply + evaluated * planes) * per_second, 4),
    }


def report(rows: list[dict[str, Any]], shares: list[dict[str, Any]], console: Console) -> None:
    """The tables for people."""
    table = Table(title="Random games per second, one core", box=SIMPLE_HEAD)
    columns = ("game", "ours", "OpenSpiel from Python", "its own loop", "times", "times its loop", "rules in self-play")
    for column in columns:
        table.add_column(column, justify="left" if column == "game" else "right")
    for row, share in zip(rows, shares, strict=False):
        rates = [row[key]["median"] for key in row if key.endswith("_per_second")]
        ratios = [f"{row[key]['median']:.1f}" for key in ("ratio_python", "ratio_own_loop")]
        table.add_row(row["name"], *(f"{each:,.0f}" for each in rates), *ratios, f"{share['share_of_rules']:.1%}")
    console.print(table)
    console.print(
        f"promised: {LEAST_RATIO:g} times OpenSpiel from Python, at most {MOST_TIMES:g} times slower than its loop, "
        f"rules at most {MOST_SHARE:.0%} of self-play, {LEAST_ADAPTED:,} simulations/s by the adapter",
        soft_wrap=True,
    )


def main() -> None:
    """Measure, print the tables, then JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", help=f"these, by commas, of {', '.join(GAMES)} (default: all)")
    parser.add_argument("--turns", type=int, default=5, help="of each game (default 5)")
    parser.add_argument("--seconds", type=float, default=0.5, help="of each way in a turn (default 0.5)")
    parser.add_argument("--selfplay-seconds", type=float, default=6.0, help="of self-play with each game (default 6)")
    parser.add_argument("--core", type=int, help="core to run on (default: the last)")
    arguments = parser.parse_args()
    os.sched_setaffinity(0, {arguments.core if arguments.core is not None else max(os.sched_getaffinity(0))})
    console, rows, shares = Console(stderr=True, width=120), [], []
    adapted: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for spec in arguments.only.split(",") if arguments.only else GAMES:
            with console.status(spec):
                rows.append(playouts(spec, GAMES[spec], arguments))
                shares.append(share_of_rules(spec, folder, arguments))
        for spec in () if arguments.only else ADAPTED:
            with console.status(spec):
                per_second, _ = selfplay(spec, model_of(spec, folder, SMALL), arguments.selfplay_seconds)
            adapted.append({"name": spec, "simulations_per_second": round(per_second)})
    report(rows, shares, console)
    for row in adapted:
        console.print(f"{row['name']}: {row['simulations_per_second']:,} simulations/s with a 2 x 32 network")
    print(json.dumps({"machine": facts(), "playouts": rows, "selfplay": shares, "adapted": adapted}, indent=1))


if __name__ == "__main__":
    main()
