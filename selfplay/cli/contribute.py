"""`selfplay contribute`: play games for a run on another machine."""

from __future__ import annotations

import platform
import signal
from importlib.util import find_spec

import click

from selfplay.cli.options import Workers, or_cores
from selfplay.errors import UsageError


@click.command("contribute", context_settings={"show_default": True})
@click.argument("url")
@click.option("--workers", type=Workers(), default="auto", help="Processes that play; auto = as many as cores.")
@click.option("--name", default=platform.node, show_default="this machine's", help="How the host calls you.")
@click.option("--trust-rules", is_flag=True, help="Run rules that come with the run: its owner's Python code.")
def command(url: str, workers: int, name: str, trust_rules: bool) -> None:
    """Play games for the run whose `selfplay serve` printed URL, until Ctrl-C.

    Needs the same version of selfplay as the host, and a machine that computes the same bits, which is tried first.
    Nothing is kept on this machine.

    \b
    Example:
      selfplay contribute 'http://trainer.example:8766/?token=0123456789abcdef' --workers 4
    """
    require("httpx", "tenacity", extra="contribute")
    from selfplay.contributions.client import Contribution, Offer

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    offer = Offer(url, name=name, workers=or_cores(workers), trusts_rules=trust_rules)
    contribution = Contribution(offer, say=click.echo)
    try:
        contribution.work()
    except KeyboardInterrupt:
        click.echo(f"{contribution.games} games contributed")


def require(*packages: str, extra: str) -> None:
    """Raise `UsageError` where packages of an extra are not installed."""
    missing = [package for package in packages if find_spec(package) is None]
    if missing:
        raise UsageError(f"this needs the extra `{extra}` ({missing[0]}): pip install 'selfplay[{extra}]'")
