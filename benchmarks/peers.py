"""The same self-play in this system and in those that users would pick instead.

    python benchmarks/peers.py                     all, about 25 minutes, the first time some more to set up
    python benchmarks/peers.py --only selfplay,mctx --turns 3

Connect Four, a residual network of 5 blocks x 64 channels with fresh weights, 100 simulations per move, one core. Each
system is a process of its own (`peer_systems/`), in an environment of its own that is made here out of the package
registry by the pinned versions in `peer_systems/*.txt`, and pinned to the same core. They play in turns, one at a
time, so that whatever else the machine does meets all alike; figures are medians over the turns, with the quartiles.
A ratio is the median of the ratios within the turns.

LightZero is not among them: its newest version on the registry (0.2.0) does not build, for its archive lacks a file,
and those before it (0.1.0, 0.0.5) have no Connect Four.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import venv
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from figures import figure
from machine import facts
from players import SYSTEMS, Player, fresh_model
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

HERE = Path(__file__).parent
ENVIRONMENTS = HERE / ".environments"
OURS = "selfplay"


@dataclass
class System:
    """A system under comparison, and what was measured of it."""

    name: str
    driver: list[str]  # file in peer_systems/, with its arguments
    requirements: str = ""  # in peer_systems/; empty = this project's own environment
    start_up_seconds: float = 0.0
    memory_megabytes: float = 0.0
    turns: list[dict[str, float]] = field(default_factory=list)
    bare: list[float] = field(default_factory=list)  # forward passes/s of its network alone, by turn

    def rate(self, what: str) -> list[float]:
        """Per second, by turn."""
        return [turn[what] / turn["seconds"] for turn in self.turns]


def systems(models: dict[str, Path]) -> list[System]:
    """All systems; ours plays with these inference files."""
    ours = [System(f"{OURS} {precision}", ["ours.py", "play", str(path)]) for precision, path in models.items()]
    mctx = [
        System(f"mctx {policy} batch {batch}", ["mctx_pgx.py", policy, str(batch)], "mctx_pgx.txt")
        for policy in ("puct", "gumbel")
        for batch in (1, 16, 64, 256)
    ]
    others = [
        System("plain PyTorch loop", ["plain_torch.py"]),
        System("OpenSpiel linen", ["openspiel.py", "linen"], "openspiel.txt"),
        System("OpenSpiel nnx", ["openspiel.py", "nnx"], "openspiel.txt"),
    ]
    return [*ours, *mctx, *others]


def python_of(requirements: str, console: Console) -> Path:
    """The interpreter of an environment that holds these packages, made where it is not there yet."""
    if not requirements:
        return Path(sys.executable)
    folder, wanted = ENVIRONMENTS / Path(requirements).stem, (SYSTEMS / requirements).read_text()
    python, ready = folder / "bin" / "python", folder / "ready"
    if not ready.exists() or ready.read_text() != wanted:
        console.print(f"making the environment for {requirements}")
        venv.create(folder, with_pip=True, clear=True)
        subprocess.run(
            [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", SYSTEMS / requirements],
            check=True,
            stdout=sys.stderr,
        )
        ready.write_text(wanted)
    return python


def start(system: System, python: Path, core: int, console: Console) -> Player:
    """The system, ready to play."""
    console.print(f"starting {system.name}")
    player = Player(system.driver, core=core, python=python)
    system.start_up_seconds = round(player.start_up_seconds, 2)
    return player


def ratios(ours: System, theirs: list[System]) -> list[float]:
    """Simulations/s of ours over those of the best of theirs, by turn."""
    best = [max(figures) for figures in zip(*(system.rate("simulations") for system in theirs), strict=True)]
    return [one / other for one, other in zip(ours.rate("simulations"), best, strict=True)]


def comparisons(measured: list[System]) -> list[dict[str, Any]]:
    """How many times as many simulations per second we make as each kind of peer at its best batch."""
    kinds = ("mctx puct", "mctx gumbel", "plain PyTorch loop", "OpenSpiel")
    found = []
    for ours in (system for system in measured if system.name.startswith(OURS)):
        for kind in kinds:
            theirs = [system for system in measured if system.name.startswith(kind)]
            if theirs:
                turns = ratios(ours, theirs)
                found.append({"name": f"{ours.name} against {kind}", "ratio": figure(turns)})
    return found


def row(system: System) -> dict[str, Any]:
    """All figures of a system."""
    moves, games = sum(turn["moves"] for turn in system.turns), sum(turn["games"] for turn in system.turns)
    return {
        "name": system.name,
        "simulations_per_second": figure(system.rate("simulations")),
        "moves_per_second": figure(system.rate("moves")),
        "games_per_second": figure(system.rate("games")),
        "plies_per_game": round(moves / games, 1) if games else None,
        "network_alone_passes_per_second": figure(system.bare),
        "memory_megabytes": system.memory_megabytes,
        "start_up_seconds": system.start_up_seconds,
    }


def report(rows: list[dict[str, Any]], compared: list[dict[str, Any]], console: Console) -> None:
    """The tables for people."""
    table = Table(title="Connect Four self-play, 5x64, 100 simulations per move, one core", box=SIMPLE_HEAD)
    for column in ("system", "sims/s", "quartiles", "moves/s", "games/s", "network alone", "MB", "start-up s"):
        table.add_column(column, justify="left" if column == "system" else "right", no_wrap=True)
    for figures in rows:
        rate, moves, games, bare = (
            figures[f"{name}_per_second"] for name in ("simulations", "moves", "games", "network_alone_passes")
        )
        table.add_row(
            figures["name"],
            f"{rate['median']:,.0f}",
            f"{rate['low']:,.0f}–{rate['high']:,.0f}",
            f"{moves['median']:,.1f}",
            f"{games['median']:,.2f}" if games["median"] else "-",
            f"{bare['median']:,.0f}",
            f"{figures['memory_megabytes']}",
            f"{figures['start_up_seconds']}",
        )
    console.print(table)
    for line in compared:
        ratio = line["ratio"]
        console.print(f"{line['name']}: {ratio['median']:.2f} times (quartiles {ratio['low']:.2f}–{ratio['high']:.2f})")


def main() -> None:
    """Set up, play in turns, print tables, then JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=5, help="turns of each system (default 5)")
    parser.add_argument("--seconds", type=float, default=8.0, help="seconds of play in a turn (default 8)")
    parser.add_argument("--core", type=int, help="core to run on (default: the last)")
    parser.add_argument("--only", default="", help="systems whose names begin so, by commas (default: all)")
    arguments = parser.parse_args()
    console = Console(stderr=True, width=130)
    core = arguments.core if arguments.core is not None else max(os.sched_getaffinity(0))
    with fresh_model(5, 64, "int8") as int8, fresh_model(5, 64, "float32") as float32:
        wanted, known = tuple(arguments.only.split(",")), systems({"int8": int8, "float32": float32})
        chosen = [system for system in known if system.name.startswith(wanted)]
        pythons = {name: python_of(name, console) for name in dict.fromkeys(system.requirements for system in chosen)}
        players = [start(system, pythons[system.requirements], core, console) for system in chosen]
        for player in players:
            player.ask("warm", 2 * arguments.seconds)
        for number in range(arguments.turns):
            console.print(f"turn {number + 1} of {arguments.turns}")
            for system, player in zip(chosen, players, strict=True):
                system.bare.append(player.ask("bare", arguments.seconds / 2)["passes_per_second"])
                system.turns.append(player.ask("play", arguments.seconds))
        for system, player in zip(chosen, players, strict=True):
            system.memory_megabytes = round(player.most_megabytes())
            player.close()
    rows, compared = [row(system) for system in chosen], comparisons(chosen)
    report(rows, compared, console)
    print(json.dumps({"benchmark": "peers", "machine": facts(), "systems": rows, "comparisons": compared}, indent=1))


if __name__ == "__main__":
    main()
