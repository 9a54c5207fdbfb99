"""`selfplay gtp`: an agent for programs that speak the Go Text Protocol."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from selfplay.cli.options import MODEL_PATH


@click.command("gtp", context_settings={"show_default": True})
@click.argument("model", type=MODEL_PATH, default="model.pt")
@click.option("--simulations", type=click.IntRange(min=1), default=800, help="How hard the agent thinks.")
def command(model: Path, simulations: int) -> None:
    """Let MODEL, of Go, Gomoku or Hex, play with programs that speak the Go Text Protocol, over stdin and stdout.

    \b
    Example:
      selfplay gtp go.pt --simulations 400
      gogui -program "selfplay gtp go.pt"
    """
    from selfplay.play.agent import load_agent
    from selfplay.play.gtp import GtpEngine

    engine = GtpEngine(load_agent(model), simulations=simulations)
    for line in sys.stdin:
        click.echo(engine.answer(line), nl=False)
        if engine.is_over:
            return
