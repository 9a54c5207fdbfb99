"""`selfplay serve`: let other machines play games for a run."""

from __future__ import annotations

import contextlib
import signal
import socket
import time
from pathlib import Path

import click

from selfplay.web.server import DEFAULT_PORT, Address


@click.command("serve", context_settings={"show_default": True})
@click.argument("data", type=click.Path(path_type=Path), default="data")
@click.option("--host", default="127.0.0.1", help="Where to listen; 0.0.0.0 = on all interfaces.")
@click.option("--port", type=click.IntRange(0, 65535), default=DEFAULT_PORT + 1, help="0 = any free.")
@click.option("--token", envvar="SELFPLAY_TOKEN", help="What contributors need.  [made up off 127.0.0.1]")
@click.option("--allow-host", multiple=True, help="Answer to this host name too: a proxy's.")
@click.option("--check", type=click.FloatRange(0, 1), default=0.1, help="Share of all games, played again here.")
@click.option(
    "--patience", type=click.FloatRange(min=1), default=60.0, help="Seconds of silence before games are lost."
)
def command(
    data: Path, host: str, port: int, token: str | None, allow_host: tuple[str, ...], check: float, patience: float
) -> None:
    """Hand out games of the run in DATA to machines that run `selfplay contribute`, check them, take them in.

    Runs beside `selfplay train` on the same folder, which trains on what comes (with --workers 0 on nothing else).
    Nothing of a contributor is believed: its games are judged by the rules and the seeds, a share of them is played
    again here and compared bit by bit, and who is found out is dropped. Machines that compute other bits cannot join.
    The connection is not encrypted: across networks put a proxy with TLS in front, or use ssh.

    \b
    Example:
      selfplay train connect4 --data data --workers 0 --rounds 50 &
      selfplay serve data --host 0.0.0.0
    """
    from selfplay.cli.contribute import require
    from selfplay.coordinator.prepare import compile_kernels

    require("fastapi", "limits", "uvicorn", extra="web")
    from selfplay.config import settings_of_run
    from selfplay.contributions.host import Care, Host
    from selfplay.contributions.server import contribution_app
    from selfplay.errors import RunError
    from selfplay.rundir.layout import RunLayout
    from selfplay.web.server import serve_app

    def welcome(port: int, token: str | None) -> None:
        shown = socket.gethostname() if host in ("0.0.0.0", "::") else host
        click.echo(f"selfplay contribute 'http://{shown}:{port}/" + (f"?token={token}'" if token else "'"))

    layout = RunLayout(data)
    if not layout.settings.exists():
        raise RunError(f"{data} holds no run: it has no {layout.settings.name}; begin one with selfplay train")
    compile_kernels(settings_of_run(layout.settings))
    serving = Host(layout, Care(share=check, patience_seconds=patience), clock=time.monotonic, say=click.echo)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with contextlib.suppress(KeyboardInterrupt):
        serve_app(contribution_app(serving), Address(host, port, token, allow_host), say=welcome)
    for each in serving.contributors:
        click.echo(
            f"{each.name} (worker_{each.number}): {each.games} games, {each.checked} checked"
            + (f"; dropped: {each.dropped}" if each.dropped else "")
        )
    for group, times in serving.other_groups.items():
        click.echo(f"machines that compute other bits (group {group}) asked {times} times")
    if serving.failure is not None:
        raise serving.failure
