"""`selfplay monitor`: watch a run."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

import click

from selfplay.cli.options import as_json
from selfplay.cli.serving import serve_pages, serving
from selfplay.web.server import Address, require

_LINKS = (("Dashboard", "/"), ("Games", "/games"), ("Play", "/play"))
_LEAST_SECONDS = 0.5  # between two looks, however much happens


@click.command("monitor", context_settings={"show_default": True})
@click.argument("data", type=click.Path(path_type=Path, file_okay=False), default="data")
@click.option("--once", is_flag=True, help="Print one look and end.")
@click.option("--interval", type=click.FloatRange(min=0.1), default=2.0, help="Most seconds between two looks.")
@click.option("--game", help="With --web: where the game's file lies now, if it was moved: path/to/file.py:Class.")
@as_json
@serving
def command(data: Path, once: bool, as_json: bool, interval: float, game: str | None, web: Address | None) -> None:
    """Watch the run in DATA from another terminal: workers, round, speeds, losses, files. Only reads.

    With --json, one object per look and line. Ends with q or Ctrl-C. With --web, a dashboard for the browser, with
    the games of the run, a board to play on, and metrics for Prometheus at /metrics.

    \b
    Example:
      selfplay monitor data
      selfplay monitor data --once --json
      selfplay monitor data --web
    """
    if web is not None:
        if once or as_json:
            raise click.UsageError("--web serves pages until Ctrl-C: leave out --once and --json")
        _serve(data, web, interval=interval, game=game)
        return
    with contextlib.suppress(KeyboardInterrupt):  # that is how one ends it
        _look(data, once=once, interval=interval, as_json=as_json)


def _serve(data: Path, address: Address, *, interval: float, game: str | None) -> None:
    require()
    from selfplay.monitor.games import GameShelf
    from selfplay.monitor.watch import Watch
    from selfplay.monitor.web import add_dashboard
    from selfplay.monitor.web_games import add_viewer
    from selfplay.play.models import Agents, ModelsOfRun
    from selfplay.play.web import add_board

    add_dashboard(Watch(data, interval=interval), _LINKS)
    add_viewer(GameShelf(data, game=game), _LINKS)
    add_board(Agents(ModelsOfRun(data), game=game), _LINKS)
    serve_pages(address)


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
