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
from selfplay.evaluation.evaluator import Evaluator
from selfplay.games.game import Rules
from selfplay.machine import usable_cores
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
    """Yields what it is at, at last the speeds, those of the whole network where it grows. Raises as the loaders do."""
    network_settings = settings.network.of_size(settings.network.blocks)
    settings = msgspec.structs.replace(settings, network=network_settings)
    yield "playing"
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "model.pt"
        save_checkpoint(untrained(rules.info, settings), model)
        network, _ = load_network(inference_twin(model), device=settings.selfplay.device)
        model_bytes = inference_twin(model).stat().st_size
    play = _Play(settings, rules, network)
    while not play.is_enough(seconds):
        play.go_on()
    yield "training"
    records = play.records
    searched = sum(len(record.moves) - record.opening for record in records)
    yield Speeds(
        simulations_per_second=play.simulations / play.seconds,
        evaluated_share=min(1.0, play.evaluated / play.simulations),
        simulations_per_ply=sum(sum(record.simulations) for record in records) / searched,
        plies_per_game=searched / len(records),
        bytes_per_game=_bytes_of(records, settings, rules) / len(records),
        samples_per_second=_training_speed(settings, rules),
        model_bytes=model_bytes,
    )


class _Play:
    """What one of this machine's workers would play of a round, again and again, each time with an empty cache, as with
    every new model."""

    def __init__(self, settings: Settings, rules: Rules, network: Evaluator) -> None:
        self.records: list[GameRecord] = []
        self.seconds, self.simulations, self.evaluated = 0.0, 0, 0
        self._settings, self._rules, self._network = settings, rules, network
        self._share = max(1, settings.selfplay.games_per_round // usable_cores())
        self._slots = min(settings.worker.games_side_by_side(settings.selfplay.device), self._share)
        self._turn = 0
        self.begin()

    def begin(self) -> None:
        """A share of the next round."""
        settings, rules = self._settings, self._rules
        self._turn += 1
        self._cached = CachedEvaluator(self._network, rules.info, positions=settings.worker.cache_positions)
        self._lockstep = Lockstep(
            rules, self._cached, settings.search, slots=self._slots, run_seed=0, round_number=self._turn
        )
        self._games = self._lockstep.play(range(self._share))
        next(self._games)  # not counted: kernels are compiled, or loaded, in the first one

    def is_enough(self, seconds: float) -> bool:
        """Whether so long was played, and as many games are over as are played side by side."""
        return self.seconds >= seconds and len(self.records) >= self._slots

    def go_on(self) -> None:
        """A step of all games, or the next share."""
        made, judged, began = self._lockstep.counts.simulations, self._cached.counts.evaluated, time.perf_counter()
        record = next(self._games, self)
        self.seconds += time.perf_counter() - began
        self.simulations += self._lockstep.counts.simulations - made
        self.evaluated += self._cached.counts.evaluated - judged
        if isinstance(record, GameRecord):
            self.records.append(record)
        elif record is self:
            self.begin()


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
        future = settings.network.future
        data = random_batches(rules, batch_size=training.batch_size, count=BATCHES, future=future)
        rows = [found for found in comparison.run(data, turns=TURNS) if not isinstance(found, str)][-1]
    finally:
        comparison.close()
    return rows[0].samples_per_second
