"""What single choices bring or cost: networks that play in 8 bits, training in bfloat16, certain results, images.

    python benchmarks/ablations.py int8             a model against itself: its tower in 8 bits, and all in 32
    python benchmarks/ablations.py bfloat16         two models trained on the same games of a run
    python benchmarks/ablations.py proofs           a model against itself: with wins in one, the solver, and without
    python benchmarks/ablations.py images           a model against itself: asked about one image of each position
    python benchmarks/ablations.py gumbel           a model against itself: Gumbel search, and PUCT
    python benchmarks/ablations.py int8 --data data --games 2000

All need a run and make one of Connect Four, ten rounds with the preset, where none is given. Matches from random
openings, each played with both colours; a score of 0.5 is equal. `int8` also says how far the judgements are apart on
the positions of the last round, `proofs` and `images` how many evaluations self-play needs. `bfloat16` goes
through all rounds' windows with the run's own seeds, so that both models see the same minibatches, and plays the last
models against each other in 32 bits.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from machine import facts
from refusals import errors_in_a_line
from rich.console import Console

from selfplay.arena.match import play_match
from selfplay.arena.player import SearchPlayer
from selfplay.config import settings_of_run
from selfplay.evaluation.cache import CachedEvaluator
from selfplay.evaluation.evaluator import Evaluation, Evaluator, Positions
from selfplay.evaluation.onnx_evaluator import OnnxEvaluator
from selfplay.games.game import Rules
from selfplay.games.registry import load_rules
from selfplay.network.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from selfplay.rundir.facts import ModelsOnDisk
from selfplay.rundir.gates import PlayingModels
from selfplay.rundir.layout import RunLayout, inference_twin
from selfplay.samples.batch_file import read_batch
from selfplay.samples.collector import RunIdentity
from selfplay.samples.pool import TrainingDataPool
from selfplay.settings import SearchSettings
from selfplay.training.train import Trainer
from selfplay.worker.lockstep import Lockstep

SELF_PLAY_GAMES = 600
SELFPLAY = Path(sys.executable).with_name("selfplay")
console = Console(stderr=True, width=110)


@contextmanager
def run_folder(given: Path | None) -> Iterator[RunLayout]:
    """The given run, or a new one of ten rounds."""
    if given is not None:
        yield RunLayout(given)
        return
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        command = [SELFPLAY, "train", "connect4", "--rounds", 10, "--data", data, "--model", data / "model.pt"]
        command += [f"--set=network.{each}" for each in ("blocks=4", "channels=32", "first_blocks=0")]
        command += ["--set=training.passes=16", "--match-games", 0]
        subprocess.run(list(map(str, command)), check=True, stdout=sys.stderr)
        yield RunLayout(data)


def with_precision(checkpoint: Checkpoint, precision: str, path: Path) -> OnnxEvaluator:
    """The model's inference twin in another precision."""
    save_checkpoint(replace(checkpoint, card=replace(checkpoint.card, precision=precision)), path)
    return OnnxEvaluator(inference_twin(path))


def match(rules: Rules, a: SearchPlayer, b: SearchPlayer, games: int) -> dict[str, Any]:
    """How A does against B."""
    result = play_match(rules, a, b, games=games, seed=1)
    console.print(f"{a.simulations} simulations: {result}")
    low, high = result.interval
    return {"simulations": a.simulations, "games": games, "score": result.score, "low": low, "high": high}


def matches(rules: Rules, evaluators: Mapping[str, Evaluator], games: int) -> list[dict[str, Any]]:
    """The first of two evaluators against the second, with few and with more simulations."""
    found = []
    for simulations in (1, 16, 64):
        a, b = (SearchPlayer(name, rules, each, simulations=simulations) for name, each in evaluators.items())
        found.append(match(rules, a, b, games))
    return found


def int8(layout: RunLayout, games: int) -> dict[str, Any]:
    """The newest model in 8 bits against itself in 32."""
    rules = load_rules(settings_of_run(layout.settings).game.name)
    number = layout.newest_round()
    checkpoint = load_checkpoint(layout.model(number))
    with tempfile.TemporaryDirectory() as folder:
        evaluators = {
            precision: with_precision(checkpoint, precision, Path(folder) / f"{precision}.pt")
            for precision in ("int8", "float32")
        }
    batches = [read_batch(path) for path in layout.batch_files()]
    moves = [game.moves for batch in batches if batch.round == number for game in batch.games]
    states = np.concatenate([rules.replay(each)[0][:-1] for each in moves])
    positions = Positions.of(rules, states)
    low, high = (evaluators[precision].evaluate(positions) for precision in ("int8", "float32"))
    values, policies = np.abs(low.values - high.values), np.abs(low.priors - high.priors).sum(axis=1) / 2
    same = (low.priors.argmax(axis=1) == high.priors.argmax(axis=1)).mean()
    console.print(
        f"{len(states):,} positions: values differ by {values.mean():.4f} on average (99 %: "
        f"{np.quantile(values, 0.99):.3f}), policies by a total variation of {policies.mean():.4f}, the best move is "
        f"the same in {same:.1%}"
    )
    return {
        "positions": len(states),
        "value_difference": round(float(values.mean()), 5),
        "policy_total_variation": round(float(policies.mean()), 5),
        "matches": matches(rules, evaluators, games),
    }


def bfloat16(layout: RunLayout, games: int) -> dict[str, Any]:
    """Models of all rounds' windows in both precisions of training, against each other."""
    settings = settings_of_run(layout.settings)
    rules = load_rules(settings.game.name)
    rounds = layout.newest_round()
    playing = PlayingModels(layout, ModelsOnDisk(layout), settings.selfplay)
    identity = RunIdentity.of(settings, rules, playing.plays)
    found: dict[str, Any] = {}
    evaluators = {}
    for precision in ("bfloat16", "float32"):
        start = load_checkpoint(layout.model(0))
        training = msgspec.structs.replace(settings.training, precision=precision)
        trainer = Trainer(replace(start, settings=msgspec.structs.replace(settings, training=training)), rules.info)
        pool = TrainingDataPool(lambda: layout.batch_files, identity, settings.training)
        pool.collect()
        losses, began = [], time.perf_counter()
        for number in range(1, rounds + 1):
            window, rng = pool.window(number), np.random.default_rng([settings.selfplay.seed, number, 1])
            steps = max(1, round(training.passes * window.new_positions / training.batch_size))
            sums, weight = np.zeros(2), 0.0
            for report in trainer.train_round(lambda: pool.minibatches(window, steps=steps, rng=rng)):  # noqa: B023  # used up within the turn of the loop
                for rank in getattr(report, "ranks", ()):
                    sums += rank.sums.policy, rank.sums.value
                    weight += rank.weight
            losses.append((sums / weight).round(4).tolist())
        seconds = time.perf_counter() - began
        console.print(f"{precision}: {seconds:.0f} s; policy and value loss of the last three rounds: {losses[-3:]}")
        found[precision] = {"seconds": round(seconds, 1), "losses": losses}
        with tempfile.TemporaryDirectory() as folder:
            evaluators[precision] = with_precision(
                trainer.checkpoint(round_number=rounds), "float32", Path(folder) / "model.pt"
            )
    return {**found, "matches": matches(rules, evaluators, games)}


def proofs(layout: RunLayout, games: int) -> dict[str, Any]:
    """What certain results are worth to the newest model: evaluations in self-play, and matches against itself."""
    settings = settings_of_run(layout.settings)
    rules = load_rules(settings.game.name)
    network = OnnxEvaluator(inference_twin(layout.model(layout.newest_round())))
    variants = {
        "no proofs": {"win_in_one": False, "solver": False},
        "wins in one": {"win_in_one": True, "solver": False},
        "wins in one and solver": {"win_in_one": True, "solver": True},
    }
    needed: dict[str, float] = {}
    for name, asked in variants.items():
        search = msgspec.structs.replace(settings.search, **asked)
        needed[name] = evaluations_per_ply(name, rules, network, search)
    found = []
    for simulations in (16, 64):
        players = {
            name: SearchPlayer(
                name,
                rules,
                network,
                simulations=simulations,
                settings=msgspec.structs.replace(settings.search, **asked),
            )
            for name, asked in variants.items()
        }
        for a, b in (("wins in one", "no proofs"), ("wins in one and solver", "wins in one")):
            found.append(match(rules, players[a], players[b], games))
    return {"evaluations_per_ply": needed, "matches": found}


class AsTheyAre:
    """A network that is asked about positions as they are, and not about one image of each."""

    def __init__(self, network: OnnxEvaluator) -> None:
        self._network = network

    def evaluate(self, positions: Positions) -> Evaluation:
        """What the network says."""
        return self._network.evaluate(positions)


def images(layout: RunLayout, games: int) -> dict[str, Any]:
    """What it brings to ask the newest model about one image of each position: evaluations, and matches."""
    settings = settings_of_run(layout.settings)
    rules = load_rules(settings.game.name)
    network = OnnxEvaluator(inference_twin(layout.model(layout.newest_round())))
    evaluators: dict[str, Evaluator] = {"one image": network, "as they are": AsTheyAre(network)}
    needed = {name: evaluations_per_ply(name, rules, each, settings.search) for name, each in evaluators.items()}
    saved = 1.0 - needed["one image"] / needed["as they are"]
    console.print(f"{len(rules.info.symmetries)} symmetries of {rules.info.spec} save {saved:.1%} of the evaluations")
    return {"evaluations_per_ply": needed, "saved": round(saved, 4), "matches": matches(rules, evaluators, games)}


def evaluations_per_ply(name: str, rules: Rules, evaluator: Evaluator, search: SearchSettings) -> float:
    """Evaluations for each ply of some games of self-play that share a memory."""
    cached = CachedEvaluator(evaluator, rules.info, positions=1 << 19)
    lockstep = Lockstep(rules, cached, search, slots=64, run_seed=0, round_number=1)
    for _ in lockstep.play(range(SELF_PLAY_GAMES)):
        pass
    needed = cached.counts.evaluated / lockstep.counts.plies
    console.print(
        f"{name}: {needed:.1f} evaluations per ply and "
        f"{cached.counts.evaluated / lockstep.counts.simulations:.3f} per simulation in {SELF_PLAY_GAMES} games"
    )
    return needed


def gumbel(layout: RunLayout, games: int) -> dict[str, Any]:
    """The newest model with Gumbel search against itself with PUCT, at equal simulations."""
    settings = settings_of_run(layout.settings)
    rules = load_rules(settings.game.name)
    network = OnnxEvaluator(inference_twin(layout.model(layout.newest_round())))
    found = []
    for scale in (0.1, 0.3, 1.0):
        for simulations in (8, 32, 128):
            asked: dict[str, dict[str, Any]] = {
                "gumbel": {"method": "gumbel", "gumbel_scale": scale},
                "puct": {"method": "puct"},
            }
            a, b = (
                SearchPlayer(
                    f"{name}, scale {scale}" if name == "gumbel" else name,
                    rules,
                    network,
                    simulations=simulations,
                    settings=msgspec.structs.replace(settings.search, **fields),
                )
                for name, fields in asked.items()
            )
            found.append(match(rules, a, b, games))
    return {"matches": found}


ABLATIONS = {"int8": int8, "bfloat16": bfloat16, "gumbel": gumbel, "images": images, "proofs": proofs}


@errors_in_a_line()
def main() -> None:
    """Compare, print lines, then JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=sorted(ABLATIONS))
    parser.add_argument("--data", type=Path, help="folder of a run (default: a new one of Connect Four)")
    parser.add_argument("--games", type=int, default=1000, help="games of a match (default 1000)")
    arguments = parser.parse_args()
    with run_folder(arguments.data) as layout:
        found = ABLATIONS[arguments.what](layout, arguments.games)
    print(json.dumps({"machine": facts(), **found}, indent=1))


if __name__ == "__main__":
    main()
