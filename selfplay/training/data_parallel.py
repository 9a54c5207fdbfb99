"""A rank of data-parallel training: the whole network, a share of each batch, gradients averaged by torch's
`DistributedDataParallel` (Li et al. 2020, "PyTorch Distributed: Experiences on Accelerating Data Parallel Training").

Ranks meet once a step, where gradients are exchanged in the last backward pass. A rank that cannot process its share
comes to that meeting too, with gradients that are not numbers: then nobody moves, and only then the ranks ask each
other what happened.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch
from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import allreduce_hook
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
        self._learner = Learner(network, setup.settings, setup.plan, device_index=setup.gpu)
        self._learner.load(state)
        devices = [setup.gpu] if setup.plan.device == "cuda" else None
        self._replica = DistributedDataParallel(
            network, device_ids=devices, forward_sync_buffers=False, gradient_as_bucket_view=True
        )
        self._clock = _ExchangeClock()
        self._replica.register_comm_hook(self._clock, lambda clock, bucket: clock.exchange(bucket))
        self._forward = torch.compile(self._replica) if setup.plan.compile else self._replica

    def step(self, share: Share, input_seconds: float) -> RankReport | str:
        """One step with the other ranks; the reason where it was left out."""
        learner = self._loaded()
        while True:
            attempt = _Step(learner, self._replica, self._forward, share, self._setup.plan.ranks)
            if attempt.run(self._clock):
                return attempt.report(input_seconds)
            agreed = worst(attempt.status, learner.device)
            if agreed == OUT_OF_MEMORY and learner.micro_batch > SMALLEST_GROUP:
                learner.micro_batch //= 2
                continue
            return attempt.failure or (NOT_FINITE if agreed == FINE else LEFT_OUT_ELSEWHERE)

    def state(self) -> TrainingState | None:
        """All replicas are equal: the first speaks for them."""
        return self._loaded().state() if self._setup.rank == 0 else None

    def _loaded(self) -> Learner:
        assert self._learner is not None
        return self._learner


class _ExchangeClock:
    """Measures how long a rank waits for the exchange of gradients after its own are done."""

    def __init__(self) -> None:
        self._ready = 0.0

    def exchange(self, bucket: Any) -> Any:
        """Some gradients are ready: begin to average them over the ranks. The last to be ready count."""
        self._ready = time.perf_counter()
        return allreduce_hook(None, bucket)  # type: ignore[arg-type]  # None = all ranks

    def take(self) -> float:
        """Seconds since then, at the end of a backward pass."""
        return time.perf_counter() - self._ready


class _Step:
    """One attempt at a step."""

    def __init__(
        self,
        learner: Learner,
        replica: DistributedDataParallel,
        forward: Callable[..., Any],
        share: Share,
        ranks: int,
    ) -> None:
        self.failure, self.status = "", FINE
        self._learner, self._replica, self._forward, self._share = learner, replica, forward, share
        # DistributedDataParallel takes the mean over ranks; wanted is the mean over positions.
        self._scale = ranks / share.total_weight
        self._sums = LossSums()
        self._groups, self._forward_seconds, self._backward_seconds, self._exchange_seconds = 0, 0.0, 0.0, 0.0

    def run(self, clock: _ExchangeClock) -> bool:
        """Whether all ranks moved their weights."""
        try:
            last = self._up_to_the_last_loss()
        except Exception as error:  # a batch that cannot be processed is left out, whatever ails it
            self.failure = f"{type(error).__name__}: {error}"
            self.status = OUT_OF_MEMORY if is_out_of_memory(error) else FAILED
            last = self._poison()
        self._backward(last)
        self._exchange_seconds = clock.take()
        return self._learner.apply(self._groups if self._share.groups else 0, sum_statistics=sum_over_ranks)

    def report(self, input_seconds: float) -> RankReport:
        """What this rank did."""
        return RankReport(
            float(self._share.samples.weight.sum()),
            len(self._share.samples.planes) if self._share.groups else 0,
            self._sums,
            forward_seconds=self._forward_seconds,
            backward_seconds=self._backward_seconds - self._exchange_seconds,
            waiting_seconds=self._exchange_seconds,
            input_seconds=input_seconds,
            micro_batch=self._learner.micro_batch,
            gradient_norm=self._learner.gradient_norm,
        )

    def _up_to_the_last_loss(self) -> GroupLoss:
        """All groups but for the last one's backward pass, without a word to other ranks."""
        self._learner.begin()
        groups = list(self._learner.groups(self._share.samples))
        with self._replica.no_sync():
            for group in groups[:-1]:
                self._backward(self._loss(group))
        return self._loss(groups[-1])

    def _poison(self) -> GroupLoss:
        """A loss whose gradients are not numbers, out of as little memory as can be."""
        self._learner.abandon()
        self._learner.begin()
        planes = self._learner.to_group(self._share.samples).planes[:SMALLEST_GROUP]
        answers = self._replica(torch.zeros_like(planes))
        return GroupLoss(torch.stack([each.float().sum() for each in answers]).sum() * float("nan"), LossSums())

    def _loss(self, group: Group) -> GroupLoss:
        started = time.perf_counter()
        self._learner.next_group()
        with self._learner.autocast():
            outputs = self._forward(group.planes)
        found = self._learner.loss(outputs, group)
        self._groups += 1
        self._sums = self._sums.plus(found.sums)
        self._forward_seconds += time.perf_counter() - started
        return found

    def _backward(self, found: GroupLoss) -> None:
        started = time.perf_counter()
        (found.total * self._scale).backward()  # type: ignore[no-untyped-call]  # torch's stubs leave it out
        self._backward_seconds += time.perf_counter() - started
