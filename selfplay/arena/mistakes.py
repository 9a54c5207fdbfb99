"""How often a model throws a result away, and how far its values are from the truth.

A mistake is a move that changes the outcome (win, draw or loss) of perfect play for the worse. With 0 simulations a
model plays its policy's likeliest legal move. Letters: n positions, A actions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from selfplay.arena.match import wilson
from selfplay.arena.player import SearchPlayer
from selfplay.arena.positions import PositionSet
from selfplay.games.game import Rules

STAGES = ("beginning", "middle", "end")  # thirds of the longest game
_BINS = 10


class Mistakes(NamedTuple):
    """Of some positions, with so many simulations per move."""

    name: str  # of the set
    stage: str  # one of STAGES, or "all"
    simulations: int
    positions: int
    can_err: float  # share of the positions in which some move is a mistake
    share: float  # of the positions in which the model's move is one
    low: float  # 95 % interval of that share
    high: float
    value_error: float  # mean squared difference between the model's value, -1 to 1, and the true outcome


class Calibration(NamedTuple):
    """Positions whose values, by the network alone, lie near each other."""

    value: float  # their mean, -1 to 1
    outcome: float  # mean of the true outcomes
    positions: int


class AtPly(NamedTuple):
    """Positions after so many plies, with the most simulations asked for: where in a game a model errs."""

    ply: int
    positions: int
    mistakes: int  # positions in which the model's move is one
    value_error: float  # as in `Mistakes`


class Verdict(NamedTuple):
    """What was measured of a model on one set."""

    mistakes: list[Mistakes]
    calibration: list[Calibration]
    by_ply: list[AtPly]  # rising; plies without positions are left out


def measure(
    player: SearchPlayer,
    rules: Rules,
    positions: PositionSet,
    *,
    simulations: Sequence[int],
    on_progress: Callable[[str], None] = lambda doing: None,
) -> Verdict:
    """A model's mistakes on a set, by stage, simulations and ply, and how its values are calibrated."""
    glance = player.glance(positions.states)
    stages = np.minimum(3 * positions.plies // rules.info.typical_plies, 2)
    found, by_ply = [], []
    for number in simulations:
        on_progress(f"{positions.name}: {number} simulations")
        if number == 0:
            choice = np.where(glance.priors > 0, glance.priors, -1.0).argmax(axis=1)
            values = glance.values
        else:
            actions, facts = player.with_simulations(number).think(positions.states)
            choice = np.array(actions)
            values = np.array([fact.value for fact in facts], np.float32)
        wrong = positions.outcomes[np.arange(len(choice)), choice] < positions.best
        errors = (values - positions.best) ** 2
        for stage in ("all", *STAGES):
            rows = np.arange(len(choice)) if stage == "all" else (stages == STAGES.index(stage)).nonzero()[0]
            if len(rows):
                found.append(_count(positions, stage, number, wrong, errors, rows))
        if number == max(simulations):
            by_ply = _by_ply(positions.plies, wrong, errors)
    return Verdict(found, calibration(glance.values, positions.best), by_ply)


def _count(
    positions: PositionSet,
    stage: str,
    simulations: int,
    wrong: npt.NDArray[np.bool_],
    errors: npt.NDArray[np.float32],
    rows: npt.NDArray[np.int64],
) -> Mistakes:
    outcomes, mistakes = positions.outcomes[rows], int(wrong[rows].sum())
    worst = np.where(outcomes >= -1, outcomes, 1).min(axis=1)
    low, high = wilson(mistakes, len(rows))
    return Mistakes(
        name=positions.name,
        stage=stage,
        simulations=simulations,
        positions=len(rows),
        can_err=float((worst < positions.best[rows]).mean()),
        share=mistakes / len(rows),
        low=low,
        high=high,
        value_error=float(errors[rows].mean()),
    )


def _by_ply(plies: npt.NDArray[np.intp], wrong: npt.NDArray[np.bool_], errors: npt.NDArray[np.float32]) -> list[AtPly]:
    at_plies = [(ply, plies == ply) for ply in np.unique(plies).tolist()]
    return [AtPly(ply, int(at.sum()), int(wrong[at].sum()), float(errors[at].mean())) for ply, at in at_plies]


def calibration(values: npt.NDArray[np.float32], outcomes: npt.NDArray[np.int8]) -> list[Calibration]:
    """Values [n] in bins of equal width beside the true outcomes [n] of the same positions."""
    bins = np.clip(((values + 1) / 2 * _BINS).astype(int), 0, _BINS - 1)
    return [
        Calibration(float(values[bins == each].mean()), float(outcomes[bins == each].mean()), int((bins == each).sum()))
        for each in np.unique(bins)
    ]
