"""How much each position of the replay window counts, so that no kind of position drowns the others.

Every rule is an exponent between 0 (off) and 1 (kinds count alike, however many positions they have). Letters: n
positions, A actions.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from selfplay.settings import TrainingSettings

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
Kinds = npt.NDArray[np.integer[Any]]


def position_weights(settings: TrainingSettings, *, games: Kinds, plies: Kinds, outcomes: Floats) -> Floats:
    """Weights [n] with mean 1.

    Args:
        settings: the exponents.
        games: [n] the game that a position is from, as any number.
        plies: [n] plies played before it.
        outcomes: [n, 3] targets of win, draw, loss.
    """
    weights = np.ones(len(games))
    for kinds, exponent in (
        (games, settings.balance_games),
        (plies, settings.balance_phases),
        (outcomes.argmax(axis=1), settings.balance_outcomes),
    ):
        if exponent > 0.0:  # counting half a million kinds takes a while
            weights *= rarity(kinds) ** exponent
    normal: Floats = (weights / weights.mean()).astype(np.float32)
    return normal


def rarity(kinds: Kinds) -> npt.NDArray[np.float64]:
    """For each position [n], 1 / the share that its kind has of all positions."""
    _, kind, counts = np.unique(kinds, return_inverse=True, return_counts=True)
    share: npt.NDArray[np.float64] = counts[kind] / len(kinds)
    return 1.0 / share


def merge_duplicates(
    keys: npt.NDArray[np.uint64], policy: Floats, outcome: Floats, weight: Floats, *, exponent: float
) -> tuple[Ints, Ints, Floats, Floats, Floats]:
    """Equal positions made one, with the weighted mean of their targets.

    Args:
        keys: [n, 2] hashes of the positions.
        policy, outcome, weight: [n, A], [n, 3], [n] targets and weights; what weighs 0 does not count.
        exponent: a position that occurs k times counts k^exponent times its mean weight.

    Returns:
        Rows of the positions that stay (the first of each, in order); for each position [n] which of these it became;
        and the policies, outcomes and weights of those that stay; weights above 0 have mean 1.
    """
    pairs = np.ascontiguousarray(keys).view([("low", np.uint64), ("high", np.uint64)])[:, 0]
    _, first, kind = np.unique(pairs, return_index=True, return_inverse=True)
    counts = np.maximum(np.bincount(kind, weight > 0.0), 1.0)
    order = np.argsort(first)  # by first occurrence: keys are hashes, their order means nothing
    totals = np.bincount(kind, weight, len(first))
    divisors = np.where(totals > 0.0, totals, 1.0)
    mean_policy, mean_outcome = (
        np.stack([np.bincount(kind, weight * column, len(first)) for column in targets.T], axis=1) / divisors[:, None]
        for targets in (policy, outcome)
    )
    merged = totals / counts * counts**exponent
    return (
        first[order],
        np.argsort(order)[kind],
        mean_policy[order].astype(np.float32),
        mean_outcome[order].astype(np.float32),
        (merged / merged[totals > 0.0].mean())[order].astype(np.float32),
    )
