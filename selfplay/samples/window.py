"""The replay window: which of all games a round is trained on. Plain numbers, no arrays."""

from __future__ import annotations

from collections.abc import Sequence

from selfplay.settings import TrainingSettings


def window_size(total_positions: int, settings: TrainingSettings) -> int:
    """Positions in the window after `total_positions` were played in all.

    KataGo's sublinear window (Wu 2019, "Accelerating Self-Play Learning in Go", appendix C):
    c · (1 + beta · ((N / c)^alpha - 1) / alpha), with c the window at the start, beta its slope there and alpha
    its exponent; while fewer than c positions are there, all of them.
    """
    start, alpha, beta = settings.window_start, settings.window_exponent, settings.window_slope
    if total_positions <= start:
        return total_positions
    return int(start * (1 + beta * ((total_positions / start) ** alpha - 1) / alpha))


def newest_games(lengths: Sequence[int], positions: int) -> int:
    """The index of the first game in the window: the shortest tail of the games with at least `positions` plies."""
    first, gathered = len(lengths), 0
    while first > 0 and gathered < positions:
        first -= 1
        gathered += lengths[first]
    return first
