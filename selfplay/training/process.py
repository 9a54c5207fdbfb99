"""The trainer as a service (`engines/engine.py`): owns the pool, makes and trains the models of a run.

Messages and their answers:

    {"do": "create", "model": path or ""}    make round 0, from an existing model or afresh   -> created
    {"do": "collect"}                        take in batch files that landed                   -> collected
    {"do": "train", "round": r}              train round r on the window, save it              -> training …, trained
                                             ranks failed, the round starts again              -> recovering

Training a round is a function of the checkpoint before it, the games up to it, and the settings: it starts from
what the file holds each time, so that going on and starting again are the same thing.
"""

from __future__ import annotations

import hashlib
import math
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from selfplay.engines.engine import Message
from selfplay.errors import ModelError
from selfplay.games.registry import load_rules
from selfplay.network.card import check_game
from selfplay.network.checkpoint import Checkpoint, load_checkpoint, make_checkpoint, save_checkpoint, untrained
from selfplay.rundir.facts import ModelsOnDisk
from selfplay.rundir.gates import PlayingModels
from selfplay.rundir.layout import RunLayout
from selfplay.rundir.listing import NewBatches
from selfplay.samples.ahead import ahead
from selfplay.samples.collector import RunIdentity
from selfplay.samples.index import known_files
from selfplay.samples.pool import Samples, TrainingDataPool
from selfplay.settings import Settings
from selfplay.training.launching import ClusterLauncher, LocalLauncher
from selfplay.training.recovery import Recovery
from selfplay.training.statistics import RoundStatistics
from selfplay.training.train import Trainer

PROGRESS_SECONDS = 0.5
_TRAINING_STREAM = 1  # keeps a round's training generator apart from its games'


class TrainerSetup(msgspec.Struct, frozen=True, kw_only=True):
    """What the trainer needs to know of its run."""

    data: str  # the run folder
    settings: Settings
    cluster: str = ""  # address of the Ray cluster that ranks run on; empty = on this machine


def make_trainer(settings: Message) -> TrainerService:
    """The service behind `python -m selfplay.engines.child selfplay.training.process:make_trainer`."""
    return TrainerService(msgspec.convert(settings, TrainerSetup))


class TrainerService:
    """Works through messages; see the head of this file."""

    def __init__(self, setup: TrainerSetup) -> None:
        self._settings, self._cluster = setup.settings, setup.cluster
        self._layout = RunLayout(Path(setup.data))
        self._rules = load_rules(setup.settings.game.name)
        models = ModelsOnDisk(self._layout)
        playing = PlayingModels(self._layout, models, setup.settings.selfplay)
        identity = RunIdentity.of(setup.settings, self._rules, playing.plays)
        self._trainer: Trainer | None = None
        self._saved: _Saved | None = None
        self._pool = TrainingDataPool(
            partial(NewBatches, self._layout),
            identity,
            setup.settings.training,
            known=lambda: known_files(self._layout.indexes(), self._layout.root),
            future=setup.settings.network.future,
        )

    def finish(self) -> None:
        """A round that is being trained is the work in hand."""

    def handle(self, message: Message) -> Iterator[Message | None]:
        match message["do"]:
            case "create":
                yield self._create(message["model"])
            case "collect":
                yield {"event": "collected", "games": self._pool.collect()}
            case "train":
                yield from self._train(message["round"])
            case unknown:
                raise ValueError(f"the trainer does not know {unknown!r}")

    def _create(self, model: str) -> Message:
        """Round 0. From an existing model it takes weights and average; the optimizer starts afresh."""
        info = self._rules.info
        checkpoint = untrained(info, self._settings)
        if model:
            existing = load_checkpoint(Path(model))
            check_game(existing.card, info, Path(model))
            if existing.settings.network != self._settings.network:
                raise ModelError(f"{model} has another network than the settings ask for; leave the network to it")
            checkpoint = make_checkpoint(
                info,
                self._settings,
                weights=existing.weights,
                average=existing.average,
                optimizer={},
                steps=0,
                round_number=0,
                parent=existing.card.fingerprint,
            )
        save_checkpoint(checkpoint, self._layout.model(0))
        return {"event": "created", "fingerprint": checkpoint.card.fingerprint}

    def _train(self, round_number: int) -> Iterator[Message | None]:
        self._pool.collect()
        window = self._pool.window(round_number)
        trainer = self._trainer_at(round_number - 1)
        trainer.grow(self._settings.network.blocks_at(round_number))
        training = self._settings.training
        steps = max(1, round(training.passes * window.new_positions / training.batch_size))
        seed = [self._settings.selfplay.seed, round_number, _TRAINING_STREAM]

        def batches() -> Iterator[Samples]:
            return ahead(self._pool.minibatches(window, steps=steps, rng=np.random.default_rng(seed)))

        statistics = RoundStatistics(trainer.plan, steps)
        started = reported = time.monotonic()
        for report in trainer.train_round(batches):
            now = time.monotonic()
            if isinstance(report, Recovery):
                statistics, started = RoundStatistics(report.plan, steps), now
                yield {"event": "recovering", "round": round_number, "reason": str(report)}
            elif report is not None:
                statistics.add(report)
            if statistics.done and now - reported >= PROGRESS_SECONDS:
                reported = now
                yield {"event": "training", "step": statistics.done, "steps": steps, **_losses(statistics)}
            else:
                yield None
        seconds = time.monotonic() - started
        statistics.must_be_worth_it()
        path = self._layout.model(round_number)
        checkpoint = trainer.save_model(path, round_number=round_number)
        self._saved = _Saved(round_number, checkpoint, _digest(path))
        yield {
            "event": "trained",
            "round": round_number,
            "fingerprint": checkpoint.card.fingerprint,
            "network": checkpoint.card.network,
            "steps": steps,
            "window": len(window.learnt),
            "positions": window.total_positions,
            "seconds": round(seconds, 3),
            "line": statistics.line(seconds),
            "value_chance": round(_entropy(window.positions.outcome[window.learnt].mean(axis=0)), 6),
            **_losses(statistics),
            **statistics.facts(seconds),
        }

    def _trainer_at(self, round_number: int) -> Trainer:
        """The trainer, ready to go on from a round; its ranks stay from round to round."""
        path = self._layout.model(round_number)
        if self._trainer is None:
            launcher = ClusterLauncher(self._cluster) if self._cluster else LocalLauncher()
            self._trainer = Trainer.from_file(path, rules_spec=self._settings.game.name, launcher=launcher)
            for warning in self._trainer.warnings:
                print(f"warning: {warning}", file=sys.stderr, flush=True)
        elif (saved := self._saved) and saved.round == round_number and saved.digest == _digest(path) != "":
            self._trainer.load(saved.checkpoint)
        else:
            self._trainer.load(load_checkpoint(path))
        return self._trainer


class _Saved(NamedTuple):
    """The round that was saved last: its file need not be taken apart again, if it is still the same."""

    round: int
    checkpoint: Checkpoint
    digest: str  # of the file


def _digest(path: Path) -> str:
    """SHA-256 of a file; empty where there is none."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


def _entropy(shares: npt.NDArray[np.float32]) -> float:
    """Of probabilities, in nats."""
    return -sum(float(share) * math.log(share) for share in shares.tolist() if share > 0)


def _losses(statistics: RoundStatistics) -> dict[str, float]:
    """Mean losses of the round so far, rounded for people and logs."""
    return {field: round(value, 6) for field, value in asdict(statistics.losses).items()}
