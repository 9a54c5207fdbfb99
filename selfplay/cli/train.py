"""`selfplay train`: the main job."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from selfplay.cli.options import AUTO, MODEL_PATH, Workers

if TYPE_CHECKING:
    from selfplay.engines.engine import Engine
    from selfplay.rundir.layout import RunLayout

_POSITIVE = click.IntRange(min=1)


@click.command("train", context_settings={"show_default": True})
@click.argument("game", required=False)
@click.option("--model", type=MODEL_PATH, default="model.pt", help="Where the newest round is published.")
@click.option("--data", type=click.Path(path_type=Path, file_okay=False), default="data", help="Folder of the run.")
@click.option(
    "--workers", type=Workers(least=0), default="auto", help="Workers; auto = as many as cores; 0 = see `serve`."
)
@click.option("--games-per-worker", type=_POSITIVE, help="Games per round and worker.  [default: see settings]")
@click.option("--games-per-round", type=_POSITIVE, help="Games per round, whoever plays them.")
@click.option("--rounds", type=click.IntRange(min=0), default=10, help="Go on until the run has this many rounds.")
@click.option("--seed", type=click.IntRange(min=0, max=2**53 - 1), help="Seed of the run.  [default: 0]")
@click.option("--preset", help="Settings by name; a game's own preset is taken by itself.")
@click.option("--config", type=click.Path(path_type=Path, dir_okay=False), help="Settings from a TOML file.")
@click.option("--set", "assignments", multiple=True, metavar="GROUP.FIELD=VALUE", help="One setting; repeatable.")
@click.option(
    "--engine",
    type=click.Choice(["local", "inline", "ray"]),
    default="local",
    help="Where children run: processes here, all in this one, or a Ray cluster.",
)
@click.option("--address", help="ray: the cluster, HOST:PORT or auto.  [default: one is started on this machine]")
@click.option("--spread-training", is_flag=True, help="ray: ranks of the trainer run on the cluster's nodes too.")
@click.option(
    "--match-games", type=click.IntRange(min=0), help="Games of each match; 0 = none.  [default: see settings]"
)
def command(**options: Any) -> None:
    """Train an agent for GAME: play, learn, repeat, until the run has --rounds rounds.

    GAME is a name (see `selfplay games`) or path/to/file.py:Class; connect4 unless MODEL exists, which then says.
    On an existing run the same command goes on where it was. Settings: `selfplay settings`.

    \b
    Example:
      selfplay train connect4 --rounds 10
      selfplay train tictactoe --model ttt.pt --data ttt --set search.simulations=32
      selfplay train othello --engine ray --address auto --workers 64
    """
    from rich.console import Console

    from selfplay.coordinator.coordinator import Coordinator, Options
    from selfplay.coordinator.display import Display
    from selfplay.coordinator.prepare import compile_kernels
    from selfplay.coordinator.run import RunRequest, open_run
    from selfplay.network.card import read_onnx_card
    from selfplay.rundir.layout import RunLayout, inference_twin
    from selfplay.rundir.lock import hold

    options["workers"] = _cores(options) if options["workers"] == AUTO else options["workers"]
    request = RunRequest(
        data=options["data"],
        model=options["model"],
        game=options["game"],
        preset=options["preset"],
        config=options["config"],
        assignments=_assignments(options),
        cluster=_cluster(options) if options["spread_training"] else "",
    )
    signal.signal(signal.SIGTERM, _interrupt)
    console = Console(highlight=False)
    layout = RunLayout(request.data)
    with _folder(layout), hold(layout.lock):
        if not console.is_terminal:
            console.print("preparing: compiling the game's rules and the search, once")
        with console.status("preparing: compiling the game's rules and the search, once"):
            run = open_run(request)
            compile_kernels(run.settings)
        began = "a new run" if run.is_new else "going on"
        console.print(f"{run.settings.game.name}: {began} in {run.layout.root}, {options['workers']} workers")
        for line in run.training:
            console.print(line, soft_wrap=True)
        with Display(console) as display:
            coordinator = Coordinator(
                run,
                Options(workers=options["workers"], rounds=options["rounds"]),
                _engine(options, run.layout),
                show=display.show,
                say=display.say,
            )
            coordinator.work()
        published = read_onnx_card(inference_twin(run.model)).round  # with a gate, not always the newest
        play = f"{_own_name()} play {run.model}"
        console.print(
            f"round {published} is in {run.model}; play against it with: {play} (in a browser: --web)", soft_wrap=True
        )


def _own_name() -> str:
    """What to type for this command: its name, or from here the path of it where the shell does not find it."""
    return "selfplay" if shutil.which("selfplay") else os.path.relpath(sys.argv[0])


def _assignments(options: dict[str, Any]) -> Any:
    """--set and the options that are settings, as nested dictionaries; options win."""
    from selfplay.config import merged, parse_assignments
    from selfplay.errors import UsageError

    per_worker, per_round = options["games_per_worker"], options["games_per_round"]
    if per_worker and per_round:
        raise UsageError("give --games-per-worker or --games-per-round, not both")
    if per_worker and not options["workers"]:
        raise UsageError("without workers, say how many games a round has: --games-per-round")
    selfplay: dict[str, int] = {}
    if per_worker or per_round:
        selfplay["games_per_round"] = per_round or per_worker * options["workers"]
    if options["seed"] is not None:
        selfplay["seed"] = options["seed"]
    matches = options["match_games"]
    groups = {"selfplay": selfplay, "evaluation": {} if matches is None else {"games": matches + matches % 2}}
    return merged(parse_assignments(options["assignments"]), {name: group for name, group in groups.items() if group})


@contextlib.contextmanager
def _folder(layout: RunLayout) -> Iterator[None]:
    """Make the run folder; take it away again where the command was refused before anything came of it."""
    from selfplay.errors import SelfplayError
    from selfplay.files import ensure_directory

    is_ours = not layout.root.exists()
    ensure_directory(layout.root)
    try:
        yield
    except SelfplayError:
        if is_ours and not layout.settings.exists():
            layout.lock.unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # something else is in there by now
                layout.root.rmdir()
        raise


def _cores(options: dict[str, Any]) -> int:
    """How many workers `auto` means: the cores of this machine, or of the cluster."""
    from selfplay.machine import usable_cores

    if options["engine"] != "ray":
        return usable_cores()
    _require_ray()
    from selfplay.engines.ray_cluster import connect

    return connect(options["address"] or "", cores=usable_cores())


def _cluster(options: dict[str, Any]) -> str:
    """The address at which the trainer finds the cluster. Raises `UsageError` without one."""
    from selfplay.errors import UsageError

    if options["engine"] != "ray":
        raise UsageError("--spread-training is for a cluster: add --engine ray")
    _require_ray()
    from selfplay.engines.ray_cluster import connect
    from selfplay.engines.ray_processes import address_of_cluster

    connect(options["address"] or "", cores=options["workers"])
    return address_of_cluster()


def _engine(options: dict[str, Any], layout: Any) -> Engine:
    """The engine that was asked for. Raises `UsageError` where it cannot be had."""
    from selfplay.engines.inline import InlineEngine
    from selfplay.engines.local import LocalEngine

    match options["engine"]:
        case "inline":
            return InlineEngine()
        case "ray":
            _require_ray()
            from selfplay.engines.ray_cluster import RayEngine

            return RayEngine(layout.logs, address=options["address"] or "", cores=options["workers"])
    return LocalEngine(layout.logs)


def _require_ray() -> None:
    """Raise `UsageError` where Ray is not installed."""
    from importlib.util import find_spec

    from selfplay.errors import UsageError

    if find_spec("ray") is None:
        raise UsageError("--engine ray needs the extra `ray`: pip install 'selfplay[ray]'")


def _interrupt(signal_number: int, frame: FrameType | None) -> None:
    """SIGTERM ends the run as Ctrl-C does."""
    raise KeyboardInterrupt
