"""Who can sit at a board: a model with a search, or a baseline that needs none. Plays without noise and exploration.

Letters: n positions, A actions.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Protocol

import msgspec
import numpy as np

from selfplay.arena.oracle import Oracle, open_oracle
from selfplay.errors import UsageError, nearest
from selfplay.evaluation.cache import CachedEvaluator
from selfplay.evaluation.evaluator import Evaluation, Evaluator, Positions
from selfplay.evaluation.onnx_evaluator import OnnxEvaluator
from selfplay.evaluation.rollout import RolloutEvaluator
from selfplay.games.game import Rules, States
from selfplay.network.card import ModelCard, read_onnx_card
from selfplay.rundir.layout import inference_twin
from selfplay.search.alpha_beta import MOST_DEPTH, AlphaBeta
from selfplay.search.method import playing_method
from selfplay.search.search import RootFacts, Search, Turn
from selfplay.settings import SearchSettings

BASELINES = {
    "random": "any legal move",
    "rollout:N": "tree search with N simulations by random play",
    "alphabeta:N": "looks N plies ahead, what lies deeper is a draw to it",
    "perfect": "never errs: Connect Four (with the extra `oracle`), and games small enough to enumerate",
}
_EXAMPLES = {"rollout": "rollout:100", "alphabeta": "alphabeta:4"}
_CACHED_POSITIONS = 1 << 16
_SLOTS = 256  # most positions searched side by side
_PLAY = SearchSettings()
_NO_PROOFS = SearchSettings(win_in_one=False, solver=False)  # a baseline is to know nothing but random play
_NO_CHANCE = Turn(0, np.random.default_rng(0))  # methods without exploration draw nothing


class Player(Protocol):
    """Chooses moves."""

    name: str

    def choose(self, states: States, rngs: list[np.random.Generator]) -> list[int]:
        """Actions for ongoing positions [n]; each game brings its own generator [n]."""
        ...


class RandomPlayer:
    """Plays any legal action, each equally likely."""

    name = "random"

    def __init__(self, rules: Rules) -> None:
        self._rules = rules

    def choose(self, states: States, rngs: list[np.random.Generator]) -> list[int]:
        legal = self._rules.describe(states.copy()).legal
        return [int(rng.choice(np.flatnonzero(mask))) for mask, rng in zip(legal, rngs, strict=True)]


class AlphaBetaPlayer:
    """Plays any of the actions that are best by looking some plies ahead."""

    def __init__(self, rules: Rules, *, depth: int) -> None:
        self.name = f"alphabeta:{depth}"
        self._search = AlphaBeta(rules, depth=depth)

    def choose(self, states: States, rngs: list[np.random.Generator]) -> list[int]:
        best = (self._search.best_actions(states[i : i + 1]) for i in range(len(states)))
        return [int(rng.choice(actions)) for actions, rng in zip(best, rngs, strict=True)]


class PerfectPlayer:
    """Plays any of the actions that keep the outcome of perfect play."""

    name = "perfect"

    def __init__(self, oracle: Oracle) -> None:
        self._oracle = oracle

    def choose(self, states: States, rngs: list[np.random.Generator]) -> list[int]:
        found = (self._oracle.outcomes_at(states[i : i + 1]) for i in range(len(states)))
        return [int(rng.choice((of == of.max()).nonzero()[0])) for of, rng in zip(found, rngs, strict=True)]


class SearchPlayer:
    """Plays the most visited action of a search without noise.

    Args:
        name: what results call it.
        rules: the game.
        evaluator: judges leaves.
        simulations: visits of the root per move.
        settings: how it searches; noise and temperatures do not count.
    """

    def __init__(
        self, name: str, rules: Rules, evaluator: Evaluator, *, simulations: int, settings: SearchSettings = _PLAY
    ) -> None:
        self.name = name
        self.simulations = simulations
        self._rules = rules
        self._settings = settings
        self._evaluator = CachedEvaluator(evaluator, rules.info, positions=_CACHED_POSITIONS)

    def choose(self, states: States, rngs: list[np.random.Generator]) -> list[int]:
        return self.think(states)[0]

    def glance(self, states: States) -> Evaluation:
        """What the evaluator alone says of ongoing positions [n]."""
        return self._evaluator.glance(Positions.of(self._rules, states))

    def with_simulations(self, simulations: int) -> SearchPlayer:
        """The same player, thinking for so long; they share what they remember."""
        twin = copy.copy(self)
        twin.simulations = simulations
        return twin

    def think(self, states: States) -> tuple[list[int], list[RootFacts]]:
        """The best actions in ongoing positions [n], and what the search finds there."""
        actions, facts = [], []
        for start in range(0, len(states), _SLOTS):
            part = states[start : start + _SLOTS]
            search, slots = self._searched(part, self.simulations), range(len(part))
            actions += search.decide(np.arange(len(part)), [_NO_CHANCE] * len(part)).actions.tolist()
            facts += [search.root(slot) for slot in slots]
        return actions, facts

    def study(self, state: States, *, simulations: int) -> tuple[int, RootFacts, dict[int, list[int]]]:
        """The best action in one ongoing position [1], what the search finds, and the line it expects after each."""
        search = self._searched(state, simulations)
        return int(search.decide(np.arange(1), [_NO_CHANCE]).actions[0]), search.root(0), search.lines(0)

    def _searched(self, states: States, simulations: int) -> Search:
        slots = len(states)
        settings = msgspec.structs.replace(self._settings, simulations=simulations)
        method = playing_method(settings, self._rules.info)
        search = Search(self._rules, self._evaluator, method, settings, slots=slots)
        for slot in range(slots):
            search.put(slot, states[slot : slot + 1])
        search.run()
        return search


def open_player(spec: str, rules: Rules, *, simulations: int | None, seed: int = 0) -> Player:
    """The player that a user names: a model's path, or one of BASELINES.

    A model searches with `simulations`, or with as many as it was trained with. Raises `UsageError` or `ModelError`.
    """
    kind, _, figure = spec.partition(":")
    if not is_baseline(spec):
        return open_model(Path(spec), rules, simulations=simulations)
    if spec == "random":
        return RandomPlayer(rules)
    if spec == "perfect":
        return PerfectPlayer(open_oracle(rules))
    most = {"rollout": 1_000_000, "alphabeta": MOST_DEPTH}[kind]
    if not (figure.isdecimal() and 1 <= int(figure) <= most):
        raise UsageError(f'"{spec}": expected {kind}:N with N from 1 to {most:,}, for example {_EXAMPLES[kind]}')
    if kind == "alphabeta":
        return AlphaBetaPlayer(rules, depth=int(figure))
    return SearchPlayer(spec, rules, RolloutEvaluator(seed=seed), simulations=int(figure), settings=_NO_PROOFS)


def is_baseline(spec: str) -> bool:
    """Whether this names a baseline, and not a model's file. Raises `UsageError` where it can be neither."""
    if spec.partition(":")[0] in (name.partition(":")[0] for name in BASELINES):
        return True
    if not Path(spec).exists() and Path(spec).suffix not in (".pt", ".onnx"):
        near = nearest(spec, ["random", "perfect", *_EXAMPLES.values()])
        raise UsageError(f'"{spec}" is neither a model file nor a baseline{near}; baselines are {", ".join(BASELINES)}')
    return False


def open_model(path: Path, rules: Rules, *, simulations: int | None) -> SearchPlayer:
    """The player of a model file (.pt, by its inference twin, or .onnx). Raises `ModelError`."""
    evaluator = OnnxEvaluator(inference_twin(path), rules.info)
    name = f"{path} (round {evaluator.card.round})"
    return SearchPlayer(name, rules, evaluator, simulations=simulations or evaluator.card.simulations)


def card_of(spec: str) -> ModelCard | None:
    """The card of the model that `spec` names, None where it names a baseline."""
    return None if is_baseline(spec) else read_onnx_card(inference_twin(Path(spec)))
