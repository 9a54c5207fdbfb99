"""What a round's training did and where its time went, out of its steps' reports."""

from __future__ import annotations

import statistics
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from selfplay.errors import TrainingError
from selfplay.training.loss import Losses
from selfplay.training.parallel_plan import ParallelPlan
from selfplay.training.step import LossSums, RankReport, StepReport

MOST_LEFT_OUT = 0.1  # of a round's batches


@dataclass
class RoundStatistics:
    """Sums over the steps of a round."""

    plan: ParallelPlan
    planned: int  # batches
    done: int = 0
    failures: Counter[str] = field(default_factory=Counter)  # reason -> batches left out
    positions: int = 0
    micro_batch: int = 0  # the smallest that was used
    ranks: list[RankReport] = field(default_factory=list)  # sums of each rank's reports
    gradient_norms: list[float] = field(default_factory=list)  # of each step

    @property
    def failed(self) -> int:
        """Batches that were left out."""
        return sum(self.failures.values())

    def add(self, report: StepReport) -> None:
        """Count a step."""
        if report.failure:
            self.failures[report.failure] += 1
            return
        self.done += 1
        self.positions += sum(rank.positions for rank in report.ranks)
        self.micro_batch = min(rank.micro_batch for rank in report.ranks)
        self.gradient_norms.append(max(rank.gradient_norm for rank in report.ranks))
        before = self.ranks or [RankReport(0.0, 0, LossSums()) for _ in report.ranks]
        self.ranks = [_added(a, b) for a, b in zip(before, report.ranks, strict=True)]

    def must_be_worth_it(self) -> None:
        """Raise `TrainingError` where so much was left out that the model should not be kept."""
        if self.failed > MOST_LEFT_OUT * self.planned:
            reasons = "; ".join(f"{number} x {reason}" for reason, number in self.failures.most_common(3))
            raise TrainingError(
                f"{self.failed} of {self.planned} batches could not be processed ({reasons}), at most "
                f"{MOST_LEFT_OUT:.0%} may be left out; the model was not saved, the round before it is whole"
            )

    @property
    def losses(self) -> Losses:
        """Means over all positions, each before the step it was part of."""
        return StepReport(tuple(self.ranks)).losses

    def line(self, seconds: float) -> str:
        """`[ranks 2 · batches 118/118 · loss 1.234567 · 5,210 samples/s · 812 ms]`"""
        rate = self.positions / seconds if seconds else 0.0
        return (
            f"[ranks {self.plan.ranks} · batches {self.done}/{self.planned} · loss {self.losses.total:.6f} · "
            f"{rate:,.0f} samples/s · {1e3 * seconds:,.0f} ms]"
        )

    def shares(self, seconds: float) -> dict[str, float]:
        """Shares of the round's time, means over ranks; a pipeline weaves backward into forward."""
        ranks = max(1, len(self.ranks))
        total = seconds or 1.0
        return {
            name: round(sum(getattr(rank, f"{name}_seconds") for rank in self.ranks) / ranks / total, 4)
            for name in ("forward", "backward", "waiting", "input")
        }

    def facts(self, seconds: float) -> dict[str, Any]:
        """For events: all of the above as plain values."""
        return {
            "plan": str(self.plan),
            "ranks": self.plan.ranks,
            "batches": self.done,
            "batches_left_out": self.failed,
            "reasons": dict(self.failures),
            "samples_per_second": round(self.positions / seconds) if seconds else 0,
            "shares": self.shares(seconds),
            "loss_per_rank": [round(StepReport((rank,)).losses.total, 6) for rank in self.ranks if rank.weight],
            "gradient_norm": round(statistics.median(self.gradient_norms or [0.0]), 4),
            "largest_gradient": round(max(self.gradient_norms, default=0.0), 4),
            "micro_batch": self.micro_batch or self.plan.micro_batch,
            "ranks_cpu_seconds": round(sum(rank.cpu_seconds for rank in self.ranks), 3),
        }


def _added(a: RankReport, b: RankReport) -> RankReport:
    return RankReport(
        a.weight + b.weight,
        a.positions + b.positions,
        a.sums.plus(b.sums),
        a.forward_seconds + b.forward_seconds,
        a.backward_seconds + b.backward_seconds,
        a.waiting_seconds + b.waiting_seconds,
        a.input_seconds + b.input_seconds,
        b.micro_batch,
        a.cpu_seconds + b.cpu_seconds,
    )
