"""A stage of pipeline-parallel training: some layers of the network, every group of every batch.

On `torch.distributed.pipelining`, whose documentation calls it alpha: nothing outside this file knows of it. Groups
of one size flow through the stages together, one forward and one backward in turn (1F1B, Narayanan et al. 2019,
"PipeDream") where there are enough to fill the pipeline, all forward and then all backward (GPipe, Huang et al. 2019)
where not; a batch whose last group is smaller takes a second flight. Gradients add up over flights.
"""

from __future__ import annotations

import math
import time
from itertools import groupby, pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.distributed.pipelining import PipelineStage, Schedule1F1B, ScheduleGPipe

from selfplay.network.resnet import NetworkShape, ResNet
from selfplay.samples.pool import Samples
from selfplay.training.learner import NOT_FINITE, Group, Learner
from selfplay.training.parallel_plan import group_sizes
from selfplay.training.rank import RankSetup, Share, sum_over_ranks, worst
from selfplay.training.step import LossSums, RankReport, TrainingState


def part_costs(shape: NetworkShape) -> list[int]:
    """Multiplications per position of stem, each block, and the heads together."""
    settings, cells = shape.settings, shape.board[0] * shape.board[1]
    heads = settings.policy_channels + settings.value_channels + shape.future_planes
    dense = cells * (settings.policy_channels * shape.actions + settings.value_channels * settings.value_hidden)
    stem = 9 * shape.planes * settings.channels * cells
    block = settings.block_weights * cells
    return [stem, *([block] * settings.blocks), heads * settings.channels * cells + dense]


def balanced_stages(costs: list[int], stages: int) -> list[range]:
    """Consecutive parts for each stage, at least one each, such that the dearest stage is as cheap as can be."""
    # best[s][i] = (cost of the dearest stage, start of the last one) with parts 0..i-1 on s stages
    sums = [0, *np.cumsum(costs).tolist()]
    best = [{0: (0, 0)}]
    for stage in range(1, stages + 1):
        row = {}
        for end in range(stage, len(costs) + 1):
            options = [(max(best[-1][start][0], sums[end] - sums[start]), start) for start in best[-1] if start < end]
            if options:
                row[end] = min(options)
        best.append(row)
    cuts = [len(costs)]
    for stage in range(stages, 0, -1):
        cuts.append(best[stage][cuts[-1]][1])
    cuts.reverse()
    return [range(start, end) for start, end in pairwise(cuts)]


class _ChannelsLast(torch.autograd.Function):
    """Channels-last here, the plain layout between processes: gloo sends nothing else, gradients neither."""

    @staticmethod
    def forward(context: Any, features: Tensor) -> Tensor:
        return features.contiguous(memory_format=torch.channels_last)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> Tensor:
        return gradients[0].contiguous()


class Stage(nn.Module):
    """Some consecutive parts of a network, under the names they have in the whole; `dtype` travels between stages."""

    def __init__(self, network: ResNet, parts: range, dtype: torch.dtype) -> None:
        super().__init__()
        self._dtype = dtype
        blocks = len(network.tower)
        self.stem = network.stem if 0 in parts else None
        self.tower = nn.ModuleDict({str(part - 1): network.tower[part - 1] for part in parts if 0 < part <= blocks})
        has_heads = blocks + 1 in parts
        self.policy = network.policy if has_heads else None
        self.outcome = network.outcome if has_heads else None
        self.future = network.future if has_heads and network.shape.future_planes else None

    def forward(self, features: Tensor) -> Any:
        features = _ChannelsLast.apply(features)  # type: ignore[no-untyped-call]  # torch's stubs leave it out
        if self.stem is not None:
            features = self.stem(features)
        for block in self.tower.values():
            features = block(features)
        heads = [head for head in (self.policy, self.outcome, self.future) if head is not None]
        if not heads:
            return features.to(self._dtype).contiguous()  # between processes: plain layout
        return tuple(head(features).float() for head in heads)


class PipelineRank:
    """See `rank.Rank`."""

    def __init__(self, setup: RankSetup) -> None:
        self._setup = setup
        self._parts = balanced_stages(part_costs(setup.shape), setup.plan.ranks)[setup.rank]
        self._dtype = torch.bfloat16 if setup.plan.precision == "bfloat16" else torch.float32
        self._is_last = setup.rank == setup.plan.ranks - 1
        self._learner: Learner | None = None
        self._flights: dict[tuple[int, int], ScheduleGPipe | Schedule1F1B] = {}
        self._total_weight = 1.0
        self._sums = LossSums()

    def load(self, state: TrainingState) -> None:
        stage = Stage(ResNet(self._setup.shape), self._parts, self._dtype)
        self._flights = {}
        self._learner = learner = Learner(stage, self._setup.settings, self._setup.plan, device_index=self._setup.gpu)
        stage.register_forward_pre_hook(lambda *_: learner.next_group())  # the library calls the stage group by group
        learner.load(state)

    def step(self, share: Share, input_seconds: float) -> RankReport | str:
        """One step with the other stages; the reason where it was left out."""
        learner = self._loaded()
        started = time.perf_counter()
        self._total_weight, self._sums = share.total_weight, LossSums()
        learner.begin()
        first, groups = 0, 0
        for size, run in groupby(group_sizes(len(share.samples.planes), learner.micro_batch)):
            number = len(list(run))
            rows = slice(first, first + size * number)
            self._fly(learner.to_group(Samples._make(column[rows] for column in share.samples)), number, size)
            first, groups = rows.stop, groups + number
        flown = time.perf_counter()
        if worst(not math.isfinite(sum(self._sums)), learner.device):
            learner.abandon()
            return f"the loss is not finite: {self._sums}"
        waiting = time.perf_counter() - flown
        if not learner.apply(groups, sum_norms=sum_over_ranks):
            return NOT_FINITE
        return RankReport(
            share.total_weight if self._is_last else 0.0,
            len(share.samples.planes) if self._is_last else 0,
            self._sums,
            forward_seconds=flown - started,  # forward and backward passes of a pipeline are woven into each other
            waiting_seconds=waiting,
            input_seconds=input_seconds,
            micro_batch=learner.micro_batch,
            gradient_norm=learner.gradient_norm,
        )

    def state(self) -> TrainingState | None:
        return self._loaded().state()

    def _fly(self, groups: Group, number: int, size: int) -> None:
        """`number` groups of `size` positions, forward and backward through all stages."""
        if (number, size) not in self._flights:
            self._flights[number, size] = self._schedule(number, size)
        schedule = self._flights[number, size]
        with self._loaded().autocast():
            if self._is_last:
                inputs = (groups.planes,) if self._setup.rank == 0 else ()
                schedule.step(*inputs, target=_packed(groups), losses=[], return_outputs=False)
            elif self._setup.rank == 0:
                schedule.step(groups.planes, return_outputs=False)
            else:
                schedule.step(return_outputs=False)

    def _schedule(self, number: int, size: int) -> ScheduleGPipe | Schedule1F1B:
        learner, plan, shape = self._loaded(), self._setup.plan, self._setup.shape
        # Said, not left to be found out: the library would send invented positions through the network, which would
        # count in the batch statistics.
        between = torch.empty(size, shape.settings.channels, *shape.board, device=learner.device, dtype=self._dtype)
        between.requires_grad_()  # else no gradient comes back
        board = torch.empty(size, shape.planes, *shape.board, device=learner.device)
        answers: list[tuple[int, ...]] = [(shape.actions,), (3,)]
        if shape.future_planes:
            answers.append((shape.future_planes, *shape.board))
        heads = tuple(torch.empty(size, *answer, device=learner.device) for answer in answers)
        stage = PipelineStage(
            learner.network,
            self._setup.rank,
            plan.ranks,
            learner.device,
            input_args=board if self._setup.rank == 0 else between,
            output_args=heads if self._is_last else between,
        )
        kind = Schedule1F1B if number >= plan.ranks else ScheduleGPipe
        return kind(stage, number, loss_fn=self._loss, scale_grads=False)

    def _loss(self, outputs: tuple[Tensor, ...], target: Tensor) -> Tensor:
        group = _unpacked(target, self._setup.shape)
        # A loss that is not finite must not break off the flight: the other stages are in the middle of it.
        found = self._loaded().loss(outputs, group, must_be_finite=False)
        self._sums = self._sums.plus(found.sums)
        return found.total / self._total_weight

    def _loaded(self) -> Learner:
        assert self._learner is not None
        return self._learner


def _packed(group: Group) -> Tensor:
    """Targets as one tensor [n, 2 A + 4 + F H W], which is what the library can cut into groups."""
    columns = [group.legal.float(), group.policy, group.outcome, group.weight[:, None], group.future.flatten(1)]
    return torch.cat(columns, dim=1)


def _unpacked(target: Tensor, shape: NetworkShape) -> Group:
    cells = (shape.future_planes, *shape.board)
    sizes = [shape.actions, shape.actions, 3, 1, math.prod(cells)]
    legal, policy, outcome, weight, future = torch.split(target, sizes, dim=1)
    return Group(target.new_empty(0), legal > 0.5, policy, outcome, weight[:, 0], future.reshape(-1, *cells))
