"""`Trainer`: a model that learns from samples, here or on many ranks. Knows nothing of pools or rounds' files."""

from __future__ import annotations

import io
import pickle
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from pathlib import Path

import msgspec
import numpy as np
import torch
from torch import nn

from selfplay.errors import TrainingError, UsageError
from selfplay.games.game import GameInfo
from selfplay.games.registry import load_rules
from selfplay.machine import usable_cores
from selfplay.network.card import check_game
from selfplay.network.checkpoint import (
    Checkpoint,
    load_checkpoint,
    make_checkpoint,
    network_shape,
    save_checkpoint,
    untrained,
)
from selfplay.network.resnet import NetworkShape, ResNet, further_blocks
from selfplay.samples.pool import Samples
from selfplay.settings import NetworkSettings, Settings, TrainingSettings
from selfplay.training.launching import Launcher, LocalLauncher
from selfplay.training.loss import Losses
from selfplay.training.parallel_plan import (
    SMALLEST_SHARE,
    ParallelPlan,
    Work,
    check,
    choose,
    group_sizes,
    recommended_workers,
)
from selfplay.training.rank_group import RankGroup
from selfplay.training.recovery import MOST_FAILURES, Recovery, next_plan
from selfplay.training.serial import SerialExecutor
from selfplay.training.statistics import RoundStatistics
from selfplay.training.step import Executor, RanksFailed, StepReport, TrainingState

GRACE_SECONDS = 30.0  # for ranks to end by themselves

ExecutorMaker = Callable[[ParallelPlan], Executor]


class Trainer:
    """Trains the network of a checkpoint.

    >>> trainer = Trainer.from_file("model.pt")
    >>> trainer.configure_parallel("data", workers=2)
    >>> losses = trainer.train_on_samples(samples)
    >>> trainer.save_model("better.pt")
    >>> trainer.shutdown()

    On the CPU the same checkpoint, samples and plan give the same bits. Plans with other numbers of ranks or threads
    give other bits, and the same model up to rounding.
    """

    def __init__(self, checkpoint: Checkpoint, info: GameInfo, *, launcher: Launcher | None = None) -> None:
        self._info = info
        self._launcher = launcher or LocalLauncher()
        self._machine = self._launcher.machine()
        self._executor: Executor | None = None
        self._busy = False
        self._network = checkpoint.network  # of the state, and of the ranks
        self.load(checkpoint)
        self._configure(checkpoint.settings.training)

    @classmethod
    def from_file(cls, path: str | Path, *, rules_spec: str | None = None, launcher: Launcher | None = None) -> Trainer:
        """The trainer of a saved model. Raises `ModelError`, also where the game's rules are not the model's."""
        checkpoint = load_checkpoint(Path(path))
        info = load_rules(rules_spec or checkpoint.card.spec).info
        check_game(checkpoint.card, info, Path(path))
        return cls(checkpoint, info, launcher=launcher)

    @classmethod
    def new(cls, info: GameInfo, settings: Settings) -> Trainer:
        """The trainer of an untrained model."""
        return cls(untrained(info, settings), info)

    # --- parallelism ---------------------------------------------------------------------------------------------

    @property
    def plan(self) -> ParallelPlan:
        """How training is spread over the machine; after failures, what is left of it."""
        return self._plan

    @property
    def is_parallel(self) -> bool:
        """Whether more than one process trains."""
        return self._plan.mode != "serial"

    @property
    def worker_count(self) -> int:
        """Processes that train."""
        return self._plan.ranks

    def configure_parallel(self, mode: str, workers: int | None = None) -> ParallelPlan:
        """Train in another way from the next step on: "serial", "data", "pipeline" or "auto".

        Groups stay as they are where there is one for every rank; then the switch changes a step by rounding only.

        Args:
            mode: how.
            workers: ranks; by default as many as `recommended_workers` says, at least 2, or what `auto` finds best.

        Raises `UsageError` for what this network, batch size or machine cannot do, or in the middle of a round.
        """
        if self._busy:
            raise UsageError("the plan cannot change in the middle of a round: wait until it is trained")
        if mode not in ("serial", "data", "pipeline", "auto"):
            raise UsageError(f'training mode "{mode}": expected serial, data, pipeline or auto')
        if workers is None and mode in ("data", "pipeline"):
            micro_batch = self._settings.micro_batch or SMALLEST_SHARE
            groups = len(group_sizes(self._settings.batch_size, micro_batch))
            workers = max(2, recommended_workers(groups, usable_cores()))
        ranks = 1 if mode == "serial" else workers or 0
        micro_batch = self._settings.micro_batch
        if len(group_sizes(self._settings.batch_size, self._plan.micro_batch)) >= ranks:
            micro_batch = self._plan.micro_batch  # the same groups: the switch changes no more than rounding
        settings = msgspec.structs.replace(self._settings, mode=mode, ranks=ranks, threads=0, micro_batch=micro_batch)
        if mode != "serial" and not is_parallelizable(ResNet(network_shape(self._info, self._network))):
            raise UsageError("this network does not survive being written and read, so no rank could have it")
        self.shutdown()
        return self._configure(settings)

    def shutdown(self, grace_seconds: float = GRACE_SECONDS) -> None:
        """End all ranks: ask, wait so long, end by force. Training again starts them again."""
        if self._executor is not None:
            self._executor.close(grace_seconds)
            self._executor = None

    # --- training ------------------------------------------------------------------------------------------------

    @property
    def steps(self) -> int:
        """Optimizer steps since round 0."""
        return self._state.steps

    def load(self, checkpoint: Checkpoint) -> None:
        """Go on from another checkpoint of the same game; ranks stay where the network is of the same size."""
        self._start = checkpoint
        self._resize(checkpoint.network)
        self._settings = checkpoint.settings.training
        self._state = TrainingState(checkpoint.weights, checkpoint.average, checkpoint.optimizer, checkpoint.steps)
        self._trained: dict[str, object] = {}

    def grow(self, blocks: int) -> None:
        """Add blocks until there are so many: what the network says stays the same until they learn.

        They depend on the run's seed and their number alone. A network that has as many stays as it is.
        """
        before = self._network.blocks
        if blocks <= before:
            return
        self._resize(self._network.of_size(blocks))
        seed = self._start.settings.selfplay.seed
        added = further_blocks(network_shape(self._info, self._network), before=before, seed=seed)
        copies = {name: tensor.clone() for name, tensor in added.items()}
        self._state = self._state._replace(weights=self._state.weights | added, average=self._state.average | copies)

    def train_on_samples(self, samples: Samples) -> Losses:
        """Optimizer steps over samples [n], `batch_size` at a time in the order given; mean losses before each.

        Batches that cannot be processed are left out, with a warning. Raises `TrainingError` where none could be.
        """
        size = self._settings.batch_size
        rows = [slice(first, first + size) for first in range(0, len(samples.planes), size)]
        statistics = RoundStatistics(self._plan, len(rows))
        for report in self.train_round(lambda: (Samples._make(c[row] for c in samples) for row in rows)):
            if isinstance(report, Recovery):
                warnings.warn(str(report), RuntimeWarning, stacklevel=2)
                statistics = RoundStatistics(report.plan, len(rows))
            elif report is not None:
                statistics.add(report)
        for reason, number in statistics.failures.items():
            warnings.warn(f"{number} of {len(rows)} batches were left out: {reason}", RuntimeWarning, stacklevel=2)
        if not statistics.done:
            raise TrainingError(f"no batch could be processed: {'; '.join(statistics.failures)}")
        return statistics.losses

    def train_round(self, make_batches: Callable[[], Iterable[Samples]]) -> Iterator[StepReport | Recovery | None]:
        """Train on batches, one step each; yields a report of each, and None while waiting.

        Where ranks fail, a `Recovery` comes and all starts again with `make_batches()`: what was reported before it
        no longer counts. Either the model has learnt from all batches at the end, but for those reported as left
        out, or it is what it was. Raises `TrainingError` where nothing helps.
        """
        start, failures, finished = self._state, 0, False
        self._plan, self._busy = self._asked, True
        try:
            while not finished:
                try:
                    yield from self._attempt(start, make_batches())
                    finished = True
                except RanksFailed as failure:
                    failures += 1
                    yield self._recover(failure, failures)
        finally:
            self._busy = False
            if not finished:
                self._abandon()

    # --- models --------------------------------------------------------------------------------------------------

    def checkpoint(self, *, round_number: int) -> Checkpoint:
        """The model as it stands, a child of the one this trainer started from."""
        state = self._state
        return make_checkpoint(
            self._info,
            self._start.settings,
            weights={name: tensor.clone() for name, tensor in state.weights.items()},
            average={name: tensor.clone() for name, tensor in state.average.items()},
            optimizer=state.optimizer,
            steps=state.steps,
            round_number=round_number,
            parent=self._start.card.fingerprint,
            trained=self._trained,
        )

    def save_model(self, path: str | Path, *, round_number: int | None = None) -> Checkpoint:
        """Write the model and its inference twin; the round is one more than at the start unless given."""
        number = self._start.card.round + 1 if round_number is None else round_number
        checkpoint = self.checkpoint(round_number=number)
        save_checkpoint(checkpoint, Path(path))
        return checkpoint

    # --- inside --------------------------------------------------------------------------------------------------

    def _configure(self, settings: TrainingSettings) -> ParallelPlan:
        games = self._start.settings.selfplay.games_per_round
        work = Work.of(self._info, self._start.settings.network, settings, games)
        self._asked, self.reason = choose(settings, work, self._machine)
        self.warnings = check(self._asked, work, self._machine)
        self._plan = self._asked
        return self._plan

    def _resize(self, network: NetworkSettings) -> None:
        """From now on the network has this size; ranks that hold one of another size end."""
        if network != self._network:
            self.shutdown()
        self._network = network

    def _make_executor(self, plan: ParallelPlan) -> Executor:
        shape = network_shape(self._info, self._network)
        if plan.mode == "serial":
            return SerialExecutor(shape, self._settings, plan)
        return RankGroup(shape, self._settings, plan, launcher=self._launcher)

    def _attempt(self, start: TrainingState, batches: Iterable[Samples]) -> Iterator[StepReport | None]:
        if self._executor is None:
            self._executor = self._make_executor(self._plan)
        self._executor.load(start)
        faults: list[str] = []
        for report in self._executor.run(self._sound(batches, faults)):
            while faults:
                yield StepReport((), failure=faults.pop(0))
            yield report
        yield from (StepReport((), failure=fault) for fault in faults)
        self._state = self._executor.state()
        self._trained = asdict(self._plan) | {"as_asked": self._plan == self._asked}

    def _sound(self, batches: Iterable[Samples], faults: list[str]) -> Iterator[Samples]:
        """The batches that can be trained on; what is wrong with the others."""
        shape = network_shape(self._info, self._network)
        for batch in batches:
            fault = fault_of(batch, shape)
            if fault:
                faults.append(fault)
            else:
                yield batch

    def _recover(self, failure: RanksFailed, failures: int) -> Recovery:
        self._abandon()
        if failures >= MOST_FAILURES:
            raise TrainingError(
                f"training failed {failures} times, at last as {self._plan}: {failure}; the last saved round is whole"
            )
        self._plan = next_plan(self._plan, failures, failure, self._settings.batch_size)
        return Recovery(str(failure), self._plan, same_bits=self._plan == self._asked)

    def _abandon(self) -> None:
        """End what is in the middle of something."""
        self.shutdown(grace_seconds=0.0)


def fault_of(samples: Samples, shape: NetworkShape) -> str:
    """Why a batch cannot be trained on, found before anyone tries; empty = nothing is wrong."""
    count = len(samples.planes)
    expected = {
        "planes": (count, shape.planes, *shape.board),
        "legal": (count, shape.actions),
        "policy": (count, shape.actions),
        "outcome": (count, 3),
        "weight": (count,),
        "future": (count, shape.future_planes, *shape.board),
    }
    if count == 0:
        return "an empty batch"
    for name, column in samples._asdict().items():
        if column.shape != expected[name]:
            return f"{name} has shape {column.shape}, expected {expected[name]}"
        if not np.isfinite(column).all():
            row = int(np.argwhere(~np.isfinite(column))[0][0])
            return f"{name} of sample {row} is not finite"
    if not (samples.weight.sum() > 0 and (samples.weight >= 0).all()):
        return "the weights are negative or all zero"
    if (samples.policy * ~samples.legal).any():
        return f"sample {int(np.argwhere(samples.policy * ~samples.legal)[0][0])} wants an illegal action"
    return ""


def is_parallelizable(model: nn.Module) -> bool:
    """Whether a model survives being written and read: what every rank does with it."""
    try:
        buffer = io.BytesIO()
        torch.save(model.state_dict(), buffer)
        buffer.seek(0)
        copy = pickle.loads(pickle.dumps(model))
        copy.load_state_dict(torch.load(buffer, weights_only=True))
        before, after = model.state_dict(), copy.state_dict()
    except Exception:  # pickling a stranger's model may raise anything
        return False
    return before.keys() == after.keys() and all(torch.equal(before[name], after[name]) for name in before)
