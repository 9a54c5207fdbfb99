"""The heart of a step, for a whole network or a stage of one: forward, backward, batch statistics, optimizer, average.

Used by one process alone (`serial.py`), by data-parallel ranks (`data_parallel.py`) and by the stages of a pipeline
(`pipeline_parallel.py`). Knows nothing of processes. Letters: n positions of a group, A actions, F planes of the
board at the end of the game, which are none where the network does not foretell it.

**Batch statistics.** Normalisation uses the mean and variance of a group of `micro_batch` positions, never those of
"the batch" a machine happens to hold at once (ghost batch normalisation: Hoffer, Hubara, Soudry 2017, "Train longer,
generalize better"). So a step is a sum over groups, and one process, four ranks and a pipeline compute the same
gradient; with statistics of each rank's shard they would not, and statistics of the whole batch cannot be had in a
pipeline at all. The running statistics, which play uses, move once a step, by the mean over all its groups on all
ranks: replicas, checkpoint and exported network hold the same numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from selfplay.machine import keep_memory
from selfplay.samples.pool import Samples
from selfplay.settings import TrainingSettings
from selfplay.training.adamw import AdamW
from selfplay.training.loss import entropies, future_losses, outcome_losses, policy_losses
from selfplay.training.muon import Muon
from selfplay.training.parallel_plan import ParallelPlan, group_sizes
from selfplay.training.step import LossSums, TrainingState

STATISTICS_MOMENTUM = 0.1  # of the running batch statistics, per step; torch's default
SMALLEST_GROUP = 2  # one position has no variance

NOT_FINITE = "the gradient is not finite"

Sum = Callable[[Tensor], None]  # adds a tensor up over all ranks, in place


class GroupLoss(NamedTuple):
    """Losses of a group's positions."""

    total: Tensor  # [] what is minimised, as a sum over the positions
    sums: LossSums


class Group(NamedTuple):
    """`Samples` as tensors on the device."""

    planes: Tensor  # [n, P, H, W]
    legal: Tensor  # [n, A] bool
    policy: Tensor  # [n, A]
    outcome: Tensor  # [n, 3]
    weight: Tensor  # [n]
    future: Tensor  # [n, F, H, W]


class Learner:
    """A network that learns, or a stage of one, with its optimizer, average and batch statistics.

    Args:
        network: the module; moved to the plan's device.
        settings: how to train.
        plan: device, precision, threads, groups.
        device_index: which GPU, where the plan uses them.
    """

    def __init__(
        self, network: nn.Module, settings: TrainingSettings, plan: ParallelPlan, *, device_index: int = 0
    ) -> None:
        keep_memory()
        self.device = torch.device("cuda", device_index) if plan.device == "cuda" else torch.device("cpu")
        self.micro_batch = plan.micro_batch
        self.steps = 0
        self.gradient_norm = 0.0  # L2 of the last step, before clipping
        self._settings = settings
        self._precision = plan.precision
        self.network = network.to(self.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # stub gap
        self.network.train()
        self._average: dict[str, Tensor] = {}
        self._statistics = BatchStatistics(network)
        hidden = hidden_weights(network) if settings.muon_learning_rate else {}
        others = {name: parameter for name, parameter in network.named_parameters() if name not in hidden}
        self._muon = Muon(hidden, weight_decay=settings.muon_weight_decay)
        self._adamw = AdamW(others, weight_decay=settings.weight_decay)

    def load(self, state: TrainingState) -> None:
        """Take over the parts of a state that this network has."""
        own = self.network.state_dict()
        self.network.load_state_dict({name: state.weights[name] for name in own})
        self._average = {name: state.average[name].to(self.device, copy=True) for name in own}
        self._tensors = self.network.state_dict()  # the tensors themselves: they stay where they are
        moving = [name for name, tensor in self._tensors.items() if tensor.is_floating_point()]
        self._averages = [self._average[name] for name in moving]
        self._averaged = [self._tensors[name] for name in moving]
        self._muon.load(state.optimizer)
        self._adamw.load(state.optimizer)
        self.steps = state.steps

    def state(self) -> TrainingState:
        """A copy of everything, on the CPU."""
        return TrainingState(
            {name: tensor.detach().cpu().clone() for name, tensor in self.network.state_dict().items()},
            {name: tensor.cpu().clone() for name, tensor in self._average.items()},
            {**self._muon.state(), **self._adamw.state()},
            self.steps,
        )

    def groups(self, samples: Samples) -> Iterator[Group]:
        """The samples as groups on the device, in order."""
        first = 0
        for size in group_sizes(len(samples.planes), self.micro_batch):
            yield self.to_group(Samples._make(column[first : first + size] for column in samples))
            first += size

    def to_group(self, samples: Samples) -> Group:
        """The samples as one group on the device."""
        group = Group._make(torch.from_numpy(np.ascontiguousarray(column)).to(self.device) for column in samples)
        return group._replace(planes=group.planes.contiguous(memory_format=torch.channels_last))

    def autocast(self) -> AbstractContextManager[object]:
        """Products in the plan's precision."""
        if self._precision == "float32":
            return nullcontext()
        return torch.autocast(self.device.type, dtype=torch.bfloat16)

    def loss(self, logits: tuple[Tensor, ...], group: Group, *, must_be_finite: bool = True) -> GroupLoss:
        """The losses of a group's policy logits [n, A], outcome logits [n, 3] and, if any, future logits [n, F, H, W].

        Raises `FloatingPointError` where they must be finite and are not.
        """
        policy = (policy_losses(logits[0].float(), group.legal, group.policy) * group.weight).sum()
        value = (outcome_losses(logits[1].float(), group.outcome) * group.weight).sum()
        floor = (entropies(group.policy) * group.weight).sum()
        future = torch.zeros_like(floor)
        if len(logits) > 2:
            future = (future_losses(logits[2].float(), group.future) * group.weight).sum()
        sums = LossSums(*torch.stack([policy, value, floor, future]).tolist())  # together: each asking waits for a GPU
        if must_be_finite and not math.isfinite(sum(sums)):
            raise FloatingPointError(f"the loss is not finite: {sums}")
        return GroupLoss(policy + self._settings.value_weight * value + self._settings.future_weight * future, sums)

    def begin(self) -> None:
        """Before the first group of a step."""
        self._statistics.begin()

    def next_group(self) -> None:
        """Before the forward pass of each group."""
        self._statistics.next_group()

    def abandon(self) -> None:
        """The step is not taken: forget its gradients and statistics."""
        self.network.zero_grad()
        self._statistics.abandon()

    def apply(self, groups: int, sum_statistics: Sum | None = None, sum_norms: Sum | None = None) -> bool:
        """Move the weights by the gradients that were gathered; False = they are not finite, and nothing was moved.

        All ranks come to the same answer: their gradients, or the norms of them, are summed up by then.

        Args:
            groups: how many this rank worked through.
            sum_statistics: adds up over the ranks that hold these layers too.
            sum_norms: adds up over the ranks that hold the other layers.
        """
        if not self._clip_gradients(sum_norms):
            self.abandon()
            return False
        self._statistics.finish(groups, sum_statistics)
        share = step_share(self._settings, self.steps)
        self._muon.step(share * self._settings.muon_learning_rate)
        self._adamw.step(share * self._settings.learning_rate)
        self.network.zero_grad()
        self.steps += 1
        self._move_average()
        return True

    def _clip_gradients(self, sum_norms: Sum | None) -> bool:
        """Whether they are finite."""
        parameters = list(self.network.parameters())
        norm = nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
        if sum_norms is not None:
            squared = norm.square().reshape(1)
            sum_norms(squared)
            norm = squared.sqrt()[0]
        self.gradient_norm = norm.item()
        if self.gradient_norm > self._settings.gradient_clip:
            nn.utils.clip_grads_with_norm_(parameters, self._settings.gradient_clip, norm)
        return math.isfinite(self.gradient_norm)

    @torch.no_grad()
    def _move_average(self) -> None:
        """Moving average of weights and batch statistics."""
        decay = average_decay(self._settings, self.steps)
        move = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]  # torch's stubs leave it out
        move(self._averages, self._averaged, self.steps)
        for name, average in self._average.items():
            if not average.is_floating_point():  # steps counted by normalisations
                average.copy_(self._tensors[name])


def hidden_weights(network: nn.Module) -> dict[str, nn.Parameter]:
    """The weights of the residual blocks' convolutions, by name: what Muon moves."""
    return {name: each for name, each in network.named_parameters() if name.startswith("tower.") and each.ndim > 1}


def step_share(settings: TrainingSettings, steps: int) -> float:
    """What is left of the step sizes after so many steps: it falls with their root, whatever the length of the run
    (Karras et al. 2024, "Analyzing and Improving the Training Dynamics of Diffusion Models", 2.4)."""
    if settings.constant_steps == 0 or steps <= settings.constant_steps:
        return 1.0
    return math.sqrt(settings.constant_steps / steps)


def average_decay(settings: TrainingSettings, steps: int) -> float:
    """Decay of the moving average at a step, the first being 1: with a short memory in the first steps, and with one
    that grows with the run where the settings say so (Karras et al. 2024, 3.1: so do those of power functions)."""
    decay = max(settings.average_decay, 1.0 - 1.0 / max(1.0, settings.average_share * steps))
    return min(decay, (1 + steps) / (10 + steps))


class BatchStatistics:
    """The running means and variances of a network's normalisations, moved once a step by the mean over its groups."""

    def __init__(self, network: nn.Module) -> None:
        self._layers = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
        self._groups = 0  # since `begin`
        self._before: list[tuple[Tensor, ...]] = []

    def begin(self) -> None:
        """Gather anew."""
        self._before = [tuple(buffer.clone() for buffer in _buffers(layer)) for layer in self._layers]
        self._groups = 0
        for layer in self._layers:
            layer.reset_running_stats()

    def next_group(self) -> None:
        """Let the layers hold the mean over all groups since `begin`, this one included.

        torch does so by itself with a momentum of None, but then asks the device for its count in each layer: a GPU
        would be waited for, and `torch.compile` cut into pieces.
        """
        self._groups += 1
        for layer in self._layers:
            layer.momentum = 1.0 / self._groups

    @torch.no_grad()
    def abandon(self) -> None:
        """Back to what was before `begin`."""
        for layer, before in zip(self._layers, self._before, strict=True):
            for buffer, old in zip(_buffers(layer), before, strict=True):
                buffer.copy_(old)

    @torch.no_grad()
    def finish(self, groups: int, sum_over_ranks: Sum | None) -> None:
        """Move by what `groups` groups here, and those on other ranks, had on average."""
        gathered = [buffer for layer in self._layers for buffer in _buffers(layer)[:2]]
        if sum_over_ranks is not None and gathered:
            flat = torch.cat([buffer * groups for buffer in gathered] + [gathered[0].new_full((1,), groups)])
            sum_over_ranks(flat)
            sizes = [len(buffer) for buffer in gathered]
            for buffer, mean in zip(gathered, torch.split(flat[:-1] / flat[-1], sizes), strict=True):
                buffer.copy_(mean)
        for layer, (mean, variance, tracked) in zip(self._layers, self._before, strict=True):
            now = _buffers(layer)
            now[0].copy_(mean.lerp(now[0], STATISTICS_MOMENTUM))
            now[1].copy_(variance.lerp(now[1], STATISTICS_MOMENTUM))
            now[2].copy_(tracked + 1)


def _buffers(layer: nn.BatchNorm2d) -> tuple[Tensor, Tensor, Tensor]:
    """Running mean, running variance, steps counted."""
    assert layer.running_mean is not None
    assert layer.running_var is not None
    assert layer.num_batches_tracked is not None
    return layer.running_mean, layer.running_var, layer.num_batches_tracked


def set_up_torch(plan: ParallelPlan) -> None:
    """Threads and exact repetition, for the whole of this process."""
    torch.set_num_threads(plan.threads)
    is_repeated = plan.device == "cpu"
    if plan.compile:
        torch.use_deterministic_algorithms(is_repeated)
    else:  # the same but for telling torch's compiler, which that call loads
        torch.set_deterministic_debug_mode("error" if is_repeated else "default")
    # torch then writes NaN to all memory before it is used, to show reads of what nobody wrote: 6 % of a step.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # stub gap


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory, of RAM or a GPU, ran out."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and "allocate memory" in str(error)
