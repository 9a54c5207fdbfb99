"""What comes next, as a pure function of what is there. Starting, going on and recovering are all this function.

Knows no files, no processes, no clock.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass

from selfplay.samples.batch_file import GAMES_PER_FILE
from selfplay.settings import EvaluationSettings

LEAST_GAMES = 5  # of a task, if nobody stays idle for it: the network's passes get small, and files many
LEAST_STRAGGLING_SECONDS = 4.0  # shorter than this nobody is called slow


@dataclass(frozen=True)
class Facts:
    """What is on disk."""

    newest_round: int | None  # newest round whose model is there
    published: bool  # whether the model at the user's path is the one that plays after that round
    open_round: int  # first round of which games or the model are missing, at most newest_round + 1
    missing_games: tuple[int, ...]  # numbers of its games that are not there
    undecided: int | None = None  # first round whose model is there, but not whether it plays
    evaluated: bool = True  # whether the newest round's evaluation is there, or not wanted


@dataclass(frozen=True)
class CreateModel:
    """Make the model of round 0."""


@dataclass(frozen=True)
class Contend:
    """Find out whether a round's model is to play, in runs with a gate."""

    round: int


@dataclass(frozen=True)
class Publish:
    """Copy the model that plays after a round to the user's path."""

    round: int


@dataclass(frozen=True)
class Play:
    """Play the missing games of a round."""

    round: int
    games: tuple[int, ...]


@dataclass(frozen=True)
class Train:
    """Train a round: all its games are there."""

    round: int


@dataclass(frozen=True)
class Evaluate:
    """Find out how strong a round's model is."""

    round: int


@dataclass(frozen=True)
class Done:
    """The run has all its rounds."""


Step = CreateModel | Contend | Publish | Evaluate | Play | Train | Done


def next_step(facts: Facts, *, rounds: int) -> Step:
    """The one next thing to do until the run has `rounds` rounds. What earlier rounds lost comes first."""
    if facts.newest_round is None or facts.open_round == 0:
        return CreateModel()
    if facts.undecided is not None:
        return Contend(facts.undecided)
    if facts.open_round > facts.newest_round:
        if not facts.published:
            return Publish(facts.newest_round)
        if not facts.evaluated:
            return Evaluate(facts.newest_round)
        if facts.newest_round >= rounds:
            return Done()
    if facts.missing_games:
        return Play(facts.open_round, facts.missing_games)
    return Train(facts.open_round)


def next_task(pending: list[int], *, workers: int, idle: int, games_in_parallel: int) -> range:
    """The games that the next free worker gets: a run of numbers from the front of `pending` (rising).

    Of many games half an even share of what is left, of fewer a whole one, so that all workers finish at about the
    same time (guided self-scheduling, Polychronopoulos and Kuck 1987).

    Args:
        pending: games that nobody is at.
        workers: all that play, the busy ones too: they come for what is left as well.
        idle: those that get something now, this one among them: each is to get something.
        games_in_parallel: that a worker plays side by side; half a share is at least two such sets.
    """
    share = -(-len(pending) // workers)
    least = min(LEAST_GAMES, -(-len(pending) // idle))
    size = max(least, min(share, max(2 * games_in_parallel, -(-share // 2))))
    end = 1
    while end < min(size, len(pending)) and pending[end] == pending[0] + end:
        end += 1
    return range(pending[0], pending[0] + end)


def is_to_be_evaluated(number: int, settings: EvaluationSettings, *, rounds: int) -> bool:
    """Whether a round of a run with the goal `rounds` is one whose model is to be evaluated."""
    if number == 0 or not (settings.games or settings.positions):
        return False
    return number >= rounds or (settings.every > 0 and number % settings.every == 0)


@dataclass(frozen=True)
class Attempt:
    """A task that a worker is at."""

    games: range
    seconds: float  # since it was handed out


def straggling(
    attempts: list[Attempt], missing: list[int], *, slowest_seconds: float | None
) -> tuple[int, range] | None:
    """The task that an idle worker should play too: its place among the attempts, and the games that are left of it.

    One that has taken twice as long as the slowest that is done (backup tasks, Dean and Ghemawat 2004), and that
    nobody plays a second time yet. What is left begins where one of its batch files begins, so that both copies of a
    file are equal, name and bytes.

    Args:
        attempts: what workers are at, of the round.
        missing: numbers of the round's games that are not there, rising.
        slowest_seconds: of the round's tasks that are done; None = none is, and nothing can be said.
    """
    if slowest_seconds is None:
        return None
    limit = max(LEAST_STRAGGLING_SECONDS, 2.0 * slowest_seconds)
    late = [(place, attempt) for place, attempt in enumerate(attempts) if attempt.seconds > limit]
    for place, attempt in sorted(late, key=lambda item: -item[1].seconds):
        at = bisect_left(missing, attempt.games.start)
        first = missing[at] if at < len(missing) and missing[at] < attempt.games.stop else None
        if first is not None and sum(first in other.games for other in attempts) == 1:
            start = first - (first - attempt.games.start) % GAMES_PER_FILE
            return place, range(start, attempt.games.stop)
    return None
