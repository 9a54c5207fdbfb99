"""`selfplay uci`: an agent for programs that speak the Universal Chess Interface."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from selfplay.cli.options import MODEL_PATH


@click.command("uci", context_settings={"show_default": True})
@click.argument("model", type=MODEL_PATH, default="model.pt")
@click.option("--simulations", type=click.IntRange(min=1), default=800, help="How hard the agent thinks by itself.")
def command(model: Path, simulations: int) -> None:
    """Let MODEL, of chess, play with programs that speak the Universal Chess Interface, over stdin and stdout.

    \b
    Example:
      selfplay uci chess.pt --simulations 400
      cutechess-cli -engine cmd="selfplay uci chess.pt" proto=uci ...
    """
    from selfplay.play.agent import load_agent
    from selfplay.play.uci import UciEngine

    engine = UciEngine(load_agent(model), simulations=simulations)
    for line in sys.stdin:
        for answer in engine.answer(line):
            click.echo(answer)
        if engine.is_over:
            return
