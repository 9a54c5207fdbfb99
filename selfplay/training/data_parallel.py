"""A rank of data-parallel training: the whole network, a share of each batch, gradients averaged by torch's
`DistributedDataParallel` (Li et al. 2020, "PyTorch Distributed: Experiences on Accelerating Data Parallel Training").

A batch that some rank cannot process is left out by all: before the last backward pass, the one that exchanges
gradients, the ranks agree whether everyone got that far.
"""

from __future__ import annotations

import time

import torch
from torch.nn.parallel import DistributedDataParallel

from selfplay.network.resnet import ResNet
from selfplay.training.learner import NOT_FINITE, SMALLEST_GROUP, Group, GroupLoss, Learner, is_out_of_memory
from selfplay.training.rank import RankSetup, Share, sum_over_ranks, worst
from selfplay.training.step import LossSums, RankReport, TrainingState

FINE, OUT_OF_MEMORY, FAILED = 0, 1, 2  # the worse, the higher
LEFT_OUT_ELSEWHERE = "left out with another rank"


class DataParallelRank:
    """See `rank.Rank`."""

    def __init__(self, setup: RankSetup) -> None:
        self._setup = setup
        self._learner: Learner | None = None

    def load(self, state: TrainingState) -> None:
        """Everything is made anew: what `DistributedDataParallel` learns in its first steps (the order in which
        gradients come) decides the order of its sums, and a round is to start the same way in any process."""
        setup = self._setup
        network = ResNet(setup.shape)
        self._learner = Learner(network, setup.settings, setup.plan, device_index=setup.rank)
        self._learner.load(state)
        devices = [setup.rank] if setup.plan.device == "cuda" else None
        self._replica = DistributedDataParallel(network, device_ids=devices, forward_sync_buffers=False)
        self._forward = torch.compile(self._replica) if setup.plan.compile else self._replica

    def step(self, share: Share, input_seconds: float) -> RankReport | str:
        """One step with the other ranks; the reason where it was left out."""
        while True:
            learner = self._loaded()
            step = _Step(learner, self._replica, self._forward, share, self._setup.plan.ranks)
            status = step.forward()
            started = time.perf_counter()
            agreed = worst(status, learner.device)
            waiting = time.perf_counter() - started
            if agreed == FINE:
                return step.finish(input_seconds, waiting)
            is_hopeless = agreed == FAILED or learner.micro_batch <= SMALLEST_GROUP
            self._begin_anew(learner.micro_batch if is_hopeless else learner.micro_batch // 2)
            if is_hopeless:
                return step.failure or LEFT_OUT_ELSEWHERE

    def _begin_anew(self, micro_batch: int) -> None:
        """Back to before the step. The replica waits for a backward pass that will not come, and would take the next
        one for it: only a new one forgets that."""
        learner = self._loaded()
        learner.abandon()
        self.load(learner.state())
        self._loaded().micro_batch = micro_batch

    def state(self) -> TrainingState | None:
        """All replicas are equal: the first speaks for them."""
        return self._loaded().state() if self._setup.rank == 0 else None

    def _loaded(self) -> Learner:
        assert self._learner is not None
        return self._learner


class _Step:
    """One attempt at a step."""

    def __init__(
        self, learner: Learner, replica: DistributedDataParallel, forward: object, share: Share, ranks: int
    ) -> None:
        self.failure = ""
        self._learner, self._replica, self._share = learner, replica, share
        self._call = forward
        # DistributedDataParallel takes the mean over ranks; wanted is the mean over positions.
        self._scale = ranks / share.total_weight
        self._sums = LossSums()
        self._groups, self._seconds = 0, [0.0, 0.0]
        self._last: GroupLoss | None = None

    def forward(self) -> int:
        """Everything up to the last backward pass, without a word to other ranks; how it went."""
        try:
            self._learner.begin()
            groups = list(self._learner.groups(self._share.samples))
            with self._replica.no_sync():
                for group in groups[:-1]:
                    self._backward(self._loss(group))
            self._last = self._loss(groups[-1])
        except Exception as error:  # a batch that cannot be processed is left out, whatever ails it
            self.failure = f"{type(error).__name__}: {error}"
            return OUT_OF_MEMORY if is_out_of_memory(error) else FAILED
        return FINE

    def finish(self, input_seconds: float, waiting_seconds: float) -> RankReport | str:
        """The last backward pass, with the exchange of gradients; move the weights. Or why they were not moved."""
        assert self._last is not None
        self._backward(self._last)
        groups = self._groups if self._share.groups else 0
        if not self._learner.apply(groups, sum_statistics=sum_over_ranks):
            return NOT_FINITE
        return RankReport(
            float(self._share.samples.weight.sum()),
            len(self._share.samples.planes) if self._share.groups else 0,
            self._sums,
            forward_seconds=self._seconds[0],
            backward_seconds=self._seconds[1],
            waiting_seconds=waiting_seconds,
            input_seconds=input_seconds,
            micro_batch=self._learner.micro_batch,
        )

    def _loss(self, group: Group) -> GroupLoss:
        started = time.perf_counter()
        with self._learner.autocast():
            outputs = self._call(group.planes)  # type: ignore[operator]  # the replica, or torch.compile's wrapper
        found = self._learner.loss(outputs, group)
        self._groups += 1
        self._sums = self._sums.plus(found.sums)
        self._seconds[0] += time.perf_counter() - started
        return found

    def _backward(self, found: GroupLoss) -> None:
        started = time.perf_counter()
        (found.total * self._scale).backward()  # type: ignore[no-untyped-call]  # torch's stubs leave it out
        self._seconds[1] += time.perf_counter() - started
