"""`TrainingDataPool`: the positions of a run's games, and shuffled minibatches out of the replay window.

Games count in order of (round, number), whatever file or worker they came from: what is drawn is a function of the
games, the settings and the generator. Games that the window has left behind are let go; only
their lengths stay. Letters: n positions, P planes, H × W board, A actions, S symmetries.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from selfplay.config import TrainingSettings
from selfplay.errors import BatchError
from selfplay.games.game import States
from selfplay.games.symmetry import tables
from selfplay.samples.batch_file import dense_policy
from selfplay.samples.collector import BatchCollector, CheckedGame, GameId, RunIdentity
from selfplay.samples.weights import merge_duplicates, position_weights
from selfplay.samples.window import newest_games, window_size

WIN, DRAW, LOSS = 0, 1, 2  # columns of outcome targets


class Samples(NamedTuple):
    """Training examples."""

    planes: npt.NDArray[np.float32]  # [n, P, H, W] seen by the player to move
    legal: npt.NDArray[np.bool_]  # [n, A] True = may be played
    policy: npt.NDArray[np.float32]  # [n, A] target probabilities
    outcome: npt.NDArray[np.float32]  # [n, 3] target probabilities of win, draw, loss for the player to move
    weight: npt.NDArray[np.float32]  # [n] how much each counts, 1 on average over the window


class _GamePositions(NamedTuple):
    """One game's positions, small: planes are made when they are drawn."""

    states: States  # [plies]
    legal: npt.NDArray[np.bool_]  # [plies, A]
    policy: npt.NDArray[np.float32]  # [plies, A]
    outcome: npt.NDArray[np.int8]  # [plies] column of the target
    keys: npt.NDArray[np.uint64]  # [plies, 2] 128-bit hash of each state


class Window(NamedTuple):
    """The positions a round is trained on."""

    states: States  # [n]
    legal: npt.NDArray[np.bool_]  # [n, A]
    policy: npt.NDArray[np.float32]  # [n, A]
    outcome: npt.NDArray[np.float32]  # [n, 3]
    weight: npt.NDArray[np.float32]  # [n]
    new_positions: int  # of the newest round
    total_positions: int  # ever played


class TrainingDataPool:
    """Holds what was played so far; `collect` takes in what landed since.

    Args:
        list_files: names all batch files there are, in a fixed order.
        identity: what they must agree with.
        settings: size of the replay window.
    """

    def __init__(self, list_files: Callable[[], list[Path]], identity: RunIdentity, settings: TrainingSettings) -> None:
        self._list_files = list_files
        self._identity = identity
        self._collector = BatchCollector(list_files, identity)
        self._rules = identity.rules
        self._settings = settings
        self._games: dict[GameId, _GamePositions] = {}
        self._lengths: dict[GameId, int] = {}  # plies of every game there is
        self._boards, self._actions = tables(identity.rules.info.symmetries)

    def collect(self) -> int:
        """Take in new batch files; the number of new games. Files that cannot be used are left where they are."""
        sweep = self._collector.sweep()
        for game in sweep.games:
            self._games[game.id] = self._positions_of(game)
            self._lengths[game.id] = len(game.states)
        return len(sweep.games)

    def window(self, round_number: int) -> Window:
        """The replay window as it stands when `round_number` is trained.

        Raises `BatchError` where games of a round up to this one are missing.
        """
        short = [r for r in range(1, round_number + 1) if not self._collector.is_complete(r)]
        missing = [(r, n) for r in short for n in self._collector.missing(r)]
        if missing:
            raise BatchError(
                f"round {round_number} cannot be trained: {len(missing)} games are missing, the first is game "
                f"{missing[0][1]} of round {missing[0][0]}; start the run again and they are played"
            )
        ids = sorted(game for game in self._lengths if game[0] <= round_number)
        lengths = [self._lengths[game] for game in ids]
        total = sum(lengths)
        first = newest_games(lengths, window_size(total, self._settings))
        chosen = ids[first:]
        if any(game not in self._games for game in chosen):  # an older round, whose games were let go
            self._collector = BatchCollector(self._list_files, self._identity)
            self.collect()
            return self.window(round_number)
        self._games = {game: positions for game, positions in self._games.items() if game >= chosen[0]}
        columns = zip(*(self._games[game] for game in chosen), strict=True)
        new = sum(length for game, length in zip(ids, lengths, strict=True) if game[0] == round_number)
        states, legal, policy, column, keys = (np.concatenate(parts) for parts in columns)
        outcome = np.eye(3, dtype=np.float32)[column]
        lengths = lengths[first:]
        weight = position_weights(
            self._settings,
            games=np.repeat(np.arange(len(chosen)), lengths),
            plies=np.concatenate([np.arange(length) for length in lengths]),
            outcomes=outcome,
        )
        window = Window(states, legal, policy, outcome, weight, new, total)
        return window if self._settings.duplicates == 1.0 else self._merged(window, keys)

    def _merged(self, window: Window, keys: npt.NDArray[np.uint64]) -> Window:
        rows, policy, outcome, weight = merge_duplicates(
            keys, window.policy, window.outcome, window.weight, exponent=self._settings.duplicates
        )
        states, legal = window.states[rows], window.legal[rows]
        return window._replace(states=states, legal=legal, policy=policy, outcome=outcome, weight=weight)

    def minibatches(self, window: Window, *, steps: int, rng: np.random.Generator) -> Iterator[Samples]:
        """`steps` minibatches: every position once before any comes again, each under a random symmetry."""
        size = min(self._settings.batch_size, len(window.states))
        order = np.empty(0, np.int64)
        for _ in range(steps):
            if len(order) < size:
                order = np.concatenate([order, rng.permutation(len(window.states))])
            rows, order = order[:size], order[size:]
            yield self._samples(window, rows, rng.integers(len(self._boards), size=size))

    def _samples(self, window: Window, rows: npt.NDArray[np.int64], symmetries: npt.NDArray[np.int64]) -> Samples:
        """The positions in these rows, each transformed."""
        planes = self._rules.encode(window.states[rows])
        flat = planes.reshape(*planes.shape[:2], -1)
        turned = np.take_along_axis(flat, self._boards[symmetries][:, None, :], axis=2)
        actions = self._actions[symmetries]
        return Samples(
            turned.reshape(planes.shape),
            np.take_along_axis(window.legal[rows], actions, axis=1),
            np.take_along_axis(window.policy[rows], actions, axis=1),
            window.outcome[rows],
            window.weight[rows],
        )

    def _positions_of(self, game: CheckedGame) -> _GamePositions:
        record = game.record
        policy = [dense_policy(pairs, self._rules.info.num_actions) for pairs in record.policies]
        # Seen by the player to move in each position, not by ply: a player may move twice running.
        result = np.where(game.known.to_move == 0, record.outcome, -record.outcome)
        return _GamePositions(
            game.states, game.known.legal, np.array(policy), (1 - result).astype(np.int8), game.known.keys
        )
