"""Serial against parallel training, on the same batches, in turns within one run: what each plan brings here, and why.

Knows nothing of commands and consoles.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import msgspec
import numpy as np

from selfplay.errors import UsageError
from selfplay.games.game import Rules
from selfplay.games.random_play import random_positions
from selfplay.machine import usable_cores
from selfplay.samples.pool import Samples
from selfplay.settings import Settings
from selfplay.training.parallel_plan import ParallelPlan, Work
from selfplay.training.recovery import Recovery
from selfplay.training.statistics import RoundStatistics
from selfplay.training.train import Trainer

SHORT_STEP_SECONDS = 0.01
WORTH_IT = 1.2  # times the speed of the plan compared with: below, the reason is worth a line
HIGH_WAITING = 0.15
EXAMPLE_PLANS = "serial:1, serial:2 (2 threads), data:2 (2 ranks), data:2x4 (2 ranks of 4 threads), pipeline:2"


@dataclass(frozen=True)
class Row:
    """A plan in comparison with the first one."""

    plan: str
    samples_per_second: float  # median over turns
    speedup: float  # over the first plan, median of the turns' ratios
    lowest: float
    highest: float
    step_milliseconds: float
    shares: dict[str, float]  # of the time: forward, backward, waiting, input
    reason: str = ""  # why it does not pay; empty where it does


def parse_plan(text: str) -> dict[str, object]:
    """`data:2x4` as training settings: mode data, 2 ranks of 4 threads. Raises `UsageError`."""
    mode, _, figures = text.strip().partition(":")
    ranks, _, threads = figures.partition("x")
    numbers = [int(figure) if figure.isdecimal() else 0 for figure in (ranks, threads or "1")]
    if mode not in ("serial", "data", "pipeline") or min(numbers) < 1 or (mode == "serial" and threads):
        raise UsageError(f'"{text}" is no training plan; examples: {EXAMPLE_PLANS}')
    if mode == "serial":
        return {"mode": mode, "ranks": 1, "threads": numbers[0]}
    return {"mode": mode, "ranks": numbers[0], "threads": numbers[1]}


def short_name(plan: ParallelPlan) -> str:
    """The text that `parse_plan` reads as this plan."""
    if plan.mode == "serial":
        return f"serial:{plan.threads}"
    return f"{plan.mode}:{plan.ranks}" + (f"x{plan.threads}" if plan.threads > 1 else "")


def random_batches(rules: Rules, *, batch_size: int, count: int, seed: int = 0, future: bool = False) -> list[Samples]:
    """Positions of random games with random targets: as much work as real ones; `future` as in the pool."""
    rng = np.random.default_rng(seed)
    states = random_positions(rules, batch_size * count, seed=seed)
    board, legal = rules.encode(states), rules.describe(states).legal
    policy = (legal * (0.05 + rng.random(legal.shape))).astype(np.float32)
    policy /= policy.sum(axis=1, keepdims=True)
    outcome = np.eye(3, dtype=np.float32)[rng.integers(0, 3, len(board))]
    ends = board[rng.permutation(len(board))] if future else board[:, :0]
    whole = Samples(board, legal, policy, outcome, np.ones(len(board), np.float32), ends)
    rows = [slice(first, first + batch_size) for first in range(0, len(board), batch_size)]
    return [Samples._make(column[row] for column in whole) for row in rows]


class Comparison:
    """Trainers of one network, one for each plan; those that are not at work cost nothing.

    Args:
        rules: the game.
        settings: network and training; mode, ranks and threads come from the plans.
        plans: as `parse_plan` gives them; the first is what the others are compared with.
    """

    def __init__(self, rules: Rules, settings: Settings, plans: list[dict[str, object]]) -> None:
        self._work = Work.of(rules.info, settings.network, settings.training, settings.selfplay.games_per_round)
        self._trainers: list[Trainer] = []
        for plan in plans:
            training = msgspec.structs.replace(settings.training, **plan)
            network = settings.network.of_size(settings.network.blocks)
            asked = msgspec.structs.replace(settings, training=training, network=network)
            self._trainers.append(Trainer.new(rules.info, asked))

    @property
    def warnings(self) -> list[str]:
        """What the plans waste."""
        return [f"{short_name(trainer.plan)}: {warning}" for trainer in self._trainers for warning in trainer.warnings]

    def run(self, batches: Sequence[Samples], *, turns: int) -> Iterator[str | list[Row]]:
        """Train with each plan in turn; yields what it is at, at last the table's rows."""
        for trainer in self._trainers:
            yield f"starting {short_name(trainer.plan)}"
            _train(trainer, batches[:2])  # starts ranks and loads code
        seconds: list[list[float]] = [[] for _ in self._trainers]
        records: list[RoundStatistics] = []
        for turn in range(turns):
            records = []
            for trainer, taken in zip(self._trainers, seconds, strict=True):
                yield f"turn {turn + 1}/{turns}: {short_name(trainer.plan)}"
                record, duration = _train(trainer, batches)
                records.append(record)
                taken.append(duration)
        positions = sum(len(batch.planes) for batch in batches)
        rows = [
            _row(record, taken, seconds[0], positions=positions, steps=len(batches))
            for record, taken in zip(records, seconds, strict=True)
        ]
        yield [
            row if row.speedup >= WORTH_IT or i == 0 else replace(row, reason=self._reason(records[i].plan, row.shares))
            for i, row in enumerate(rows)
        ]

    def close(self) -> None:
        """End all ranks."""
        for trainer in self._trainers:
            trainer.shutdown()

    def _reason(self, plan: ParallelPlan, shares: dict[str, float]) -> str:
        """Why a plan is hardly faster, or slower, than the one it is compared with."""
        busy, cores = plan.ranks * plan.threads, usable_cores()
        if plan.device == "cpu" and busy > cores:
            return f"oversubscribed: {busy} threads on {cores} cores"
        if self._work.step_seconds < SHORT_STEP_SECONDS:
            return f"network or batch are too small: a step takes about {1e3 * self._work.step_seconds:.1f} ms"
        if shares["waiting"] > HIGH_WAITING:
            return f"synchronisation: ranks wait for each other {shares['waiting']:.0%} of the time"
        if shares["input"] > HIGH_WAITING:
            return f"input: ranks wait for positions {shares['input']:.0%} of the time"
        if plan.mode == "pipeline":
            return "filling and emptying the pipeline: more groups (a smaller training.micro_batch) help"
        if plan.mode == "serial":
            return "threads of one process share each small operation; ranks share whole groups (data:N)"
        return "the cores hinder each other (memory, shared caches, other programs), or the machine is busy"


def _train(trainer: Trainer, batches: Sequence[Samples]) -> tuple[RoundStatistics, float]:
    """One round; what it did, and the seconds from its first batch to its last."""
    record = RoundStatistics(trainer.plan, len(batches))
    started = time.perf_counter()

    def begin() -> Iterator[Samples]:
        nonlocal started
        started = time.perf_counter()  # ranks are loaded by now
        yield from batches

    for report in trainer.train_round(begin):
        if isinstance(report, Recovery):
            raise UsageError(f"the comparison broke off: {report}")
        if report is not None:
            record.add(report)
    return record, time.perf_counter() - started


def _row(record: RoundStatistics, taken: list[float], first: list[float], *, positions: int, steps: int) -> Row:
    ratios = [base / own for base, own in zip(first, taken, strict=True)]
    seconds, speedup = statistics.median(taken), statistics.median(ratios)
    shares = record.shares(taken[-1])
    return Row(
        short_name(record.plan),
        round(positions / seconds),
        round(speedup, 3),
        round(min(ratios), 3),
        round(max(ratios), 3),
        round(1e3 * seconds / steps, 2),
        shares,
    )
