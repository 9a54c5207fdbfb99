"""Measures for some seconds what one core plays and the trainer trains here, with a run's settings and an untrained
network."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from selfplay.coordinator.forecast import Speeds
from selfplay.evaluation.cache import CachedEvaluator
from selfplay.games.game import Rules
from selfplay.network.checkpoint import save_checkpoint, untrained
from selfplay.rundir.layout import inference_twin
from selfplay.samples.batch_file import GAMES_PER_FILE, BatchHeader, GameRecord, encode_batch
from selfplay.settings import Settings
from selfplay.training.comparison import Comparison, random_batches
from selfplay.worker.lockstep import Lockstep
from selfplay.worker.process import load_network

SECONDS = 10.0  # of play, at least, and until as many games are over as are played side by side
BATCHES, TURNS = 10, 3


def measure_speeds(settings: Settings, rules: Rules, *, seconds: float = SECONDS) -> Iterator[str | Speeds]:
    """Yields what it is at, at last the speeds. Raises as the loaders do."""
    yield "playing"
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "model.pt"
        save_checkpoint(untrained(rules.info, settings), model)
        network, _ = load_network(inference_twin(model), device=settings.selfplay.device)
        model_bytes = inference_twin(model).stat().st_size
    evaluator = CachedEvaluator(network, actions=rules.info.num_actions, positions=settings.worker.cache_positions)
    slots = min(settings.worker.games_side_by_side(settings.selfplay.device), settings.selfplay.games_per_round)
    lockstep = Lockstep(rules, evaluator, settings.search, slots=slots, run_seed=0, round_number=1)
    records: list[GameRecord] = []
    games = lockstep.play(range(1 << 30))
    next(games)  # kernels are compiled, or loaded, by then
    began, before = time.perf_counter(), lockstep.counts.simulations
    for record in games:
        if record is not None:
            records.append(record)
        if time.perf_counter() - began >= seconds and len(records) >= slots:
            break
    took = time.perf_counter() - began
    simulations, evaluated = lockstep.counts.simulations - before, evaluator.counts.evaluated
    plies = sum(len(record.moves) for record in records)
    yield "training"
    yield Speeds(
        simulations_per_second=simulations / took,
        evaluated_share=min(1.0, evaluated / simulations),
        simulations_per_ply=sum(sum(record.simulations) for record in records) / plies,
        plies_per_game=plies / len(records),
        bytes_per_game=_bytes_of(records, settings, rules) / len(records),
        samples_per_second=_training_speed(settings, rules),
        model_bytes=model_bytes,
    )


def _bytes_of(records: list[GameRecord], settings: Settings, rules: Rules) -> int:
    """What these games take in batch files."""
    header = BatchHeader(
        game=rules.info.name,
        rules=rules.info.rules_hash,
        model="0" * 64,
        round=1,
        search=msgspec.to_builtins(settings.search),
    )
    files = (records[first : first + GAMES_PER_FILE] for first in range(0, len(records), GAMES_PER_FILE))
    return sum(len(encode_batch(header, games)) for games in files)


def _training_speed(settings: Settings, rules: Rules) -> float:
    """Samples per second, spread over this machine as a run would be."""
    training = settings.training
    plan: dict[str, object] = {"mode": training.mode, "ranks": training.ranks, "threads": training.threads}
    comparison = Comparison(rules, settings, [plan])
    try:
        data = random_batches(rules, batch_size=training.batch_size, count=BATCHES)
        rows = [found for found in comparison.run(data, turns=TURNS) if not isinstance(found, str)][-1]
    finally:
        comparison.close()
    return rows[0].samples_per_second
