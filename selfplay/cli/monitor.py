"""`selfplay monitor`: watch a run."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

import click

from selfplay.cli.options import as_json

_LEAST_SECONDS = 0.5  # between two looks, however much happens


@click.command("monitor", context_settings={"show_default": True})
@click.argument("data", type=click.Path(path_type=Path, file_okay=False), default="data")
@click.option("--once", is_flag=True, help="Print one look and end.")
@click.option("--interval", type=click.FloatRange(min=0.1), default=2.0, help="Most seconds between two looks.")
@as_json
def command(data: Path, once: bool, as_json: bool, interval: float) -> None:
    """Watch the run in DATA from another terminal: workers, round, speeds, losses, files. Only reads.

    With --json, one object per look and line. Ends with q or Ctrl-C.

    \b
    Example:
      selfplay monitor data
      selfplay monitor data --once --json
    """
    with contextlib.suppress(KeyboardInterrupt):  # that is how one ends it
        _look(data, once=once, interval=interval, as_json=as_json)


def _look(data: Path, *, once: bool, interval: float, as_json: bool) -> None:
    import msgspec
    from rich.console import Console

    from selfplay.monitor.snapshot import Reader
    from selfplay.monitor.terminal import screen

    reader, console = Reader(data), Console(highlight=False)
    if as_json:
        click.echo(msgspec.json.encode(reader.look()).decode())
        while not once:
            time.sleep(interval)
            click.echo(msgspec.json.encode(reader.look()).decode())
    elif once or not console.is_terminal:
        console.print(screen(reader.look(), width=console.width))
        while not once:
            time.sleep(interval)
            console.print()
            console.print(screen(reader.look(), width=console.width))
    else:
        _watch(data, interval)


def _watch(data: Path, interval: float) -> None:
    """The screen, until q or Ctrl-C; the terminal is left as it was found."""
    from rich.console import Console
    from rich.live import Live

    from selfplay.cli.keys import Keys
    from selfplay.monitor.snapshot import Reader
    from selfplay.monitor.terminal import screen
    from selfplay.samples.bell import FolderBell

    reader, console = Reader(data), Console(highlight=False)
    with FolderBell(data) as bell, Keys() as keys, Live(console=console, screen=True, auto_refresh=False) as live:
        while True:
            live.update(screen(reader.look(), width=console.width, height=console.height), refresh=True)
            looked = time.monotonic()
            pressed = keys.pressed(interval, or_readable=bell.descriptor)
            bell.rang()
            while not pressed and time.monotonic() - looked < _LEAST_SECONDS:
                pressed = keys.pressed(_LEAST_SECONDS - (time.monotonic() - looked))
            if pressed.lower().startswith("q"):
                return
