"""What to try when training fails: the same again, then with fewer ranks, at last in one process. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

from selfplay.training.learner import SMALLEST_GROUP
from selfplay.training.parallel_plan import ParallelPlan
from selfplay.training.step import RanksFailed

ATTEMPTS_PER_PLAN = 3
MOST_FAILURES = 12  # in one round, whatever was tried


@dataclass(frozen=True)
class Recovery:
    """A round starts again from its checkpoint."""

    reason: str
    plan: ParallelPlan  # from now on
    same_bits: bool  # whether the plan is still the one that the run asks for

    def __str__(self) -> str:
        how = (
            "with the same plan"
            if self.same_bits
            else f"as {self.plan} in groups of {self.plan.micro_batch}: other bits"
        )
        return f"training failed ({self.reason}); the round is trained again from its checkpoint, {how}"


def next_plan(plan: ParallelPlan, failures: int, failure: RanksFailed, batch_size: int) -> ParallelPlan:
    """The plan to go on with after it failed so many times in this round."""
    if failure.out_of_memory and plan.micro_batch > SMALLEST_GROUP:
        return replace(plan, micro_batch=plan.micro_batch // 2)
    if failures % ATTEMPTS_PER_PLAN or plan.mode == "serial":
        return plan
    return fewer_ranks(plan, batch_size)


def fewer_ranks(plan: ParallelPlan, batch_size: int) -> ParallelPlan:
    """The next smaller plan: for data, a number of ranks that divides the groups; one rank is serial."""
    ranks = plan.ranks - 1
    if plan.mode == "data":
        groups = len(plan.groups(batch_size))
        ranks = max((fewer for fewer in range(1, plan.ranks) if groups % fewer == 0), default=1)
    if ranks > 1:
        return replace(plan, ranks=ranks)
    return replace(plan, mode="serial", ranks=1, threads=plan.ranks * plan.threads)
