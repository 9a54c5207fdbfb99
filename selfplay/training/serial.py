"""Training in this process: the plan `serial`, and what every other plan must equal up to rounding."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator

import torch

from selfplay.network.resnet import NetworkShape, ResNet
from selfplay.samples.pool import Samples
from selfplay.settings import TrainingSettings
from selfplay.training.learner import NOT_FINITE, SMALLEST_GROUP, Learner, is_out_of_memory, set_up_torch
from selfplay.training.parallel_plan import ParallelPlan
from selfplay.training.step import LossSums, RankReport, StepReport, TrainingState


class SerialExecutor:
    """One network, one process; see `step.Executor`."""

    def __init__(self, shape: NetworkShape, settings: TrainingSettings, plan: ParallelPlan) -> None:
        network = ResNet(shape)
        self._plan = plan
        self._learner = Learner(network, settings, plan)
        self._forward = torch.compile(network) if plan.compile else network

    def load(self, state: TrainingState) -> None:
        set_up_torch(self._plan)  # another trainer in this process may have changed it
        self._learner.micro_batch = self._plan.micro_batch
        self._learner.load(state)

    def run(self, batches: Iterable[Samples]) -> Iterator[StepReport | None]:
        waiting = time.perf_counter()
        for batch in batches:
            yield self._step(batch, time.perf_counter() - waiting)
            waiting = time.perf_counter()

    def state(self) -> TrainingState:
        return self._learner.state()

    def close(self, grace_seconds: float) -> None:
        """Nothing was started."""

    def _step(self, batch: Samples, input_seconds: float) -> StepReport:
        while True:
            try:
                return StepReport((self._try_step(batch, input_seconds),))
            except Exception as error:  # a batch that cannot be processed is left out, whatever ails it
                self._learner.abandon()
                if is_out_of_memory(error) and self._learner.micro_batch > SMALLEST_GROUP:
                    self._learner.micro_batch //= 2
                    continue
                return StepReport((), failure=f"{type(error).__name__}: {error}")

    def _try_step(self, batch: Samples, input_seconds: float) -> RankReport:
        weight, groups, forward, backward = float(batch.weight.sum()), 0, 0.0, 0.0
        sums = LossSums()
        self._learner.begin()
        for group in self._learner.groups(batch):
            started = time.perf_counter()
            self._learner.next_group()
            with self._learner.autocast():
                outputs = self._forward(group.planes)
            found = self._learner.loss(outputs, group)
            middle = time.perf_counter()
            (found.total / weight).backward()  # type: ignore[no-untyped-call]  # torch's stubs leave it out
            forward += middle - started
            backward += time.perf_counter() - middle
            groups += 1
            sums = sums.plus(found.sums)
        if not self._learner.apply(groups):
            raise FloatingPointError(NOT_FINITE)
        return RankReport(
            weight,
            len(batch.planes),
            sums,
            forward_seconds=forward,
            backward_seconds=backward,
            input_seconds=input_seconds,
            micro_batch=self._learner.micro_batch,
            gradient_norm=self._learner.gradient_norm,
        )
