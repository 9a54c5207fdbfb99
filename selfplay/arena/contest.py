"""A contest: many matches, and mistakes against perfect play, as numbered items that anybody may work through.

An item is one game of a match, or one set of positions. Its result is a function of the contest and the item's number:
workers share the items out as they share the games of a round, and crashes or copies change nothing. Knows no run.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta

from selfplay.arena.match import play_games
from selfplay.arena.mistakes import measure
from selfplay.arena.oracle import open_oracle
from selfplay.arena.player import Player, SearchPlayer, is_baseline, open_player
from selfplay.arena.positions import KINDS, PositionSet, drawn_set
from selfplay.games.game import Rules

SIDE_BY_SIDE = 64  # games of a match that are played at once
_MOST_PLAYERS = 8  # kept open between two items


class Entrant(msgspec.Struct, frozen=True, kw_only=True):
    """Who plays."""

    name: str  # what results call it
    spec: str  # a model's path, or a baseline (`player.py`)


class Pairing(msgspec.Struct, frozen=True, kw_only=True):
    """A match of a contest."""

    a: Entrant
    b: Entrant


class Contest(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be played and measured."""

    pairings: tuple[Pairing, ...]
    games: Annotated[int, Meta(ge=2, multiple_of=2)]  # of each match
    simulations: Annotated[int, Meta(ge=0)]  # of models; 0 = as each was trained
    seed: Annotated[int, Meta(ge=0)]
    judged: Entrant | None = None  # whose mistakes are counted
    positions: Annotated[int, Meta(ge=0)] = 0  # in each of the sets of KINDS; 0 = mistakes are not counted

    @property
    def items(self) -> int:
        """How many there are: the games of all matches, then the sets of positions."""
        return self.games_in_all + (len(KINDS) if self.positions and self.judged else 0)

    @property
    def games_in_all(self) -> int:
        """Games of all matches."""
        return len(self.pairings) * self.games

    @property
    def models(self) -> list[str]:
        """Paths of the models that play."""
        specs = {entrant.spec for pairing in self.pairings for entrant in (pairing.a, pairing.b)}
        if self.judged is not None:
            specs.add(self.judged.spec)
        return sorted(spec for spec in specs if not is_baseline(spec))

    def results_of(self, pairing: int, results: dict[int, Result]) -> list[int]:
        """Of the results of items, those of one match, in order of its games; games that are not there are left out."""
        items = range(pairing * self.games, (pairing + 1) * self.games)
        return [result for item in items if isinstance(result := results.get(item), int)]


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """Mistakes on one set of positions; the share lies between `low` and `high` with 95 %."""

    positions: str  # name of the set
    count: int
    share: float
    low: float
    high: float


Result = int | Measured  # of a game, for A: 1, 0 or -1; of a set


class _Job(NamedTuple):
    """Items that are worked through together."""

    pairing: int | None  # None = sets of positions
    items: list[int]


class Table:
    """Where a contest is played: keeps players open from item to item."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._players: dict[tuple[str, int, int], Player] = {}
        self._sets: dict[tuple[int, int], PositionSet] = {}  # by kind and how many

    def work_through(self, contest: Contest, items: Sequence[int]) -> Iterator[dict[int, Result]]:
        """Work through these items; yields results by item as they come, often none."""
        for job in _jobs(contest, items):
            if job.pairing is None:
                for item in job.items:
                    yield {item: self._judge(contest, item - contest.games_in_all)}
                continue
            first, pairing = job.pairing * contest.games, contest.pairings[job.pairing]
            a, b = self._player(pairing.a, contest), self._player(pairing.b, contest)
            numbers = [item - first for item in job.items]
            for over in play_games(self._rules, a, b, numbers, seed=contest.seed):
                yield {first + number: result for number, result in over.items()}

    def _player(self, entrant: Entrant, contest: Contest) -> Player:
        key = entrant.spec, contest.simulations, contest.seed
        if key not in self._players:
            if len(self._players) >= _MOST_PLAYERS:
                del self._players[next(iter(self._players))]
            self._players[key] = open_player(
                entrant.spec, self._rules, simulations=contest.simulations or None, seed=contest.seed
            )
        return self._players[key]

    def _judge(self, contest: Contest, kind: int) -> Measured:
        """Mistakes on one of the sets."""
        assert contest.judged is not None
        key = kind, contest.positions
        if key not in self._sets:
            oracle = open_oracle(self._rules)
            self._sets[key] = drawn_set(KINDS[kind], self._rules, oracle, count=contest.positions, seed=0)
        player = self._player(contest.judged, contest)
        assert isinstance(player, SearchPlayer), "a model"
        positions = self._sets[key]
        found = measure(player, self._rules, positions, simulations=(player.simulations,)).mistakes[0]
        return Measured(
            positions=f"{KINDS[kind]} play",
            count=found.positions,
            share=found.share,
            low=found.low,
            high=found.high,
        )


def _jobs(contest: Contest, items: Sequence[int]) -> Iterator[_Job]:
    """The items of each match, so many at once; then the sets of positions."""
    for pairing, group in groupby(items, key=lambda item: _pairing_of(contest, item)):
        numbers = list(group)
        size = SIDE_BY_SIDE if pairing is not None else len(numbers)
        yield from (_Job(pairing, numbers[first : first + size]) for first in range(0, len(numbers), size))


def _pairing_of(contest: Contest, item: int) -> int | None:
    return item // contest.games if item < contest.games_in_all else None
