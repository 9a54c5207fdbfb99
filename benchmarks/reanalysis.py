"""A run's games with the targets that its newest model finds: what reanalysis would bring at best.

    python benchmarks/reanalysis.py --data data --out searched_anew
    python benchmarks/reanalysis.py --data data --out searched_anew --simulations 256

Searches every position of the newest window again, as self-play searches a game's first move, and writes a copy of the
run with these policies and root values in place of those of the time; moves and outcomes stay. What other benchmarks
make of the copy, beside what they make of the run, is what fresh targets are worth:

    python benchmarks/networks.py --data data --positions FOLDER --steps 1000 --only "4 x 64, end foretold"
    python benchmarks/networks.py --data searched_anew --positions FOLDER --steps 1000 --only "4 x 64, end foretold"

Schrittwieser et al. 2020, "Mastering Atari, Go, chess and shogi by planning with a learned model", appendix H:
Reanalyze. Letters: n positions.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from multiprocessing import get_context
from pathlib import Path

import msgspec
import numpy as np
from machine import facts
from refusals import errors_in_a_line
from rich.console import Console
from rich.progress import track

from selfplay.config import settings_of_run
from selfplay.evaluation.cache import CachedEvaluator
from selfplay.evaluation.onnx_evaluator import OnnxEvaluator
from selfplay.games.game import Rules
from selfplay.games.registry import load_rules
from selfplay.machine import usable_cores
from selfplay.rundir.layout import RunLayout, inference_twin
from selfplay.samples.batch_file import (
    Batch,
    GameRecord,
    check_game_record,
    encode_batch,
    plies_to_learn,
    read_batch,
    sparse_policies,
)
from selfplay.samples.window import window_size
from selfplay.search.method import self_play_method
from selfplay.search.search import Search, Turn
from selfplay.settings import SearchSettings

CACHED_POSITIONS = 200_000
console = Console(stderr=True, width=110)


@cache
def opened(model: Path, game: str) -> tuple[Rules, CachedEvaluator]:
    """The game and a model of it, once in each process."""
    rules = load_rules(game)
    return rules, CachedEvaluator(OnnxEvaluator(inference_twin(model)), rules.info, positions=CACHED_POSITIONS)


def search_anew(source: Path, target: Path, game: str, model: Path, settings: SearchSettings) -> int:
    """Write the batch file with what the model finds; the number of simulations. A file that is there stays."""
    if target.exists():
        return 0
    batch, (rules, evaluator) = read_batch(source), opened(model, game)
    games = [searched(record, batch, rules, evaluator, settings) for record in batch.games]
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(encode_batch(batch.header, games))
    return sum(sum(each.simulations) for each in games)


def searched(
    record: GameRecord, batch: Batch, rules: Rules, evaluator: CachedEvaluator, settings: SearchSettings
) -> GameRecord:
    """The game, each of its positions that is learnt from searched anew side by side."""
    plies = plies_to_learn(record)
    states, known = check_game_record(record, rules, has_short_searches=True)
    search = Search(rules, evaluator, self_play_method(settings, rules.info), settings, slots=len(plies))
    turns = [Turn(int(ply), np.random.default_rng([record.seed, int(ply), batch.round])) for ply in plies]
    slots = np.arange(len(plies))
    for slot, ply in zip(slots.tolist(), plies.tolist(), strict=True):
        search.put(slot, states[ply : ply + 1])
    search.explore(slots, known.legal[plies], turns)
    search.run()
    policies, values, simulations = list(record.policies), list(record.values), list(record.simulations)
    found = sparse_policies(search.decide(slots, turns).targets)
    for slot, ply in zip(slots.tolist(), plies.tolist(), strict=True):
        root = search.root(slot)
        policies[ply], values[ply], simulations[ply] = found[slot], round(root.value, 4), int(root.visits.sum())
    return msgspec.structs.replace(record, policies=policies, values=values, simulations=simulations)


def window_files(run: RunLayout) -> tuple[list[Path], list[Path]]:
    """Batch files whose games the newest window may hold, and those before."""
    settings, files = settings_of_run(run.settings), {}
    for path in track(run.batch_files(), "reading", console=console, transient=True):
        batch = read_batch(path)
        files[path] = (batch.round, sum(len(plies_to_learn(game)) for game in batch.games))
    newest = run.newest_round()
    wanted = window_size(sum(count for _, count in files.values()), settings.training)
    first, gathered = newest + 1, 0
    while first > 1 and gathered < wanted:
        first -= 1
        gathered += sum(count for number, count in files.values() if number == first)
    inside = [path for path, (number, _) in files.items() if number >= first]
    return inside, [path for path in files if path not in set(inside)]


@errors_in_a_line()
def main() -> None:
    """Search anew, then print how much that was as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the run")
    parser.add_argument(
        "--out", type=Path, required=True, help="folder for the copy; stopped, the same command goes on"
    )
    parser.add_argument("--simulations", type=int, help="visits of each root (default: those of the run)")
    arguments = parser.parse_args()
    run, copy = RunLayout(arguments.data), RunLayout(arguments.out)
    settings = settings_of_run(run.settings)
    search = msgspec.structs.replace(
        settings.search, simulations=arguments.simulations or settings.search.simulations, reuse_tree=False
    )
    inside, before = window_files(run)
    shutil.copytree(run.models, copy.models, dirs_exist_ok=True)
    shutil.copy(run.settings, copy.settings)
    for path in before:
        copied = copy.root / path.relative_to(run.root)
        copied.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copied)
    model, began = run.model(run.newest_round()), time.monotonic()
    with ProcessPoolExecutor(usable_cores(), mp_context=get_context("spawn")) as cores:
        jobs = [
            cores.submit(search_anew, path, copy.root / path.relative_to(run.root), settings.game.name, model, search)
            for path in inside
        ]
        made = [job.result() for job in track(jobs, "searching anew", console=console, transient=True)]
    report = {"files": len(inside), "simulations": sum(made), "seconds": round(time.monotonic() - began)}
    json.dump({"machine": facts(), "simulations_per_position": search.simulations, **report}, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
