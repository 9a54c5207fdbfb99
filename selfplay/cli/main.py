"""The `selfplay` command. Each subcommand lives in its own file and is imported only when it is called, so that
`selfplay --help` answers at once."""

from __future__ import annotations

import errno
import importlib
import sys

import click

from selfplay import __version__
from selfplay.errors import SelfplayError, nearest

COMMANDS = {
    "train": "Train an agent: play, learn, repeat. Goes on where it was.",
    "monitor": "Watch a run from another terminal.",
    "report": "A run as one HTML page, or its plots as PNG.",
    "play": "Play against a model in the terminal.",
    "analyse": "What a model thinks of a position.",
    "gtp": "A model of Go, Gomoku or Hex for programs that speak the Go Text Protocol.",
    "uci": "A model of chess for programs that speak the Universal Chess Interface.",
    "arena": "A match between two models or baselines.",
    "evaluate": "A model's mistakes against perfect play.",
    "games": "List the games.",
    "new-game": "Write a game of your own to begin with, and its test.",
    "check": "Check the rules of a game against the laws of the contract.",
    "info": "What a model is: game, round, fingerprint, size.",
    "show": "Show games of a batch file, move by move.",
    "verify": "Check every file of a run, and play some of its games again.",
    "plan": "What a run will cost in time, cores and bytes.",
    "bench": "Measure this machine: serial against parallel training.",
    "serve": "Let other machines play games for a run.",
    "contribute": "Play games for a run on another machine.",
    "settings": "Print all settings with their meaning, as a TOML file.",
    "worker": "One worker by hand: play games of a round, write batch files.",
}

_HINTS = {errno.EMFILE: "; allow more with `ulimit -n 1024`, or use fewer workers"}


class LazyGroup(click.Group):
    """Knows its commands' names and one-line helps without importing them."""

    def list_commands(self, context: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        command = getattr(importlib.import_module(f"selfplay.cli.{name.replace('-', '_')}"), "command")  # noqa: B009 (mypy)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, context: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and args[0] not in COMMANDS:
            raise click.UsageError(f'no such command "{args[0]}"{nearest(args[0], COMMANDS)}', context)
        return super().resolve_command(context, args)

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def cli() -> None:
    """Train AlphaZero-style agents for two-player board games, watch them learn, and play against them.

    \b
    Example:
      selfplay train connect4 --rounds 10
      selfplay play model.pt
    """


def main() -> None:
    """Run the command; errors that users can act on are one line on stderr, without a traceback."""
    try:
        code = cli.main(standalone_mode=False)
    except (click.exceptions.Abort, KeyboardInterrupt):
        click.echo("selfplay: interrupted; what was written stays, and the same command goes on from there", err=True)
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except SelfplayError as error:
        click.echo(f"selfplay: {error}", err=True)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output went away; there is nobody left to tell
        sys.exit(1)
    except OSError as error:  # what the machine refuses, nowhere expected in particular
        click.echo(f"selfplay: {error}{_HINTS.get(error.errno or 0, '')}", err=True)
        sys.exit(1)
    sys.exit(code if isinstance(code, int) else 0)
