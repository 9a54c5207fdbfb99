"""What comes next, as a pure function of what is there. Starting, going on and recovering are all this function.

Knows no files, no processes, no clock.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Facts:
    """What is on disk."""

    newest_round: int | None  # newest round whose model is there
    published: bool  # whether the model at the user's path is that model
    missing_games: tuple[int, ...]  # numbers of the next round's games that are not there


@dataclass(frozen=True)
class CreateModel:
    """Make the model of round 0."""


@dataclass(frozen=True)
class Publish:
    """Copy the model of a round to the user's path."""

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
class Done:
    """The run has all its rounds."""


Step = CreateModel | Publish | Play | Train | Done


def next_step(facts: Facts, *, rounds: int) -> Step:
    """The one next thing to do until the run has `rounds` rounds."""
    if facts.newest_round is None:
        return CreateModel()
    if not facts.published:
        return Publish(facts.newest_round)
    if facts.newest_round >= rounds:
        return Done()
    if facts.missing_games:
        return Play(facts.newest_round + 1, facts.missing_games)
    return Train(facts.newest_round + 1)


def next_task(pending: list[int], *, workers: int, games_in_parallel: int) -> range:
    """The games that the next free worker gets: a run of numbers from the front of `pending` (rising).

    Small rounds are split evenly at once; of large ones each task takes half an even share of what is left, so
    that all workers finish at about the same time (guided self-scheduling, Polychronopoulos and Kuck 1987).
    """
    share = -(-len(pending) // workers)
    size = min(share, max(2 * games_in_parallel, -(-share // 2)))
    end = 1
    while end < min(size, len(pending)) and pending[end] == pending[0] + end:
        end += 1
    return range(pending[0], pending[0] + end)
