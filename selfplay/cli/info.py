"""`selfplay info`: what a model is."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click
import msgspec

from selfplay.cli.options import MODEL_PATH, as_json


@click.command("info")
@click.argument("model", type=MODEL_PATH)
@as_json
def command(model: Path, as_json: bool) -> None:
    """What MODEL is: game, round, fingerprint, parent, size. Takes model.pt (checked to the last byte) or .onnx.

    \b
    Example:
      selfplay info model.pt --json
    """
    from selfplay.network.card import read_onnx_card

    if model.suffix == ".onnx":
        card = read_onnx_card(model)
    else:
        from selfplay.network.checkpoint import load_checkpoint

        card = load_checkpoint(model).card
    facts = {**asdict(card), "network": card.network}
    if as_json:
        click.echo(msgspec.json.encode(facts).decode())
        return
    width = max(map(len, facts))
    for name, value in facts.items():
        click.echo(f"{name.replace('_', ' '):<{width}}  {value if value != '' else '-'}")
