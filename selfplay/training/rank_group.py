"""The ranks of a parallel training as their trainer sees them: started, fed, watched, ended.

Batches are cut into shares here and sent ahead, so that no rank waits for its input. A rank that dies, hangs or fails
in the middle of a step ends the whole group within seconds and raises `RanksFailed`: half a group cannot go on.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from typing import Any

import numpy as np

from selfplay.network.resnet import NetworkShape
from selfplay.samples.pool import Samples
from selfplay.settings import TrainingSettings
from selfplay.training.launching import LONGEST_START_SECONDS, Launcher, LocalLauncher, RankProcess
from selfplay.training.parallel_plan import ParallelPlan
from selfplay.training.rank import RankSetup, Share, receive, send
from selfplay.training.step import RankReport, RanksFailed, StepReport, TrainingState

STEPS_AHEAD = 3  # sent to the ranks before the oldest is done
SILENCE_SECONDS = 8.0  # a rank gives a sign of life twice a second; so long without one, it hangs
SLOWEST_STEP = 30.0  # times the slowest step so far, and at least
SHORTEST_PATIENCE_SECONDS = 60.0  # so long, before a rank that gives signs of life but finishes no step hangs
LONGEST_END_SECONDS = 10.0  # of a process that was killed
LAST_WORDS_SECONDS = 0.5  # when one rank fails, others may tell more
POLL_SECONDS = 0.1


@dataclass
class _Rank:
    """One rank's process."""

    number: int
    process: RankProcess
    connection: Connection
    outbox: queue.SimpleQueue[tuple[Any, ...] | RankSetup | None]
    sender: threading.Thread
    heard: float  # when it last said anything, on the monotonic clock
    greeted: bool = False  # it said anything yet: before, it loads torch
    said: deque[tuple[Any, ...]] = field(default_factory=deque)
    ended: bool = False

    def __str__(self) -> str:
        return f"rank {self.number} (process {self.process.pid})"


class RankGroup:
    """Training on several ranks; see `step.Executor`.

    Args:
        shape: the network.
        settings: how to train.
        plan: data-parallel or a pipeline.
        launcher: where the ranks run; on this machine by default.
    """

    def __init__(
        self,
        shape: NetworkShape,
        settings: TrainingSettings,
        plan: ParallelPlan,
        *,
        launcher: Launcher | None = None,
    ) -> None:
        self._shape, self._settings, self._plan = shape, settings, plan
        self._launcher = launcher or LocalLauncher()
        self._ranks: list[_Rank] = []
        self._meeting = contextlib.ExitStack()  # where the ranks find each other
        self._slowest = 0.0  # seconds of the slowest step so far

    @property
    def pids(self) -> list[int]:
        """Processes of the ranks that were started, by rank."""
        return [rank.process.pid for rank in self._ranks]

    def load(self, state: TrainingState) -> None:
        if not self._ranks:
            self._start()
        self._say_all([("load", state)] * len(self._ranks))
        self._answers("loaded")

    def run(self, batches: Iterable[Samples]) -> Iterator[StepReport | None]:
        waiting = iter(batches)
        under_way = 0
        exhausted = False
        while True:
            while not exhausted and under_way < STEPS_AHEAD:
                batch = next(waiting, None)
                exhausted = batch is None
                if batch is not None:
                    self._say_all([("step", share) for share in self._shares(batch)])
                    under_way += 1
            if not under_way:
                return
            started = time.monotonic()
            while not self._have_all_said("stepped"):
                self._listen(started)
                yield None
            under_way -= 1
            self._slowest = max(self._slowest, time.monotonic() - started)
            yield _report([rank.said.popleft()[1] for rank in self._ranks])

    def state(self) -> TrainingState:
        self._say_all([("state",)] * len(self._ranks))
        parts: list[TrainingState] = [part for (part,) in self._answers("state") if part is not None]
        whole = TrainingState({}, {}, {}, parts[0].steps)
        for part in parts:
            whole.weights.update(part.weights)
            whole.average.update(part.average)
            whole.optimizer.update(part.optimizer)
        return whole

    def close(self, grace_seconds: float) -> None:
        with contextlib.suppress(RanksFailed):
            self._say_all([("end",)] * len(self._ranks))
        deadline = time.monotonic() + grace_seconds
        for rank in self._ranks:
            while rank.process.wait(min(POLL_SECONDS, max(0.0, deadline - time.monotonic()))) is None:
                if time.monotonic() >= deadline:
                    break
        self._end_by_force()

    def _start(self) -> None:
        """All ranks, each a process that is connected to this one."""
        self._slowest = 0.0
        rendezvous = self._meeting.enter_context(self._launcher.meeting())
        cores = self._launcher.cores(self._plan)
        try:
            for number, (process, connection) in enumerate(self._launcher.launch(self._plan)):
                outbox: queue.SimpleQueue[tuple[Any, ...] | RankSetup | None] = queue.SimpleQueue()
                sender = threading.Thread(target=_send_all, args=(connection, outbox), daemon=True)
                self._ranks.append(_Rank(number, process, connection, outbox, sender, heard=time.monotonic()))
                sender.start()
                gpu = self._launcher.gpu(number)
                outbox.put(RankSetup(number, self._plan, self._shape, self._settings, gpu, rendezvous, cores[number]))
            self._answers("ready")
        except BaseException:
            self._end_by_force()
            raise

    def _shares(self, batch: Samples) -> list[Share]:
        """What each rank gets of a batch."""
        weight = float(batch.weight.sum())
        plan = self._plan
        sizes = plan.groups(len(batch.planes))
        if plan.mode == "pipeline":
            bare = batch._replace(planes=batch.planes[:, :0])  # only the first stage looks at the board
            return [Share(batch if rank == 0 else bare, weight, len(sizes)) for rank in range(plan.ranks)]
        shares, first, group = [], 0, 0
        for groups in plan.shares(len(batch.planes)):
            rows = sum(sizes[group : group + groups])
            if groups:
                share = Samples._make(column[first : first + rows] for column in batch)
            else:  # nothing is left for this rank; it keeps in step with weight 0
                share = Samples._make(column[: sizes[0]] for column in batch)
                share = share._replace(weight=np.zeros_like(share.weight))
            shares.append(Share(share, weight, groups))
            first, group = first + rows, group + groups
        return shares

    def _say_all(self, messages: list[Any]) -> None:
        """Each rank its message; sending never blocks, for a rank that hangs reads nothing."""
        for rank, message in zip(self._ranks, messages, strict=True):
            rank.outbox.put(message)

    def _answers(self, kind: str) -> list[tuple[Any, ...]]:
        """Every rank's next answer, which must be of this kind, without the kind."""
        started = time.monotonic()
        while not self._have_all_said(kind):
            self._listen(started)
        return [rank.said.popleft()[1:] for rank in self._ranks]

    def _have_all_said(self, kind: str) -> bool:
        return all(rank.said and rank.said[0][0] == kind for rank in self._ranks)

    def _listen(self, since: float) -> None:
        """Take in what ranks say, for a moment. Raises `RanksFailed` for dead, failed and hung ones."""
        failures = self._hear(POLL_SECONDS)
        if failures:
            time.sleep(LAST_WORDS_SECONDS)
            failures += self._hear(0.0)
        failures = failures or self._hung(since)
        if failures:
            self._end_by_force()
            # A death or a lack of memory is a cause; that others lost the connection to it is an effect.
            raise min(failures, key=lambda failure: (not failure.out_of_memory, "signal" not in str(failure)))

    def _hear(self, seconds: float) -> list[RanksFailed]:
        """Messages that are there or come within so many seconds; what went wrong."""
        failures = []
        by_connection = {rank.connection: rank for rank in self._ranks if not rank.ended}
        for connection in wait(list(by_connection), seconds):
            assert isinstance(connection, Connection)
            rank = by_connection[connection]
            try:
                message = receive(connection)
            except (EOFError, OSError):
                rank.ended = True
                failures.append(RanksFailed(f"{rank} ended by {_exit_of(rank.process)}"))
                continue
            rank.heard, rank.greeted = time.monotonic(), True
            match message:
                case ("failed", reason, out_of_memory):
                    failures.append(RanksFailed(f"{rank}: {reason}", out_of_memory=out_of_memory))
                case ("alive",):
                    pass
                case _:
                    rank.said.append(message)
        return failures

    def _hung(self, since: float) -> list[RanksFailed]:
        """Ranks that say nothing at all, or all of them where no answer comes at last."""
        now = time.monotonic()
        patience = max(SHORTEST_PATIENCE_SECONDS, SLOWEST_STEP * self._slowest)
        if self._slowest == 0.0:
            patience = LONGEST_START_SECONDS
        silent = [
            rank
            for rank in self._ranks
            if now - rank.heard > (SILENCE_SECONDS if rank.greeted else LONGEST_START_SECONDS)
        ]
        if silent:
            return [RanksFailed(f"{silent[0]} hangs: not a sign of life for {now - silent[0].heard:.0f} s")]
        if now - since > patience:
            return [RanksFailed(f"no answer from the ranks for {now - since:.0f} s")]
        return []

    def _end_by_force(self) -> None:
        for rank in self._ranks:
            rank.process.kill()
        for rank in self._ranks:
            rank.process.wait(LONGEST_END_SECONDS)
            rank.outbox.put(None)
            rank.connection.close()
            rank.sender.join()
        self._ranks = []
        self._meeting.close()


def _send_all(connection: Connection, outbox: queue.SimpleQueue[Any]) -> None:
    """Runs in a thread: what is put in the outbox, until None or until the rank is gone."""
    with contextlib.suppress(OSError, ValueError):
        while (message := outbox.get()) is not None:
            send(connection, message)


def _report(answers: list[RankReport | str]) -> StepReport:
    """The ranks' answers to one step; they agree whether it was taken."""
    failures = dict.fromkeys(answer for answer in answers if isinstance(answer, str))  # each once, in order of ranks
    if failures:
        return StepReport((), failure="; ".join(failures))
    return StepReport(tuple(answer for answer in answers if isinstance(answer, RankReport)))


def _exit_of(process: RankProcess) -> str:
    """How a process ended, which it does about now."""
    code = process.wait(5)
    if code is None:
        return "closing its connection"
    return f"signal {-code}" if code < 0 else f"exit code {code}"
