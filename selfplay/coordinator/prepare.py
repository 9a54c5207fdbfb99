"""Fills the kernel cache before any child starts: one process compiles, instead of all of them at once."""

from __future__ import annotations

import msgspec
import numpy as np

from selfplay.evaluation.cache import CachedEvaluator
from selfplay.evaluation.evaluator import read_outputs
from selfplay.evaluation.uniform import UniformEvaluator
from selfplay.games.registry import load_rules
from selfplay.settings import Settings
from selfplay.worker.lockstep import Lockstep


def compile_kernels(settings: Settings) -> None:
    """Play one game with the smallest search; what it compiles is what workers need. Quick where all is cached."""
    rules = load_rules(settings.game.name)
    rules.replay([])
    actions = rules.info.num_actions
    evaluator = CachedEvaluator(UniformEvaluator(), actions=actions, positions=64)
    search = msgspec.structs.replace(settings.search, simulations=2)
    for _ in Lockstep(rules, evaluator, search, slots=1, run_seed=0, round_number=1).play(range(1)):
        pass
    logits, outcomes = np.zeros((1, actions), np.float32), np.zeros((1, 3), np.float32)
    read_outputs(logits, outcomes, np.ones((1, actions), np.bool_), logits.copy(), np.zeros(1, np.float32))
