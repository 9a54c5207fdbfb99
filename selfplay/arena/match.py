"""A match: two players, paired openings, both colours, and a score with its error bar.

Every opening (a few random plies) is played twice with colours swapped, so that neither player profits from luck in
the opening. All games of a match run side by side. A match is a function of players, seed and number of games.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from selfplay.arena.player import Player
from selfplay.errors import UsageError
from selfplay.games.game import ONGOING, Rules, States
from selfplay.games.random_play import random_opening

OPENING_PLIES = 2
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
    opening_plies: int = OPENING_PLIES,
    on_progress: Callable[[int], None] = lambda finished: None,
) -> MatchResult:
    """Play `games` games (an even number) between A and B; calls back with the number finished so far.

    Players without chance play the same game again from the same opening: between two of them a match says no more
    than its different openings do.

    Raises `UsageError` for an odd or impossible number of games.
    """
    if games < 2 or games % 2:
        raise UsageError(f"a match needs an even number of games, both colours for each opening; found {games}")
    states = rules.empty((games,))
    for pair in range(games // 2):
        opening = random_opening(rules, opening_plies, np.random.default_rng([seed, pair]))
        states[2 * pair : 2 * pair + 2] = opening.state
    rngs = [np.random.default_rng([seed, games, number]) for number in range(games)]
    seats = ((a, b), (b, a))  # who is player 0 and player 1, in even and in odd games
    results = np.full(games, ONGOING, np.int8)  # seen by player 0
    active = np.arange(games)
    while len(active):
        to_move = rules.describe(states[active].copy()).to_move
        for player in (a, b):
            mine = np.array([g for g, p in zip(active, to_move, strict=True) if seats[g % 2][p] is player], int)
            if len(mine):
                _play_ply(rules, player, states, mine, rngs, results)
        active = active[results[active] == ONGOING]
        on_progress(games - len(active))
    won_by_a = np.where(np.arange(games) % 2 == 0, results, -results)
    return MatchResult(
        a.name, b.name, int((won_by_a == 1).sum()), int((won_by_a == 0).sum()), int((won_by_a == -1).sum())
    )


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
