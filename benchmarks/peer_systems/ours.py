"""`selfplay` as a worker plays: `ours.py play MODEL.onnx`, or MODEL.pt on a GPU, and how many games if not as many as
a run would.

`ours.py write MODEL.pt BLOCKS CHANNELS PRECISION` makes both files of an untrained one.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

from driver import SIMULATIONS, serve

from selfplay.config import from_tree, preset
from selfplay.evaluation.cache import CachedEvaluator
from selfplay.evaluation.gpu_client import GpuEvaluator
from selfplay.evaluation.onnx_evaluator import OnnxEvaluator
from selfplay.games.random_play import random_positions
from selfplay.games.registry import load_rules
from selfplay.settings import SearchSettings, WorkerSettings
from selfplay.worker.lockstep import Lockstep
from selfplay.worker.process import spare_the_collector

HASTY_SIMULATIONS = 4
SEED = os.getpid()  # several of these play different games
BATCHES = (8, 32, 64, 128)


class Ours:
    """One worker's games."""

    def __init__(self, model: Path, games: int) -> None:
        rules, worker = load_rules("connect4"), WorkerSettings(games_in_parallel=games)
        device = "cuda" if model.suffix == ".pt" else "cpu"
        self._network: Any = GpuEvaluator(model) if device == "cuda" else OnnxEvaluator(model, rules.info)
        self._cached = CachedEvaluator(self._network, rules.info, positions=worker.cache_positions)
        # The same work as the others: games from the first position, every simulation made.
        plain = {"opening_share": 0.0, "solver": False, "simulations": SIMULATIONS}
        asked = {"search": {**preset("connect4")["search"], **plain}}
        settings: SearchSettings = from_tree(asked, where="peers").search
        self._lockstep = Lockstep(
            rules, self._cached, settings, slots=worker.games_side_by_side(device), run_seed=SEED, round_number=1
        )
        spare_the_collector()
        self._play = self._lockstep.play(range(10**9))
        self._planes = rules.encode(random_positions(rules, max(BATCHES), seed=0))
        self._best_batch = BATCHES[0]

    games = property(lambda self: self._lockstep.counts.games)
    moves = property(lambda self: self._lockstep.counts.plies)
    simulations = property(lambda self: self._lockstep.counts.simulations)
    evaluations = property(lambda self: self._cached.counts.evaluated)

    def advance(self) -> None:
        next(self._play)

    def warm(self, seconds: float) -> None:
        """Hasty games first: those that began together would go through their plies in step. Then games as they are
        meant, and last the batch at which the network alone is fastest."""
        search, start = self._lockstep.search, time.perf_counter()
        asked, search.simulations = search.simulations, HASTY_SIMULATIONS
        while time.perf_counter() - start < seconds / 3:
            self.advance()
        search.simulations = asked
        while time.perf_counter() - start < seconds:
            self.advance()
        self._best_batch = max(BATCHES, key=lambda batch: self._passes(batch, seconds / 8))

    def bare(self, seconds: float) -> float:
        return self._passes(self._best_batch, seconds)

    def _passes(self, batch: int, seconds: float) -> float:
        runs, start = 0, time.perf_counter()
        while (now := time.perf_counter()) - start < seconds:
            self._network.run(self._planes[:batch])
            runs += 1
        return runs * batch / (now - start)


def write_model(path: Path, blocks: int, channels: int, precision: str) -> None:
    """An untrained model."""
    from selfplay.network.checkpoint import save_checkpoint, untrained
    from selfplay.settings import Settings

    network = {"blocks": blocks, "channels": channels}
    settings: Settings = from_tree({"network": network, "selfplay": {"precision": precision}}, where="peers")
    save_checkpoint(untrained(load_rules("connect4").info, settings), path)


if __name__ == "__main__":
    if sys.argv[1] == "write":  # by a process of its own: a worker holds no torch
        write_model(Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), sys.argv[5])
    else:
        serve(Ours(Path(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 0))
