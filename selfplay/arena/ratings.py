"""Ratings with error bars, from the scores of matches: a Bradley-Terry model on the Elo scale.

Bradley and Terry 1952, "Rank Analysis of Incomplete Block Designs"; fitted by `choix`, whose maximum of the likelihood
is found by iterated spectral rankings (Maystre and Grossglauser 2015). A draw counts as half a win. Errors come from
the Fisher information at the maximum. Letters: p players.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from selfplay.rundir.event_types import Match

ELO_PER_NAT = 400.0 / math.log(10.0)  # odds of ten to one are 400 points (Elo 1978)
_Z_95 = 1.959964  # standard normal quantile of a two-sided 95 % interval
_PRIOR_GAMES = 1.0  # of each player, drawn, spread over those it met: so that who never lost has a rating
_TIE = 1e-4  # points that everybody has from everybody: players who never met, nor a common opponent, stay comparable


ANCHOR = "random"  # whose rating is 0 in a run, where it was met
ROUND = "round "  # and a number: what a run calls its models
MOST_GAMES = 10_000_000  # of a match, for logs that may come from anybody


class Score(NamedTuple):
    """What A got out of a match with B."""

    a: str
    b: str
    points: float  # of A: a win counts 1, a draw 1/2
    games: int


class Rating(NamedTuple):
    """How strong a player is."""

    name: str
    elo: float
    error: float  # half of the 95 % interval of its distance to the mean of all players
    games: int


def ratings(scores: Iterable[Score], *, zero: str | None = None) -> list[Rating]:
    """Everybody's rating, the strongest first.

    Args:
        scores: of matches; several between the same two are added up.
        zero: the player whose rating is 0; the first of the first match unless given.

    Raises `KeyError` where `zero` played no match.
    """
    scores = [score for score in scores if score.games > 0]
    names = list(dict.fromkeys(name for score in scores for name in score[:2]))
    if not names:
        return []
    wins = _wins(scores, names)
    points = wins + _prior(wins)
    strengths = _fit(points)
    origin = names.index(zero) if zero in names else None
    if origin is None and zero is not None:
        raise KeyError(zero)
    origin = origin or 0
    errors = _errors(points, strengths)
    games = wins.sum(axis=0) + wins.sum(axis=1)
    found = [
        Rating(name, ELO_PER_NAT * float(strengths[i] - strengths[origin]), float(errors[i]), round(games[i]))
        for i, name in enumerate(names)
    ]
    return sorted(found, key=lambda rating: -rating.elo)


def ratings_of_run(matches: Iterable[Match]) -> list[Rating]:
    """Everybody's rating by the matches of a run's rounds; 0 is random play, or whoever was met first."""
    scores = [
        Score(f"{ROUND}{match.round}", match.against, match.score * match.games, match.games)
        for match in matches
        if 0 <= match.score <= 1 and match.games <= MOST_GAMES
    ]
    met = dict.fromkeys(score.b for score in scores if score.games)
    return ratings(scores, zero=ANCHOR if ANCHOR in met else next(iter(met), None))


def _wins(scores: list[Score], names: list[str]) -> npt.NDArray[np.float64]:
    """[p, p] points of the row's player against the column's."""
    places = {name: place for place, name in enumerate(names)}
    wins = np.zeros((len(names), len(names)))
    for a, b, points, games in scores:
        if a != b:
            wins[places[a], places[b]] += points
            wins[places[b], places[a]] += games - points
    return wins


def _prior(wins: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """[p, p] points that are added to those that were won."""
    met = (wins + wins.T) > 0
    each = _PRIOR_GAMES / 2 * met / np.maximum(1, met.sum(axis=1, keepdims=True))
    prior: npt.NDArray[np.float64] = (each + each.T) / 2 + _TIE * (1 - np.eye(len(wins)))
    return prior


def _fit(points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """[p] strengths in nats of odds."""
    if len(points) == 1:
        return np.zeros(1)
    from choix import ilsr_pairwise_dense  # brings SciPy: only who rates needs it

    # To 1e-6 of a nat: far below what a game more could tell.
    found: npt.NDArray[np.float64] = ilsr_pairwise_dense(points, max_iter=10_000, tol=1e-6)
    return found


def _errors(wins: npt.NDArray[np.float64], strengths: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """[p] half-widths in Elo of the 95 % intervals of the distances to the mean."""
    chance = 1 / (1 + np.exp(strengths[None, :] - strengths[:, None]))
    curvature = (wins + wins.T) * chance * (1 - chance)
    information = np.diag(curvature.sum(axis=1)) - curvature
    variance = np.diag(np.linalg.pinv(information, hermitian=True))  # of strengths that add up to nothing
    errors: npt.NDArray[np.float64] = _Z_95 * ELO_PER_NAT * np.sqrt(np.maximum(variance, 0.0))
    return errors
