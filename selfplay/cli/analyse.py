"""`selfplay analyse`: what a model thinks of a position."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from selfplay.cli.options import MODEL_PATH, MOVES, as_json, from_record, moves_given

if TYPE_CHECKING:
    from selfplay.play.agent import Agent, Opinion

_LINE_SHOWN = 10  # moves


@click.command("analyse", context_settings={"show_default": True})
@click.argument("model", type=MODEL_PATH, default="model.pt")
@click.option("--moves", type=MOVES, default="", help="The moves that lead to the position: 4,4,3")
@from_record
@click.option("--simulations", type=click.IntRange(min=1), default=800, help="How hard the agent thinks.")
@click.option("--top", type=click.IntRange(min=1), default=5, help="How many moves to show.")
@click.option("--game", help="Where the game's file lies now, if it was moved: path/to/file.py:Class.")
@as_json
def command(model: Path, moves: list[str], simulations: int, top: int, as_json: bool, **options: Any) -> None:
    """What MODEL thinks of the position after some moves: value, chances, its best moves and the lines it expects.

    \b
    Example:
      selfplay analyse model.pt --moves 4,4,3 --simulations 800
      selfplay analyse chess.pt --record game.pgn --ply 20
    """
    import msgspec

    from selfplay.play.agent import load_agent

    agent = load_agent(model, game=options["game"])
    position = moves_given(agent.rules, moves, options["record"], options["ply"])
    opinion = agent.search(position, simulations=simulations)
    if as_json:
        click.echo(msgspec.json.encode(opinion).decode())
    else:
        _show(agent, opinion, top)


def _show(agent: Agent, opinion: Opinion, top: int) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    states, _ = agent.rules.replay(opinion.moves)
    console.print(agent.rules.draw(states[-1]), markup=False)
    console.print(f"\nplayer {opinion.to_move + 1} to move · {agent.name} · {opinion.simulations} simulations")
    sure = " (proven)" if opinion.is_proven else ""
    console.print(f"value {opinion.value:+.3f}{sure} after the search, {opinion.network_value:+.3f} before it")
    if opinion.outcome is not None:
        win, draw, loss = opinion.outcome
        console.print(f"the network's chances: win {win:.0%}, draw {draw:.0%}, loss {loss:.0%}")
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for name in ("move", "visits", "share", "value", "prior"):
        table.add_column(name, justify="right")
    table.add_column("line")
    for option in opinion.options[:top]:
        figures = (f"{option.visits:,}", f"{option.share:.0%}", f"{option.value:+.3f}", f"{option.prior:.0%}")
        table.add_row(option.name, *figures, " ".join(option.line[:_LINE_SHOWN]))
    console.print(table)
