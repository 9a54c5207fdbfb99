"""What settings are worth from the middle of a run on: one of its rounds goes on with each, equally long.

    python benchmarks/branches.py --run data --round 36 --positions FOLDER --data branches --change training.passes=1.25
    python benchmarks/branches.py --run data --round 36 --positions FOLDER --data branches --minutes 8 \\
        --change training.learning_rate=0.002 --change training.passes=5,training.learning_rate=0.002
    python benchmarks/branches.py --run data --round 36 --positions FOLDER --data branches --simulations 600 \\
        --change search.opening_share=1,search.opening_plies=12,search.temperature_plies=0

The run as it is comes first, then each change. What `learning.py runs` compares from nothing differs by the luck of all
rounds; branches share those up to where they begin, and tell in minutes what matters late. [training] may change, and
[search], which says how games are played from there on: those that are there stay in the window, in files that are
labelled anew. The run itself is left as it is. Stopped, the same command goes on. Mistakes and errors of values as in
connect4_strength.py, means over the six sets.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
from connect4_strength import shares, test_sets
from learning import show
from machine import facts
from refusals import errors_in_a_line
from timed_training import train

from selfplay.arena.player import open_model
from selfplay.arena.positions import PositionSet
from selfplay.config import differences, from_tree, merged, parse_assignments, settings_of_run, to_toml, to_tree
from selfplay.games.game import Rules
from selfplay.games.registry import load_rules
from selfplay.network.checkpoint import load_checkpoint, save_checkpoint
from selfplay.rundir.layout import RunLayout, inference_twin
from selfplay.samples.batch_file import encode_batch, read_batch
from selfplay.settings import Settings


def changed(settings: Settings, change: str) -> Settings:
    """The settings with a change, "group.field=value,group.field=value"; empty = as they are."""
    asked = parse_assignments(tuple(filter(None, change.split(","))))
    found = from_tree(merged(to_tree(settings), asked), where="--change")
    if others := [line for line in differences(settings, found) if not line.startswith(("training.", "search."))]:
        raise SystemExit(f"--change {change}: only [training] and [search] can change here, not {others[0]}")
    return found


def branch_off(run: RunLayout, number: int, settings: Settings, target: RunLayout) -> None:
    """The run as it was when that round was trained, in a folder of its own, with these settings."""
    target.models.mkdir(parents=True)
    for each in range(number + 1):
        for path in (run.model(each), inference_twin(run.model(each))):
            if path.exists():
                shutil.copy(path, target.models)
    for path in run.batch_files():
        batch = read_batch(path)
        if batch.round <= number:
            worker = target.root / path.parent.name
            worker.mkdir(exist_ok=True)
            header = msgspec.structs.replace(batch.header, search=msgspec.to_builtins(settings.search))
            (worker / path.name).write_bytes(encode_batch(header, batch.games))
    newest = target.model(number)
    save_checkpoint(replace(load_checkpoint(run.model(number)), settings=settings), newest)
    published = target.root.parent / "model.pt"
    shutil.copy(newest, published)
    shutil.copy(inference_twin(newest), inference_twin(published))
    target.settings.write_text(to_toml(settings, heading=f"Branched off from round {number} of {run.root}."))


def learnt(
    run: RunLayout,
    folder: Path,
    settings: Settings,
    arguments: argparse.Namespace,
    rules: Rules,
    sets: list[PositionSet],
) -> dict[str, Any]:
    """A branch: gone on with, and measured, unless it is already."""
    notes, layout = folder / f"learnt_{arguments.simulations}.json", RunLayout(folder / "data")
    if notes.exists():
        return dict(json.loads(notes.read_text()))
    if not layout.settings.exists():  # written last: what is there without it is half a branch
        shutil.rmtree(layout.root, ignore_errors=True)
        branch_off(run, arguments.round, settings, layout)
    spent = train(folder, [], minutes=arguments.minutes)
    newest = layout.newest_round()  # may be trained and not published yet
    player = open_model(layout.model(newest), rules, simulations=None)
    measured = shares(player, rules, sets, (0, arguments.simulations))
    found = {"seconds": round(spent.seconds), "rounds": newest, "sets": measured}
    notes.write_text(json.dumps(found))
    return found


@errors_in_a_line()
def main() -> None:
    """Branch off, go on, measure; print tables, then JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True, help="folder of the run (its `data`)")
    parser.add_argument("--round", type=int, required=True, help="where to branch off")
    parser.add_argument("--positions", type=Path, required=True, help="folder of the test sets")
    parser.add_argument("--data", type=Path, required=True, help="folder for the branches")
    parser.add_argument("--minutes", type=float, default=8.0, help="of each branch (default 8)")
    parser.add_argument("--change", action="append", default=[], metavar="GROUP.FIELD=VALUE[,...]", help="repeatable")
    parser.add_argument("--simulations", type=int, default=64, help="with which mistakes are counted (default 64)")
    arguments = parser.parse_args()
    run = RunLayout(arguments.run)
    if arguments.round not in run.rounds_with_models():
        parser.error(f"{arguments.run} has no model of round {arguments.round}")
    settings = settings_of_run(run.settings)
    wanted = {change or "as it is": changed(settings, change) for change in ["", *arguments.change]}
    rules = load_rules(settings.game.name)
    sets = test_sets(arguments.positions, rules, arguments.data)
    found: dict[str, list[dict[str, Any]]] = {}
    for name, asked in wanted.items():
        folder = arguments.data / f"{name.replace(' ', '_')}_{arguments.round}_{arguments.minutes:g}"
        found[name] = [learnt(run, folder, asked, arguments, rules, sets)]
        show(found, arguments.simulations)
    report = {"run": str(arguments.run), "round": arguments.round, "minutes": arguments.minutes, "branches": found}
    json.dump({"machine": facts(), "simulations": arguments.simulations, **report}, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
