"""A sequential test: which of two strengths a score speaks for, with as few games as it takes.

Wald's sequential probability ratio test (1945), with the generalised likelihood ratio of Van den Bergh ("A practical
introduction to the GSPRT", as chess engines are tested with): the two games of an opening, once with each colour, are
one trial with five possible scores, whose shares are free but for their mean. Letters: k possible scores.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

ERROR = 0.05  # chance to decide for the wrong one of the two, either way
_PAIR_SCORES = np.array([0.0, 0.25, 0.5, 0.75, 1.0])  # [k] of both games together
_NEARLY_NONE = 1e-3  # trials that are added to each score, so that none is impossible


class Verdict(NamedTuple):
    """Where a test stands."""

    ratio: float  # log of how much likelier the results are at the higher of the two strengths
    bound: float  # decided where the ratio is beyond plus or minus this
    games: int  # that were looked at

    @property
    def decision(self) -> str | None:
        """ "stronger", "not stronger", or None while both are possible."""
        if abs(self.ratio) < self.bound:
            return None
        return "stronger" if self.ratio > 0 else "not stronger"


def sprt(results: Sequence[int], *, low: float, high: float) -> Verdict:
    """Test whether A is `high` Elo above B, against `low`, by A's results 1, 0, -1 in order of games.

    Looks at pair after pair and at nothing behind the one that decides: a function of the results and their order.

    Raises `ValueError` unless low < high.
    """
    if not low < high:
        raise ValueError(f"the lower strength must be below the higher, found {low} and {high}")
    bound = math.log((1 - ERROR) / ERROR)
    counts, verdict = np.full(len(_PAIR_SCORES), _NEARLY_NONE), Verdict(0.0, bound, 0)
    for first in range(0, len(results) - 1, 2):
        counts[results[first] + results[first + 1] + 2] += 1
        ratio = _log_likelihood(counts, expected_score(high)) - _log_likelihood(counts, expected_score(low))
        verdict = Verdict(ratio, bound, first + 2)
        if verdict.decision:
            break
    return verdict


def expected_score(elo: float) -> float:
    """Points per game, 0 to 1, against somebody so many Elo weaker."""
    return 1 / (1 + 10 ** (-elo / 400))


def _log_likelihood(counts: npt.NDArray[np.float64], mean: float) -> float:
    """Of the counts [k], at the likeliest shares of the scores that have this mean.

    By Lagrange: share_i = count_i / n / (1 + t (score_i - mean)), with t such that the mean comes out.
    """
    from scipy.optimize import brentq  # choix brings it; only tests need it

    distances = _PAIR_SCORES - mean
    shares = counts / counts.sum()

    def miss(t: float) -> float:
        return float((shares * distances / (1 + t * distances)).sum())

    margin = 1e-9
    t = brentq(miss, -1 / distances.max() + margin, -1 / distances.min() - margin)
    return float((counts * np.log(shares / (1 + t * distances))).sum())
