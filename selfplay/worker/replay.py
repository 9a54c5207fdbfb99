"""Plays games of a round again, and says where they differ: a checksum finds damage, only a replay finds lies.

As a service (`engines/engine.py`) it takes

    {"model", "fingerprint", "round", "games": [numbers]}    -> replayed: the records of these games
    {"model", "fingerprint"}                                 -> tested: the digest of this machine's arithmetic
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import msgspec

from selfplay.engines.engine import Message
from selfplay.errors import ModelError
from selfplay.evaluation.cache import CachedEvaluator
from selfplay.evaluation.evaluator import Evaluator, Positions
from selfplay.games.game import Rules
from selfplay.games.random_play import random_positions
from selfplay.games.registry import load_rules
from selfplay.samples.batch_file import GameRecord
from selfplay.settings import SearchSettings
from selfplay.worker.lockstep import Lockstep
from selfplay.worker.process import WorkerSetup, load_network, spare_the_collector

TESTED_POSITIONS, TESTED_GAMES, TESTED_SIMULATIONS = 64, 2, 8
_TEST_SEED, _TEST_ROUND = 2_718_281_828, 1


class Replay(msgspec.Struct, frozen=True, kw_only=True):
    """Games to play again; none = a test of the arithmetic."""

    model: str
    fingerprint: str
    round: int = 0
    games: list[int] = []


class Replayer:
    """Works through tasks; keeps the network while the model stays the same."""

    def __init__(self, setup: WorkerSetup) -> None:
        self._setup, self._rules = setup, load_rules(setup.game)
        spare_the_collector()
        self._network: tuple[str, Evaluator] | None = None

    def finish(self) -> None:
        """What is not played again by now is played again another time."""

    def handle(self, message: Message) -> Iterator[Message | None]:
        """One task, given as a table with the fields of `Replay`. Raises `ModelError`."""
        task = msgspec.convert(message, Replay)
        if not task.games:
            digest = arithmetic_digest(self._rules, self._load(task), self._setup.search)
            yield {"event": "tested", "digest": digest}
            return
        records = []
        for record in self.play(task):
            if record is not None:
                records.append(msgspec.to_builtins(record))
            yield None
        yield {"event": "replayed", "round": task.round, "records": records}

    def play(self, task: Replay) -> Iterator[GameRecord | None]:
        """The games again, as `Lockstep.play` yields them. Raises `ModelError`."""
        setup, positions = self._setup, self._setup.worker.cache_positions
        lockstep = Lockstep(
            self._rules,
            CachedEvaluator(self._load(task), self._rules.info, positions=positions),
            setup.search,
            slots=min(setup.worker.games_side_by_side(setup.device), len(task.games)),
            run_seed=setup.seed,
            round_number=task.round,
        )
        yield from lockstep.play(task.games)

    def _load(self, task: Replay) -> Evaluator:
        if self._network is None or self._network[0] != task.fingerprint:
            network, card = load_network(Path(task.model), device=self._setup.device)
            if card.fingerprint != task.fingerprint:
                raise ModelError(f"{task.model} holds the model {card.fingerprint}, expected {task.fingerprint}")
            self._network = card.fingerprint, network
        return self._network[1]


def make_replayer(settings: Message) -> Replayer:
    """The service behind `python -m selfplay.engines.child selfplay.worker.replay:make_replayer`."""
    return Replayer(msgspec.convert(settings, WorkerSetup))


def arithmetic_digest(rules: Rules, network: Evaluator, search: SearchSettings) -> str:
    """A hash of what this machine computes with this network: of its judgements of some positions, bit by bit, and of
    two short games. Machines of one instruction set and the same packages agree; others round otherwise."""
    states = random_positions(rules, TESTED_POSITIONS, seed=_TEST_SEED)
    judged = network.evaluate(Positions.of(rules, states))
    digest = hashlib.sha256(judged.priors.tobytes() + judged.values.tobytes())
    quick = msgspec.structs.replace(search, simulations=TESTED_SIMULATIONS, early_plies=0, quick_simulations=2)
    cached = CachedEvaluator(network, rules.info, positions=10_000)
    lockstep = Lockstep(rules, cached, quick, slots=TESTED_GAMES, run_seed=_TEST_SEED, round_number=_TEST_ROUND)
    played = [record for record in lockstep.play(range(TESTED_GAMES)) if record is not None]
    for record in sorted(played, key=lambda record: record.number):
        digest.update(msgspec.json.encode(record))
    return digest.hexdigest()


def difference(filed: GameRecord, played: GameRecord) -> str:
    """Where a game differs from its replay, in words; empty where it does not."""
    if filed == played:
        return ""
    for ply, (there, again) in enumerate(zip(filed.moves, played.moves, strict=False)):
        if there != again:
            return f"differs from its replay at ply {ply}: move {there} on file, {again} played"
        for what, of_file, of_play in (
            ("visits", filed.policies[ply], played.policies[ply]),
            ("value", filed.values[ply], played.values[ply]),
            ("simulations", filed.simulations[ply], played.simulations[ply]),
        ):
            if of_file != of_play:
                return f"differs from its replay at ply {ply}: {what} {of_file} on file, {of_play} played"
    return f"differs from its replay in length: {len(filed.moves)} moves on file, {len(played.moves)} played"
