"""What a running coordinator knows of its run, for displays and events: numbers only."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from selfplay.engines.engine import Message

COUNTS = ("games", "plies", "simulations", "lookups", "hits")


@dataclass
class WorkerStatus:
    """One worker, as last heard of."""

    name: str
    state: str = "starting"  # starting, playing, idle, restarting
    round: int = 0  # of its task
    task: range = range(0)
    counts: dict[str, int] = field(default_factory=dict)  # of its current task
    finished: dict[str, int] = field(default_factory=dict)  # of its finished tasks in this round
    memory: int = 0  # MB
    restarts: int = 0
    heard: float = 0.0  # seconds since 1970

    def take(self, message: Message) -> None:
        """Note the counts of a progress message."""
        self.counts = {name: int(message[name]) for name in COUNTS}
        self.memory = int(message["memory"])

    def finish_task(self) -> None:
        """Keep the task's counts and be free."""
        self.finished = {name: self.total(name) for name in COUNTS}
        self.counts, self.task, self.state = {}, range(0), "idle"

    def begin_round(self) -> None:
        """Count from zero."""
        self.counts, self.finished = {}, {}

    def total(self, name: str) -> int:
        """A count over this round."""
        return self.counts.get(name, 0) + self.finished.get(name, 0)


@dataclass
class Status:
    """The whole run at a moment."""

    game: str
    rounds: int  # goal
    round: int = 0  # being worked on
    phase: str = "starting"  # starting, playing, training, matches, finished
    games_done: int = 0
    games_total: int = 0
    round_seconds: float = 0.0  # since play of this round began
    phase_share: float = 0.0  # how much of the phase is done, 0 to 1
    losses: dict[str, float] = field(default_factory=dict)
    training: str = ""  # the last round's training in a line
    seconds_left: float | None = None
    workers: dict[str, WorkerStatus] = field(default_factory=dict)

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

    def as_event(self) -> dict[str, Any]:
        """The facts of a `progress` event."""
        return {
            "round": self.round,
            "phase": self.phase,
            "games": self.games_done,
            "games_total": self.games_total,
            "games_per_second": round(self.per_second("games"), 2),
            "simulations_per_second": round(self.per_second("simulations")),
            "plies_per_game": round(self.plies_per_game, 2),
            "hit_share": round(self.hit_share, 4),
            "seconds_left": None if self.seconds_left is None else round(self.seconds_left),
            "workers": {
                name: {
                    "state": worker.state,
                    "games": worker.total("games"),
                    "simulations": worker.total("simulations"),
                    "memory": worker.memory,
                    "restarts": worker.restarts,
                    "heard": round(worker.heard, 1),
                }
                for name, worker in self.workers.items()
            },
        }
