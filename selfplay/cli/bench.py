"""`selfplay bench`: measure this machine."""

from __future__ import annotations

from typing import Any

import click
import msgspec

from selfplay.cli.options import as_json


@click.group("bench")
def command() -> None:
    """Measure this machine, so that settings need not be guessed.

    \b
    Example:
      selfplay bench training
    """


@command.command("training", context_settings={"show_default": True})
@click.argument("game", default="connect4")
@click.option("--plan", "plans", multiple=True, metavar="PLAN", help="Repeatable, the first is compared with.")
@click.option("--set", "assignments", multiple=True, metavar="GROUP.FIELD=VALUE", help="A setting; repeatable.")
@click.option("--batches", type=click.IntRange(min=1), default=20, help="Steps of each turn.")
@click.option("--turns", type=click.IntRange(min=1), default=5, help="Turns of each plan, alternating.")
@as_json
def training(
    game: str, plans: tuple[str, ...], assignments: tuple[str, ...], batches: int, turns: int, as_json: bool
) -> None:
    """Serial against parallel training of GAME's network, on the same random batches, in turns.

    A PLAN is serial:THREADS, data:RANKS, data:RANKSxTHREADS or pipeline:RANKS; by default one thread, all cores as
    threads, as ranks, and as stages.

    \b
    Example:
      selfplay bench training
      selfplay bench training connect4 --set network.blocks=5 --set network.channels=64 --plan serial:1 --plan data:2
    """
    from rich.console import Console

    from selfplay.config import from_tree, merged, parse_assignments
    from selfplay.coordinator.suggested import settings_for
    from selfplay.games.registry import load_rules, resolve_spec
    from selfplay.training.comparison import Comparison, parse_plan, random_batches

    spec = resolve_spec(game)
    settings = from_tree(
        merged(settings_for(spec), parse_assignments(assignments), {"game": {"name": spec}}), where="settings"
    )
    rules, console = load_rules(spec), Console(stderr=True, highlight=False)
    chosen = [parse_plan(text) for text in plans or _default_plans(settings.network.blocks)]
    data = random_batches(rules, batch_size=settings.training.batch_size, count=batches, future=settings.network.future)
    comparison = Comparison(rules, settings, chosen)
    for warning in comparison.warnings:
        console.print(f"warning: {warning}", soft_wrap=True)
    rows: Any = []
    try:
        with console.status("starting") as status:
            for rows in comparison.run(data, turns=turns):
                if isinstance(rows, str):
                    status.update(rows)
    finally:
        comparison.close()
    if as_json:
        click.echo(msgspec.json.encode([msgspec.to_builtins(row) for row in rows]).decode())
        return
    network = settings.network
    title = f"training {network.blocks} × {network.channels}, batches of {settings.training.batch_size}"
    Console(highlight=False).print(_table(rows, title))
    for row in rows:
        if row.reason:
            click.echo(f"{row.plan} does not pay: {row.reason}")


def _default_plans(blocks: int) -> list[str]:
    from selfplay.machine import usable_cores

    cores = usable_cores()
    if cores == 1:
        return ["serial:1"]
    return ["serial:1", f"serial:{cores}", f"data:{cores}", f"pipeline:{min(cores, blocks + 2)}"]


def _table(rows: Any, title: str) -> Any:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(title=title, box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for heading in ("plan", "samples/s", "speed-up", "range", "ms/step", "fwd", "bwd", "wait", "input"):
        table.add_column(heading, justify="left" if heading == "plan" else "right", no_wrap=True)
    for row in rows:
        shares = [f"{share:.0%}" for share in row.shares.values()]
        speedup = (f"{row.speedup:.2f}", f"{row.lowest:.2f}-{row.highest:.2f}")
        table.add_row(row.plan, f"{row.samples_per_second:,.0f}", *speedup, f"{row.step_milliseconds:.1f}", *shares)
    return table
