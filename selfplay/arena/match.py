"""A match: two players, paired openings, both colours, and a score with its error bar.

Every opening (some random plies) is played twice with colours swapped, so that neither player profits from luck in
the opening. A game is a function of the players, the seed and its number in the match: games run side by side, and
any part of a match can be played anywhere.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from selfplay.arena.player import Player
from selfplay.errors import UsageError
from selfplay.games.game import ONGOING, Rules, States
from selfplay.games.random_play import Opening, random_opening

MOST_OPENING_PLIES = 8
_OPENING_SHARE = 0.2  # of the longest game, at most
_Z_95 = 1.959964  # standard normal quantile of a two-sided 95 % interval


@dataclass(frozen=True)
class MatchResult:
    """How A did against B."""

    a: str
    b: str
    wins: int  # of A
    draws: int
    losses: int

    @property
    def games(self) -> int:
        """Games played."""
        return self.wins + self.draws + self.losses

    @property
    def score(self) -> float:
        """A's points per game: 1 for a win, 1/2 for a draw."""
        return (self.wins + self.draws / 2) / self.games

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the score (Wilson 1927), draws counted as half a win: on the safe side.

        Unlike the mean's own error it does not shrink to nothing when every game is won.
        """
        return wilson(self.wins + self.draws / 2, self.games)

    def __str__(self) -> str:
        low, high = self.interval
        return (
            f"{self.a} against {self.b}: score {self.score:.3f} (95 % interval {low:.3f} to {high:.3f}), "
            f"{self.wins} won, {self.draws} drawn, {self.losses} lost"
        )


def wilson(successes: float, trials: int) -> tuple[float, float]:
    """95 % interval of a share (Wilson 1927)."""
    n, p = trials, successes / trials
    centre = (p + _Z_95**2 / (2 * n)) / (1 + _Z_95**2 / n)
    half = _Z_95 * math.sqrt(p * (1 - p) / n + _Z_95**2 / (4 * n**2)) / (1 + _Z_95**2 / n)
    return max(0.0, centre - half), min(1.0, centre + half)


def play_match(
    rules: Rules,
    a: Player,
    b: Player,
    *,
    games: int,
    seed: int,
    on_progress: Callable[[int], None] = lambda finished: None,
) -> MatchResult:
    """Play `games` games (an even number) between A and B; calls back with the number finished so far.

    Players without chance play the same game again from the same opening: between two of them a match says no more
    than its different openings do.

    Raises `UsageError` for an odd or impossible number of games.
    """
    check_games(games)
    results: dict[int, int] = {}
    for finished in play_games(rules, a, b, range(games), seed=seed):
        results.update(finished)
        on_progress(len(results))
    return count_results(a.name, b.name, list(results.values()))


def check_games(games: int) -> None:
    """Raises `UsageError` where a match cannot have so many games."""
    if games < 2 or games % 2:
        raise UsageError(f"a match needs an even number of games, both colours for each opening; found {games}")


def count_results(a: str, b: str, results: Sequence[int]) -> MatchResult:
    """The score of games whose results, 1, 0 or -1, are those of A."""
    return MatchResult(a, b, *(sum(result == kind for result in results) for kind in (1, 0, -1)))


def play_games(rules: Rules, a: Player, b: Player, numbers: Sequence[int], *, seed: int) -> Iterator[dict[int, int]]:
    """Play these games of a match side by side; yields after each ply what A got in those that ended."""
    states = rules.empty((len(numbers),))
    for place, number in enumerate(numbers):
        states[place] = _opening(rules, number // 2, seed).state[0]
    rngs = [np.random.default_rng([seed, 1, number]) for number in numbers]
    seats = [(a, b) if number % 2 == 0 else (b, a) for number in numbers]  # who is player 0 and player 1
    results = np.full(len(numbers), ONGOING, np.int8)  # seen by player 0
    active = np.arange(len(numbers))
    while len(active):
        to_move = rules.describe(states[active].copy()).to_move
        for player in (a, b):
            mine = np.array([g for g, p in zip(active, to_move, strict=True) if seats[g][p] is player], int)
            if len(mine):
                _play_ply(rules, player, states, mine, rngs, results)
        over = active[results[active] != ONGOING]
        active = active[results[active] == ONGOING]
        yield {numbers[g]: int(results[g]) if seats[g][0] is a else -int(results[g]) for g in over}


def _opening(rules: Rules, pair: int, seed: int) -> Opening:
    """What the two games of a pair begin with: from one to MOST_OPENING_PLIES random plies, fewer in short games."""
    rng = np.random.default_rng([seed, 0, pair])
    most = max(1, min(MOST_OPENING_PLIES, int(_OPENING_SHARE * rules.info.typical_plies)))
    return random_opening(rules, int(rng.integers(1, most + 1)), rng)


def _play_ply(
    rules: Rules,
    player: Player,
    states: States,
    games: np.ndarray,  # [n] int, games in which the player is to move
    rngs: list[np.random.Generator],
    results: np.ndarray,
) -> None:
    current = states[games]
    movers = rules.describe(current.copy()).to_move
    actions = player.choose(current.copy(), [rngs[game] for game in games])
    known = rules.advance(current, np.array(actions, np.int32))
    states[games] = current
    over = known.outcomes != ONGOING
    for_first = np.where(movers == 0, known.outcomes, -known.outcomes)
    results[games[over]] = for_first[over]
