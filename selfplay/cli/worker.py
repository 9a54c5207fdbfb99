"""`selfplay worker`: one worker by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from selfplay.cli.options import MODEL_PATH


@click.command("worker", context_settings={"show_default": True})
@click.option("--model", type=MODEL_PATH, required=True, help="Inference model (.onnx; a .pt means its twin).")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="The worker's folder.")
@click.option("--games", type=click.IntRange(min=1), default=25, help="Number of games.")
@click.option("--first-game", type=click.IntRange(min=0), default=0, help="Number of the first one in its round.")
@click.option("--round", "round_number", type=click.IntRange(min=1), default=1, help="Round the games belong to.")
@click.option("--seed", type=click.IntRange(min=0, max=2**53 - 1), default=0, help="Seed of the run.")
@click.option("--config", type=click.Path(path_type=Path, dir_okay=False), help="Settings, for example a run.toml.")
@click.option("--set", "assignments", multiple=True, metavar="GROUP.FIELD=VALUE", help="One setting; repeatable.")
def command(**options: Any) -> None:
    """Play games of one round and write a batch file for every ten of them; progress as JSON lines.

    The same model, settings, seed, round and game numbers give the same files anywhere. Ends when its standard input
    is a pipe or terminal that closes, or on SIGTERM; what is on disk then is whole.

    \b
    Example:
      selfplay worker --model model.onnx --out data/worker_0 --games 25 --first-game 0 --round 1 --seed 7
    """
    from selfplay.config import from_tree, merged, parse_assignments, read_toml
    from selfplay.coordinator.suggested import settings_for
    from selfplay.engines.child import StopWatch, Voice
    from selfplay.network.card import read_onnx_card
    from selfplay.rundir.layout import inference_twin
    from selfplay.worker.process import Worker, WorkerSetup, WorkerTask

    model = inference_twin(options["model"])
    card = read_onnx_card(model)
    base = read_toml(options["config"]) if options["config"] else settings_for(card.spec)
    tree = merged(base, parse_assignments(options["assignments"]), {"game": {"name": card.spec}})
    settings = from_tree(tree, where="settings")
    worker = Worker(
        WorkerSetup(
            game=card.spec,
            out=str(options["out"]),
            seed=options["seed"],
            device="cpu",
            search=settings.search,
            worker=settings.worker,
        )
    )
    task = WorkerTask(
        model=str(model),
        fingerprint=card.fingerprint,
        round=options["round_number"],
        first_game=options["first_game"],
        num_games=options["games"],
    )
    watch = StopWatch()
    watch.watch()
    Voice().say_until_stopped(worker.play(task), watch, finish=worker.finish)
