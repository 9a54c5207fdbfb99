"""Options of commands that serve pages, and how they serve."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from selfplay.web.server import DEFAULT_PORT, Address, serve

_OF_WEB = ("host", "port", "token", "allow_host")
_Command = TypeVar("_Command", bound=Callable[..., Any])


def serving(command: _Command) -> _Command:
    """Add `--web` and where to serve; the command gets `web: Address | None`."""

    def collect(context: click.Context, parameter: click.Parameter, is_web: bool) -> Address | None:
        given = {name: context.params.pop(name) for name in _OF_WEB}
        if not is_web:
            for name in _OF_WEB:
                if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
                    raise click.UsageError(f"--{name.replace('_', '-')} is for pages: add --web", context)
            return None
        return Address(host=given["host"], port=given["port"], token=given["token"], names=tuple(given["allow_host"]))

    web = click.option("--web", is_flag=True, callback=collect, help="Serve it as pages for a browser.")
    options = (
        click.option("--host", default="127.0.0.1", is_eager=True, help="Where --web listens; others need a token."),
        click.option(
            "--port", type=click.IntRange(0, 65535), default=DEFAULT_PORT, is_eager=True, help="0 = any free."
        ),
        click.option(
            "--token", envvar="SELFPLAY_TOKEN", is_eager=True, help="What visitors need.  [made up off 127.0.0.1]"
        ),
        click.option("--allow-host", multiple=True, is_eager=True, help="Answer to this host name too: a proxy's."),
    )
    for option in (*reversed(options), web):
        command = option(command)
    return command


def serve_pages(address: Address, *, begin: str = "/") -> None:
    """Serve the pages that were added, until Ctrl-C; `begin` is where the printed link leads."""
    with contextlib.suppress(KeyboardInterrupt):
        serve(address, say=click.echo, begin=begin)
