"""What a run will cost: a model of its work in simulations, samples, arithmetic and bytes. Pure; measures nothing.

A round is played by so many cores and then trained by one machine, or at the same time with a lag. What one core and
the trainer do per second is told (`speeds.py` measures it); all else follows from the settings. Games are taken to last
as long as they did there, which is random play: those of a good agent may be longer or shorter.
"""

from __future__ import annotations

from dataclasses import dataclass

from selfplay.games.game import GameInfo
from selfplay.settings import Settings
from selfplay.training.parallel_plan import BACKWARD, Work

# Between the last game of a round and the first of the next, without a lag: collecting, saving, exporting, loading.
# Measured by `benchmarks/start_up.py`.
BOUNDARY_SECONDS = 0.25


@dataclass(frozen=True)
class Speeds:
    """What one core and the trainer do here."""

    simulations_per_second: float  # one worker on one core
    evaluated_share: float  # simulations that the network had to judge: the others came from the cache or the rules
    simulations_per_ply: float  # of those that are searched
    plies_per_game: float  # that are searched and learnt from: not those of random openings
    bytes_per_game: float  # of batch files
    samples_per_second: float  # the trainer on this machine
    model_bytes: int  # of what workers load each round


@dataclass(frozen=True)
class RoundCost:
    """One round."""

    games: int
    positions: float
    play_core_seconds: float
    train_seconds: float
    play_flops: float
    train_flops: float
    batch_bytes: float

    @property
    def balanced_cores(self) -> float:
        """Cores that play a round in the time in which the trainer trains one: more only wait, even with a lag."""
        return self.play_core_seconds / self.train_seconds


@dataclass(frozen=True)
class RunCost:
    """A whole run on so many cores."""

    cores: int
    rounds: int
    seconds: float
    core_hours: float  # that workers' cores are taken for
    storage_bytes: float  # batch files, and both files of each round's model
    traffic_bytes: float  # to and from machines other than the coordinator's


def round_cost(settings: Settings, info: GameInfo, speeds: Speeds) -> RoundCost:
    """What a round of a run costs."""
    games = settings.selfplay.games_per_round
    work = Work.of(info, settings.network, settings.training, games)
    plies = games * speeds.plies_per_game
    simulations = plies * speeds.simulations_per_ply
    samples = settings.training.passes * plies
    return RoundCost(
        games=games,
        positions=plies,
        play_core_seconds=simulations / speeds.simulations_per_second,
        train_seconds=samples / speeds.samples_per_second,
        play_flops=simulations * speeds.evaluated_share * work.flops,
        train_flops=samples * (1 + BACKWARD) * work.flops,
        batch_bytes=games * speeds.bytes_per_game,
    )


def run_cost(cost: RoundCost, speeds: Speeds, *, rounds: int, cores: int, nodes: int, lag: int) -> RunCost:
    """What so many rounds cost.

    Args:
        cost: of a round.
        speeds: as they were measured.
        rounds: of the run.
        cores: that play; the trainer has a machine to itself.
        nodes: machines, the coordinator's among them.
        lag: 1 = a round is played while the one before it is trained.
    """
    play = cost.play_core_seconds / cores
    seconds = rounds * _seconds_of_a_round(cost, cores=cores, lag=lag) + (min(play, cost.train_seconds) if lag else 0.0)
    checkpoint = 6 * speeds.model_bytes  # weights, average and the optimizer's two moments beside the twin
    away = max(0, nodes - 1)
    return RunCost(
        cores=cores,
        rounds=rounds,
        seconds=seconds,
        core_hours=cores * seconds / 3600,
        storage_bytes=rounds * (cost.batch_bytes + checkpoint),
        traffic_bytes=rounds * (away * speeds.model_bytes + cost.batch_bytes * away / max(1, nodes)),
    )


def rounds_within(cost: RoundCost, *, seconds: float, cores: int, lag: int) -> int:
    """How many rounds so much time is enough for."""
    return int(seconds / _seconds_of_a_round(cost, cores=cores, lag=lag))


def _seconds_of_a_round(cost: RoundCost, *, cores: int, lag: int) -> float:
    play = cost.play_core_seconds / cores
    return max(play, cost.train_seconds) if lag else play + cost.train_seconds + BOUNDARY_SECONDS
