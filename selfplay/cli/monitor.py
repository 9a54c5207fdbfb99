"""`selfplay monitor`: watch a run."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import click
import msgspec

from selfplay.cli.options import as_json

_CLEAR = "\x1b[H\x1b[2J"  # cursor home, clear screen


@click.command("monitor", context_settings={"show_default": True})
@click.argument("data", type=click.Path(path_type=Path, file_okay=False), default="data")
@click.option("--once", is_flag=True, help="Print one look and end.")
@click.option("--interval", type=click.FloatRange(min=0.1), default=2.0, help="Seconds between two looks.")
@as_json
def command(data: Path, once: bool, as_json: bool, interval: float) -> None:
    """Watch the run in DATA from another terminal: workers, round, speeds, losses, files. Only reads.

    With --json, one object per look and line. Ends with Ctrl-C.

    \b
    Example:
      selfplay monitor data
      selfplay monitor data --once --json
    """
    from selfplay.monitor.snapshot import Reader
    from selfplay.monitor.terminal import render

    reader = Reader(data)
    try:
        while True:
            snapshot = reader.look()
            if as_json:
                click.echo(msgspec.json.encode(snapshot).decode())
            else:
                refreshed = not once and sys.stdout.isatty()
                click.echo((_CLEAR if refreshed else "") + render(snapshot))
            if once:
                return
            time.sleep(interval)
    except KeyboardInterrupt:
        return
