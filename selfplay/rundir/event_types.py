"""What can happen in a run: one type per kind of line in `events.jsonl`, for who writes it and for who reads it.

A line names its kind in the field `event`, the type's name in small letters. Times are seconds since 1970, UTC. A log
may come from a stranger, or from another version: every field has limits, unknown fields are passed over.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

Count = Annotated[int, Meta(ge=0, le=2**53 - 1)]
Number = Annotated[float, Meta(ge=-1e15, le=1e15)]
Text = Annotated[str, Meta(max_length=10_000)]


class Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", tag=str.lower):
    """Something that happened."""

    time: Number = 0.0  # set by the log


class Started(Event, frozen=True):
    """A coordinator begins or goes on."""

    workers: Count
    rounds: Count  # goal
    cores: Count = 0
    host: Text = ""
    pid: Count = 0


class Playing(Event, frozen=True):
    """Games of a round are handed out."""

    round: Count
    games: Count


class WorkerFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A worker at a moment; counts are those of the round."""

    state: Text  # starting, playing, idle, restarting
    games: Count = 0
    simulations: Count = 0
    memory: Count = 0  # MB
    restarts: Count = 0
    heard: Number = 0.0  # when


class Progress(Event, frozen=True):
    """The state of the run, every few seconds; rates are those of the round."""

    round: Count
    phase: Text
    share: Number = 0.0  # of the phase that is done, 0 to 1
    games: Count = 0
    games_total: Count = 0
    games_per_second: Number = 0.0
    simulations_per_second: Count = 0
    plies_per_game: Number = 0.0
    hit_share: Number = 0.0
    seconds_left: Count | None = None
    workers: msgspec.Raw = msgspec.Raw(b"{}")  # name -> WorkerFacts; thousands in large runs, so decoded when asked for

    def worker_facts(self) -> dict[str, WorkerFacts]:
        """What is known of each worker; empty where that cannot be read."""
        try:
            return _workers.decode(self.workers)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return {}


_workers: msgspec.json.Decoder[dict[str, WorkerFacts]] = msgspec.json.Decoder(
    Annotated[dict[Text, WorkerFacts], Meta(max_length=100_000)]
)


class Played(Event, frozen=True):
    """All games of a round are there. Of the whole round: results and length; of this session: how fast it went."""

    round: Count
    games: Count
    first_won: Count = 0
    drawn: Count = 0
    second_won: Count = 0
    plies: Count = 0
    seconds: Number = 0.0
    games_per_second: Number = 0.0
    simulations_per_second: Count = 0
    hit_share: Number = 0.0
    cpu_seconds: Number = 0.0  # used by all processes of the run since it last played or trained a round
    span_seconds: Number = 0.0  # gone by since then


class Batch(Event, frozen=True):
    """A batch file was accepted."""

    worker: Text
    file: Text


class Copy(Event, frozen=True):
    """All games of this file were there already: it was removed."""

    worker: Text
    file: Text


class Rejected(Event, frozen=True):
    """A file went to quarantine."""

    file: Text
    reason: Text


class Straggling(Event, frozen=True):
    """An idle worker plays this worker's last games too."""

    worker: Text
    round: Count
    games: Count


class Died(Event, frozen=True):
    """A child process ended by itself, or was killed because it hung."""

    child: Text
    code: Annotated[int, Meta(ge=-1000, le=1000)]
    reason: Text = ""


class Recovering(Event, frozen=True):
    """Ranks of the trainer failed, the round's training starts again."""

    round: Count
    reason: Text


class Trained(Event, frozen=True):
    """A round was trained. How it was spread over the machine, and where its time went: `training/statistics.py`."""

    round: Count
    fingerprint: Text
    policy: Number  # mean losses over the round
    value: Number
    policy_floor: Number  # entropy of the targets: what the policy loss can reach
    future: Number = 0.0  # of the board at the end, per cell; 0 = the network does not foretell it
    network: Text = ""  # its size: 6x64, or 6x64 bottleneck
    value_chance: Number = 0.0  # value loss of a network that knows nothing but the shares of results in the window
    steps: Count = 0
    window: Count = 0  # positions
    positions: Count = 0  # ever played
    seconds: Number = 0.0
    plan: Text = ""
    ranks: Count = 1
    micro_batch: Count = 0
    batches: Count = 0
    batches_left_out: Count = 0
    reasons: Annotated[dict[Text, Count], Meta(max_length=1000)] = {}  # why batches were left out
    samples_per_second: Count = 0
    shares: Annotated[dict[Text, Number], Meta(max_length=20)] = {}  # of the time
    gradient_norm: Number = 0.0  # L2 before clipping, median over the steps
    largest_gradient: Number = 0.0  # likewise, the largest
    loss_per_rank: Annotated[list[Number], Meta(max_length=10_000)] = []
    cpu_seconds: Number = 0.0  # as in `Played`
    span_seconds: Number = 0.0


class Warned(Event, frozen=True):
    """Something about a round is not as in runs that learn: what, and what to do (`coordinator/diagnostics.py`)."""

    round: Count
    kind: Text
    text: Text


class Match(Event, frozen=True):
    """A match of a round's model; the score lies between `low` and `high` with 95 %."""

    round: Count
    against: Text
    score: Number
    low: Number
    high: Number
    games: Count


class Mistakes(Event, frozen=True):
    """How often a round's model threw the result away where perfect play is known; the share lies between `low` and
    `high` with 95 %."""

    round: Count
    positions: Text  # name of the set
    count: Count  # positions in it
    share: Number  # of mistakes
    low: Number
    high: Number


class Waiting(Event, frozen=True):
    """There is no room on the disk; the run goes on when there is."""

    reason: Text


class Stopped(Event, frozen=True):
    """The coordinator ends: finished, interrupted or failed."""

    reason: Text


AnyEvent = (
    Started
    | Playing
    | Played
    | Progress
    | Batch
    | Copy
    | Rejected
    | Straggling
    | Died
    | Recovering
    | Trained
    | Warned
    | Match
    | Mistakes
    | Waiting
    | Stopped
)
