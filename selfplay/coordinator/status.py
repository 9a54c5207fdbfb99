"""What a running coordinator knows of its run, for displays and events: numbers only."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from selfplay.coordinator.cpu import CpuTime
from selfplay.engines.engine import Message
from selfplay.rundir.event_types import Progress, WorkerFacts

COUNTS = ("games", "plies", "simulations", "lookups", "hits")


@dataclass
class WorkerStatus:
    """One worker, as last heard of."""

    name: str
    state: str = "starting"  # starting, playing, idle, restarting
    round: int = 0  # of its task
    task: range = range(0)
    task_began: float = 0.0  # seconds on a clock that never jumps
    counts: dict[str, int] = field(default_factory=dict)  # of its current task
    finished: dict[str, int] = field(default_factory=dict)  # of its finished tasks in this round
    memory: int = 0  # MB
    restarts: int = 0
    heard: float = 0.0  # seconds since 1970

    def take(self, message: Message) -> None:
        """Note the counts of a progress message."""
        self.counts = {name: int(message[name]) for name in COUNTS}
        self.memory = int(message["memory"])

    def begin_task(self, number: int, task: range, now: float) -> None:
        """Be at some games of a round."""
        self.task, self.round, self.state, self.task_began = task, number, "playing", now

    def finish_task(self) -> None:
        """Keep the task's counts and be free."""
        self.finished = {name: self.total(name) for name in COUNTS}
        self.drop_task("idle")

    def drop_task(self, state: str) -> None:
        """Forget the task: its process is gone, or done with it."""
        self.counts, self.task, self.state = {}, range(0), state

    def begin_round(self) -> None:
        """Count from zero."""
        self.counts, self.finished = {}, {}

    def total(self, name: str) -> int:
        """A count over this round."""
        return self.counts.get(name, 0) + self.finished.get(name, 0)

    def as_facts(self) -> WorkerFacts:
        """What the log says of this worker."""
        return WorkerFacts(
            state=self.state,
            games=self.total("games"),
            simulations=self.total("simulations"),
            memory=self.memory,
            restarts=self.restarts,
            heard=round(self.heard, 1),
        )


@dataclass
class Status:
    """The whole run at a moment."""

    game: str
    rounds: int  # goal
    first_round: int | None = None  # that this session worked on
    round: int = 0  # being worked on
    phase: str = "starting"  # starting, playing, training, evaluating, finished
    games_done: int = 0
    games_total: int = 0
    round_seconds: float = 0.0  # since play of this round began
    phase_share: float = 0.0  # how much of the phase is done, 0 to 1
    losses: dict[str, float] = field(default_factory=dict)
    training: str = ""  # the last round's training in a line
    rating: str = ""  # of the last evaluated round, in a line
    seconds_left: float | None = None
    workers: dict[str, WorkerStatus] = field(default_factory=dict)
    cpu: CpuTime = field(default_factory=CpuTime)

    def total(self, name: str) -> int:
        """A count over all workers in this round."""
        return sum(worker.total(name) for worker in self.workers.values())

    def per_second(self, name: str) -> float:
        """A count per second of play in this round."""
        return self.total(name) / self.round_seconds if self.round_seconds > 0 else 0.0

    @property
    def plies_per_game(self) -> float:
        """Mean length of this round's finished games."""
        return self.total("plies") / max(1, self.total("games"))

    @property
    def hit_share(self) -> float:
        """Share of leaves that needed no evaluation of their own, 0 to 1."""
        return self.total("hits") / max(1, self.total("lookups"))

    @property
    def round_share(self) -> float:
        """How much of the round is done, 0 to 1: playing and training count as halves of it."""
        if self.phase in ("playing", "training"):
            return 0.5 * self.phase_share + (0.5 if self.phase == "training" else 0.0)
        return 0.0 if self.phase == "starting" else 1.0

    def estimate_seconds_left(self, elapsed: float) -> float | None:
        """From the pace of this session, `elapsed` seconds old."""
        if self.first_round is None:
            return None
        done = self.round - self.first_round + self.round_share
        left = self.rounds - self.first_round + 1 - done
        return elapsed * left / done if done > 0.05 else None

    def played_line(self) -> str:
        """This round's games in a line."""
        return (
            f"round {self.round}/{self.rounds} played in {self.round_seconds:.1f} s: "
            f"{self.per_second('games'):.1f} games/s, {self.per_second('simulations'):,.0f} simulations/s, "
            f"{self.plies_per_game:.1f} plies per game, {self.hit_share:.0%} cache hits"
        )

    def trained_line(self, answer: Message) -> str:
        """This round's training in a line, from the trainer's answer."""
        return (
            f"round {self.round}/{self.rounds} trained in {answer['seconds']:.1f} s: policy loss "
            f"{answer['policy']:.3f} (floor {answer['policy_floor']:.3f}), value loss {answer['value']:.3f}, "
            f"window {answer['window']:,} of {answer['positions']:,} positions, model {answer['fingerprint'][:12]} "
            f"({answer['network']})"
        )

    def as_event(self) -> Progress:
        """What the log says of this moment."""
        return Progress(
            round=self.round,
            phase=self.phase,
            share=round(self.phase_share, 4),
            games=self.games_done,
            games_total=self.games_total,
            games_per_second=round(self.per_second("games"), 2),
            simulations_per_second=round(self.per_second("simulations")),
            plies_per_game=round(self.plies_per_game, 2),
            hit_share=round(self.hit_share, 4),
            seconds_left=None if self.seconds_left is None else round(self.seconds_left),
            workers=msgspec.Raw(msgspec.json.encode({name: w.as_facts() for name, w in self.workers.items()})),
        )
