"""`TrainingDataPool`: the positions of a run's games, and shuffled minibatches out of the replay window.

Games count in order of (round, number), whatever file or worker they came from: what is drawn is a function of the
games, the settings and the generator. Games that the window has left behind are let go; only their lengths stay. What
is held is small (`positions.py`); planes and masks are made when they are drawn. Letters: n positions, P planes, F of
the board at the end of the game, which are P or none, H × W board, A actions, S symmetries.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from itertools import groupby, pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from selfplay.errors import BatchError
from selfplay.games.symmetry import tables
from selfplay.samples.batch_file import read_batch
from selfplay.samples.collector import BatchCollector, CheckedGame, GameId, RunIdentity
from selfplay.samples.index import Known
from selfplay.samples.positions import Positions, dense, joined, piece, plies_to_hold, positions_of, sparse
from selfplay.samples.weights import merge_duplicates, position_weights
from selfplay.samples.window import newest_games, window_size
from selfplay.settings import TrainingSettings


class Samples(NamedTuple):
    """Training examples."""

    planes: npt.NDArray[np.float32]  # [n, P, H, W] seen by the player to move
    legal: npt.NDArray[np.bool_]  # [n, A] True = may be played
    policy: npt.NDArray[np.float32]  # [n, A] target probabilities
    outcome: npt.NDArray[np.float32]  # [n, 3] target probabilities of win, draw, loss for the player to move
    weight: npt.NDArray[np.float32]  # [n] how much each counts, 1 on average over the window
    # [n, F, H, W] the planes of the game's last position with the same player to move; no planes (F = 0) where the
    # network does not foretell them
    future: npt.NDArray[np.float32]


class Window(NamedTuple):
    """The positions a round is trained on."""

    positions: Positions  # [n]
    ends: npt.NDArray[np.int64]  # [n] where the pairs of each position's policy end
    weight: npt.NDArray[np.float32]  # [n] 0 = not learnt from: others look ahead to it
    new_positions: int  # of the newest round
    total_positions: int  # ever played

    @property
    def learnt(self) -> npt.NDArray[np.int64]:
        """Rows of the positions that are learnt from."""
        return np.flatnonzero(self.weight)


class Draw(NamedTuple):
    """What a minibatch is made of."""

    rows: npt.NDArray[np.int64]  # [n] of the window
    symmetries: npt.NDArray[np.int64]  # [n] below S


class _Place(NamedTuple):
    """Where a game lies in the columns."""

    rows: slice
    pairs: slice


class TrainingDataPool:
    """Holds what was played so far; `collect` takes in what landed since.

    Args:
        listing: makes what names batch files (`collector.py`), anew where all of them are to be read again.
        identity: what they must agree with.
        settings: size of the replay window.
        known: gives files that need not be read before the window needs them.
        future: whether samples hold the board at the end.
    """

    def __init__(
        self,
        listing: Callable[[], Callable[[], list[Path]]],
        identity: RunIdentity,
        settings: TrainingSettings,
        *,
        known: Callable[[], Mapping[Path, Known]] = dict,
        future: bool = False,
    ) -> None:
        self._listing, self._known = listing, known
        self._identity = identity
        self._collector = BatchCollector(listing(), identity, known=known())
        self._files: dict[GameId, Path] = {}  # of games that were not read yet
        self._rules = identity.rules
        self._settings = settings
        self._has_future = future
        self._landed: dict[GameId, Positions] = {}  # since the last window
        self._places: dict[GameId, _Place] = {}  # of the games before, in order of their numbers
        self._positions: Positions | None = None  # of these games
        self._lengths: defaultdict[int, dict[int, int]] = defaultdict(dict)  # round -> number of a game -> positions
        self._plies: dict[GameId, npt.NDArray[np.uint16]] = {}  # of games that were read: plies before each position
        self._boards, self._actions = tables(identity.rules.info.symmetries)

    def collect(self) -> int:
        """Take in new batch files; the number of new games. Files that cannot be used are left where they are."""
        found = 0
        for sweep in self._collector.sweeps():
            for game in sweep.games:
                self._land(game)
            for (number, game_number), (path, positions) in sweep.known.items():
                self._lengths[number][game_number] = positions
                self._files[number, game_number] = path
            found += len(sweep.games) + len(sweep.known)
        return found

    def _land(self, game: CheckedGame) -> None:
        """Hold a game's positions."""
        plies = plies_to_hold(game, ends=self._has_future)
        positions = positions_of(game, plies, value_lambda=self._settings.value_lambda)
        self._landed[game.id], self._plies[game.id] = positions, plies.astype(np.uint16)
        number, game_number = game.id
        self._lengths[number][game_number] = int(np.count_nonzero(positions.pairs))

    def _read(self, games: list[GameId]) -> None:
        """Read those of the games that were not needed before. Raises `BatchError` for a file that has changed."""
        wanted = {game for game in games if game in self._files}
        for path in sorted({self._files.pop(game) for game in wanted}):
            try:
                found = self._collector.judge(read_batch(path))
            except BatchError as error:
                raise BatchError(
                    f"{error}; it was good when the run's index was written: delete the folder `index` of the run and "
                    "start again, and its games are played again"
                ) from None
            for game in found or []:
                if game.id in wanted:
                    self._land(game)

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
        total = sum(sum(self._lengths[number].values()) for number in range(1, round_number + 1))
        chosen = self._newest(round_number, positions=window_size(total, self._settings))
        self._read([game for game in chosen if game not in self._places and game not in self._landed])
        if any(game not in self._places and game not in self._landed for game in chosen):  # an older round, let go
            self._collector = BatchCollector(self._listing(), self._identity, known=self._known())
            self._landed, self._places, self._files = {}, {}, {}
            self.collect()
            return self.window(round_number)
        new = sum(self._lengths[round_number].values())
        positions, plies = self._keep_from(chosen), [self._plies[game] for game in chosen]
        learnt = positions.pairs > 0
        weight = np.zeros(len(learnt), np.float32)
        weight[learnt] = position_weights(
            self._settings,
            games=np.repeat(np.arange(len(chosen)), [len(each) for each in plies])[learnt],
            plies=np.concatenate(plies)[learnt],
            outcomes=positions.outcome[learnt],
        )
        if self._settings.duplicates != 1.0:
            positions, weight = self._merged(positions, weight)
        return Window(positions, np.cumsum(positions.pairs, dtype=np.int64), weight, new, total)

    def _newest(self, round_number: int, *, positions: int) -> list[GameId]:
        """The newest games up to a round that have so many positions together, in order."""
        first, gathered = round_number + 1, 0
        while first > 1 and gathered < positions:
            first -= 1
            gathered += sum(self._lengths[first].values())
        games = [
            ((number, game), length)
            for number in range(first, round_number + 1)
            for game, length in sorted(self._lengths[number].items())
        ]
        return [id for id, _ in games[newest_games([length for _, length in games], positions) :]]

    def _keep_from(self, chosen: list[GameId]) -> Positions:
        """The positions of these games, which begin with the oldest to keep; older games are let go."""
        if self._landed or next(iter(self._places), None) != chosen[0]:
            kept = sorted(game for game in {**self._places, **self._landed} if game >= chosen[0])
            positions, sizes = joined(list(self._stretches(kept))), [self._size(game) for game in kept]
            row_ends, pair_ends = np.cumsum(sizes, axis=0).T.tolist()
            self._positions, self._landed = positions, {}
            self._places = {
                game: _Place(slice(*rows), slice(*pairs))
                for game, rows, pairs in zip(kept, pairwise([0, *row_ends]), pairwise([0, *pair_ends]), strict=True)
            }
            self._plies = {game: self._plies[game] for game in kept}
        last = self._places[chosen[-1]]
        return self._piece(_Place(slice(0, last.rows.stop), slice(0, last.pairs.stop)))

    def _stretches(self, kept: list[GameId]) -> Iterator[Positions]:
        """Positions of games in order; those that lie side by side in the columns in one piece."""
        for has_place, games in groupby(kept, key=self._places.__contains__):
            if not has_place:
                yield from (self._landed[game] for game in games)
                continue
            places = [self._places[game] for game in games]
            first, last = places[0], places[-1]
            yield self._piece(
                _Place(slice(first.rows.start, last.rows.stop), slice(first.pairs.start, last.pairs.stop))
            )

    def _size(self, game: GameId) -> tuple[int, int]:
        """Rows and pairs of a game."""
        if game in self._places:
            rows, pairs = self._places[game]
            return rows.stop - rows.start, pairs.stop - pairs.start
        return len(self._landed[game].states), len(self._landed[game].actions)

    def _piece(self, place: _Place) -> Positions:
        assert self._positions is not None
        return piece(self._positions, *place)

    def _merged(
        self, positions: Positions, weight: npt.NDArray[np.float32]
    ) -> tuple[Positions, npt.NDArray[np.float32]]:
        """Equal positions made one."""
        everything = np.arange(len(positions.states))
        policy = dense(positions, np.cumsum(positions.pairs), everything, actions=self._rules.info.num_actions)
        keys = self._rules.describe(positions.states.copy()).keys
        exponent = self._settings.duplicates
        rows, became, policy, outcome, weight = merge_duplicates(
            keys, policy, positions.outcome, weight, exponent=exponent
        )
        ahead = (became[rows + positions.ahead[rows]] - np.arange(len(rows))).astype(np.int32)
        return Positions(positions.states[rows], *sparse(policy), outcome, ahead), weight

    def minibatches(self, window: Window, *, steps: int, rng: np.random.Generator) -> Iterator[Samples]:
        """`steps` minibatches: every position once before any comes again, each under a random symmetry."""
        return (self.samples(window, draw) for draw in self.draws(window, steps=steps, rng=rng))

    def draws(self, window: Window, *, steps: int, rng: np.random.Generator) -> Iterator[Draw]:
        """What `steps` minibatches are made of."""
        learnt = window.learnt
        size = min(self._settings.batch_size, len(learnt))
        order = np.empty(0, np.int64)
        for _ in range(steps):
            if len(order) < size:
                order = np.concatenate([order, learnt[rng.permutation(len(learnt))]])
            rows, order = order[:size], order[size:]
            yield Draw(rows, rng.integers(len(self._boards), size=size))

    def samples(self, window: Window, draw: Draw) -> Samples:
        """Positions of the window, each under a symmetry."""
        positions, (rows, symmetries) = window.positions, draw
        states = positions.states[rows]
        planes, legal = self._rules.encode(states), self._rules.describe(states).legal
        future = planes[:, :0]
        if self._has_future:
            future = self._rules.encode(positions.states[rows + positions.ahead[rows]])
        policy = dense(positions, window.ends, rows, actions=legal.shape[1])
        boards, actions = self._boards[symmetries], self._actions[symmetries]
        return Samples(
            _turned(planes, boards),
            np.take_along_axis(legal, actions, axis=1),
            np.take_along_axis(policy, actions, axis=1),
            positions.outcome[rows],
            window.weight[rows],
            _turned(future, boards),
        )


def _turned(planes: npt.NDArray[np.float32], boards: npt.NDArray[np.int32]) -> npt.NDArray[np.float32]:
    """Planes [n, P, H, W], the cells of each position in another order [n, H · W]."""
    flat = planes.reshape(*planes.shape[:2], boards.shape[1])
    return np.take_along_axis(flat, boards[:, None, :], axis=2).reshape(planes.shape)
