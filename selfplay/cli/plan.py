"""`selfplay plan`: what a run will cost, before it is begun."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from selfplay.cli.options import as_json

if TYPE_CHECKING:
    from selfplay.coordinator.forecast import RoundCost, RunCost, Speeds

_POSITIVE = click.IntRange(min=1)


@click.command("plan", context_settings={"show_default": True})
@click.argument("game", default="connect4")
@click.option("--preset", help="Settings by name; a game's own preset is taken by itself.")
@click.option("--config", type=click.Path(path_type=Path, dir_okay=False), help="Settings from a TOML file.")
@click.option("--set", "assignments", multiple=True, metavar="GROUP.FIELD=VALUE", help="One setting; repeatable.")
@click.option("--rounds", type=_POSITIVE, default=100, help="Rounds of the run.")
@click.option("--hours", type=click.FloatRange(min=0, min_open=True), help="Plan for so much time instead of rounds.")
@click.option("--cores", type=_POSITIVE, multiple=True, help="Cores that play; repeatable.  [default: some numbers]")
@click.option("--cores-per-node", type=_POSITIVE, default=32, help="Of the machines that one would take.")
@click.option("--seconds", type=click.FloatRange(min=1), default=10.0, help="Time to measure self-play.")
@as_json
def command(game: str, **options: Any) -> None:
    """What a run of GAME costs on more or fewer cores: time, core-hours, storage, traffic.

    Measures for some seconds what a core plays and what this machine trains with these settings and an untrained
    network, and reckons from there. Training stays on the coordinator's machine, taken to be like this one: from some
    number of cores on it takes longer than playing, and the table says which.

    \b
    Example:
      selfplay plan connect4 --preset connect4-30min --rounds 100
      selfplay plan go --set network.blocks=10 --hours 24 --cores 64 --cores 512
    """
    import msgspec
    from rich.console import Console

    from selfplay.coordinator.forecast import Speeds, round_cost, rounds_within, run_cost
    from selfplay.coordinator.run import settings_as_run
    from selfplay.coordinator.speeds import measure_speeds
    from selfplay.games.registry import load_rules

    settings = settings_as_run(game, options["preset"], options["config"], options["assignments"])
    rules = load_rules(settings.game.name)
    speeds: Any = None
    with Console(stderr=True).status("measuring") as status:
        for found in measure_speeds(settings, rules, seconds=options["seconds"]):
            if isinstance(found, Speeds):
                speeds = found
            else:
                status.update(f"measuring: {found}")
    cost, lag = round_cost(settings, rules.info, speeds), settings.selfplay.lag
    runs = []
    for cores in options["cores"] or _some_numbers():
        rounds = options["rounds"]
        if options["hours"]:
            rounds = rounds_within(cost, seconds=3600 * options["hours"], cores=cores, lag=lag)
        nodes = -(-cores // options["cores_per_node"])
        runs.append(run_cost(cost, speeds, rounds=rounds, cores=cores, nodes=nodes, lag=lag))
    if options["as_json"]:
        answer = {"game": settings.game.name, "speeds": speeds, "round": cost, "runs": runs}
        click.echo(msgspec.json.encode(answer).decode())
        return
    _print(speeds, cost, runs, lag)


def _some_numbers() -> list[int]:
    from selfplay.machine import usable_cores

    here = usable_cores()
    return sorted({here, *(cores for cores in (16, 64, 256, 1024) if cores > here)})


def _print(speeds: Speeds, cost: RoundCost, runs: list[RunCost], lag: int) -> None:
    """For people."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    from selfplay.monitor.terminal import size

    click.echo(
        f"measured here: a core makes {speeds.simulations_per_second:,.0f} simulations/s (the network judges "
        f"{speeds.evaluated_share:.0%} of them), games have {speeds.plies_per_game:.0f} plies of "
        f"{speeds.simulations_per_ply:.0f} simulations, the trainer takes {speeds.samples_per_second:,.0f} samples/s"
    )
    click.echo(
        f"a round: {cost.games:,} games, {cost.play_core_seconds:,.1f} core-seconds of play "
        f"({cost.play_flops / 1e12:,.1f} TFLOP), {cost.train_seconds:,.1f} s of training "
        f"({cost.train_flops / 1e12:,.1f} TFLOP), {size(int(cost.batch_bytes))} of games"
    )
    verb = "with more, training takes longer than playing" if lag else "with as many, half of the time is training"
    click.echo(f"{cost.balanced_cores:,.1f} cores play a round in the time it takes to train one: {verb}")
    table = Table(box=SIMPLE_HEAD)
    for column in ("cores", "rounds", "hours", "core-hours", "storage", "traffic"):
        table.add_column(column, justify="right")
    for run in runs:
        table.add_row(
            f"{run.cores:,}",
            f"{run.rounds:,}",
            f"{run.seconds / 3600:,.2f}",
            f"{run.core_hours:,.1f}",
            size(int(run.storage_bytes)),
            size(int(run.traffic_bytes)),
        )
    Console(highlight=False).print(table)
