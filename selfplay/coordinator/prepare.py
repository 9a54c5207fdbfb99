"""Fills the kernel cache before any child starts: one process compiles, instead of all of them at once."""

from __future__ import annotations

import msgspec
import numpy as np
import numpy.typing as npt

from selfplay.evaluation.cache import CachedEvaluator
from selfplay.evaluation.evaluator import NetworkEvaluator
from selfplay.games.registry import load_rules
from selfplay.settings import Settings
from selfplay.worker.lockstep import Lockstep


class _NoNetwork(NetworkEvaluator):
    """Stands in for a network: knows nothing, but passes through the same loops."""

    rows = 1

    def __init__(self, actions: int) -> None:
        self._actions = actions

    def run(self, planes: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        return np.zeros((len(planes), self._actions), np.float32), np.zeros((len(planes), 3), np.float32)


def compile_kernels(settings: Settings) -> None:
    """Play one game with the smallest search; what it compiles is what workers need. Quick where all is cached."""
    rules = load_rules(settings.game.name)
    rules.replay([])
    evaluator = CachedEvaluator(_NoNetwork(rules.info.num_actions), rules.info, positions=64)
    search = msgspec.structs.replace(settings.search, simulations=2, early_plies=0)
    for _ in Lockstep(rules, evaluator, search, slots=1, run_seed=0, round_number=1).play(range(1)):
        pass
