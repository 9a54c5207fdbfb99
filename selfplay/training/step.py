"""What a step of training reports, and the contract of whoever makes the steps: one process or many ranks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from selfplay.network.checkpoint import Tensors
from selfplay.samples.pool import Samples
from selfplay.training.loss import Losses


class TrainingState(NamedTuple):
    """All that changes while a model is trained."""

    weights: Tensors
    average: Tensors  # the moving average of the weights, which plays
    optimizer: dict[str, dict[str, Any]]  # name of a parameter -> what its optimizer keeps; empty before the first step
    steps: int


class LossSums(NamedTuple):
    """Losses added up over positions, each weighted."""

    policy: float = 0.0
    value: float = 0.0
    policy_floor: float = 0.0
    future: float = 0.0

    def plus(self, other: LossSums) -> LossSums:
        """Both together."""
        return LossSums(*(a + b for a, b in zip(self, other, strict=True)))


@dataclass(frozen=True)
class RankReport:
    """One rank's part of a step."""

    weight: float  # sum of its positions' weights
    positions: int
    sums: LossSums
    forward_seconds: float = 0.0
    backward_seconds: float = 0.0  # includes the exchange of gradients that it overlaps with
    waiting_seconds: float = 0.0  # for other ranks
    input_seconds: float = 0.0  # waiting for positions to train on
    micro_batch: int = 0  # positions of its groups: smaller than planned after it ran out of memory
    cpu_seconds: float = 0.0  # that a process of its own used
    gradient_norm: float = 0.0  # L2, of the whole network, before it was clipped


@dataclass(frozen=True)
class StepReport:
    """A step over one batch: what every rank did, or why the batch was left out."""

    ranks: tuple[RankReport, ...]
    failure: str = ""  # why the batch was left out by all ranks; empty = it was trained on

    @property
    def losses(self) -> Losses:
        """Means over the batch, before the step."""
        weight, sums = sum(rank.weight for rank in self.ranks) or 1.0, LossSums()
        for rank in self.ranks:
            sums = sums.plus(rank.sums)
        return Losses(*(each / weight for each in sums))


class RanksFailed(Exception):
    """Training cannot go on from where it stands: a rank died, hung, or ran out of memory in the middle of a step.

    Caught by `recovery.py`, which starts the round again from its checkpoint.
    """

    def __init__(self, reason: str, *, out_of_memory: bool = False) -> None:
        super().__init__(reason)
        self.out_of_memory = out_of_memory


class Executor(Protocol):
    """Makes the steps of a training."""

    def load(self, state: TrainingState) -> None:
        """Go on from this state; nothing of what was before is left."""
        ...

    def run(self, batches: Iterable[Samples]) -> Iterator[StepReport | None]:
        """Train on batches in order, one step each; yields a report for each, and None while waiting.

        Raises `RanksFailed`.
        """
        ...

    def state(self) -> TrainingState:
        """The state after the last step. Raises `RanksFailed`."""
        ...

    def close(self, grace_seconds: float) -> None:
        """End whatever was started; nothing is left when this returns."""
        ...
