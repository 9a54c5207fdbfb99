"""Plays many games side by side.

A game is a function of (model, settings, its seed) and of nothing else: not of the games beside it, nor of the slot
it sits in, nor of the order in which games finish. Knows nothing of files or processes. Letters: B slots.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import msgspec
import numpy as np
import numpy.typing as npt

from selfplay.errors import GameError
from selfplay.evaluation.cache import CachedEvaluator
from selfplay.games.game import ONGOING, Rules
from selfplay.samples.batch_file import GameRecord, game_seed, sparse_policies
from selfplay.search.method import self_play_method
from selfplay.search.search import Search, Slots, Turn
from selfplay.settings import SearchSettings
from selfplay.worker.openings import Openings

_VALUE_PLACES = 4  # decimals of root values in batch files


@dataclass
class LockstepCounts:
    """Work done so far."""

    games: int = 0
    plies: int = 0
    simulations: int = 0


@dataclass
class _Seat:
    """A game under way in a slot."""

    number: int
    seed: int
    rng: np.random.Generator
    to_move: int
    moves: list[int]  # at first those of the opening
    policies: list[list[int]] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    simulations: list[int] = field(default_factory=list)
    is_quick: bool = False  # the search for the next move is short: nothing is to be learnt from it
    is_over_soon: bool | None = None  # whether all further moves are quick; None = the game is not decided yet

    def __post_init__(self) -> None:
        self.opening = len(self.moves)
        self.policies += [[] for _ in self.moves]
        self.values += [0.0] * self.opening
        self.simulations += [0] * self.opening

    @property
    def turn(self) -> Turn:
        """The next move's."""
        return Turn(len(self.moves), self.rng)


class Lockstep:
    """B slots that play numbered games of one round.

    Args:
        rules: the game.
        evaluator: judges leaves.
        settings: the search.
        slots: B, at least 1.
        run_seed: the run's seed.
        round_number: the round the games belong to.
    """

    def __init__(
        self,
        rules: Rules,
        evaluator: CachedEvaluator,
        settings: SearchSettings,
        *,
        slots: int,
        run_seed: int,
        round_number: int,
    ) -> None:
        self.counts = LockstepCounts()
        self._rules = rules
        self._run_seed = run_seed
        self._round = round_number
        self._early_plies = settings.early_plies if round_number >= settings.early_round else 0
        most = max(settings.simulations, settings.early_simulations if self._early_plies else 0)
        roomy = msgspec.structs.replace(settings, simulations=most)
        self.search = Search(rules, evaluator, self_play_method(settings, rules.info), roomy, slots=slots)
        self._settings = settings
        self._openings = Openings(rules, evaluator, settings)
        self._seats: list[_Seat | None] = [None] * slots

    def play(self, numbers: Iterable[int]) -> Iterator[GameRecord | None]:
        """Play the games of these numbers; yields each when it is finished, and None after every step between."""
        waiting = iter(numbers)
        self._begin_moves([(slot, self._seat_next(slot, waiting)) for slot in range(len(self._seats))])
        while any(self._seats):
            self.counts.simulations += self.search.step()
            slots = self.search.finished()
            if len(slots):
                yield from self._make_moves(slots, waiting)
            yield None

    def _seat_next(self, slot: int, waiting: Iterator[int]) -> npt.NDArray[np.bool_] | None:
        """Start the next game in the slot, or leave it empty; the legal actions [A] that it begins with."""
        number = next(waiting, None)
        if number is None:
            self._seats[slot] = None
            self.search.clear(slot)
            return None
        seed = game_seed(self._run_seed, self._round, number)
        rng = np.random.default_rng(seed)
        opening = self._openings.draw(rng)
        self._seats[slot] = _Seat(number, seed, rng, opening.to_move, opening.moves)
        self.search.put(slot, opening.state)
        return opening.legal

    def _begin_moves(self, roots: list[tuple[int, npt.NDArray[np.bool_] | None]]) -> None:
        """Prepare the searches for moves: in full, or quickly, by chance (playout cap randomisation, Wu 2019, 3.1) or
        because the game is decided.

        Args:
            roots: slots, each with the legal actions [A] there; None where the slot is empty.
        """
        settings, slots, legal, turns = self._settings, [], [], []
        for slot, mask in roots:
            seat = self._seats[slot]
            if seat is None or mask is None:
                continue
            seat.is_quick = bool(seat.is_over_soon)
            if not seat.is_quick and settings.full_share < 1.0:
                seat.is_quick = bool(seat.rng.random() >= settings.full_share)
            if seat.is_quick:
                self.search.hurry(slot, settings.quick_simulations)
            else:
                if 0 < self._early_plies <= len(seat.moves):
                    self.search.hurry(slot, settings.simulations)
                slots.append(slot)
                legal.append(mask)
                turns.append(seat.turn)
        if slots:
            self.search.explore(np.array(slots), np.array(legal), turns)

    def _make_moves(self, slots: Slots, waiting: Iterator[int]) -> list[GameRecord]:
        """Record what the searches found and play; games that are over, in whose slots the next ones begin."""
        seats = [seat for slot in slots if (seat := self._seats[slot]) is not None]
        decided = self.search.decide(slots, [seat.turn for seat in seats])
        found = self.search.advance(slots, decided.actions)
        policies = sparse_policies(decided.targets)
        columns = (decided.actions, found.values, found.simulations, found.outcomes, found.to_move)
        rows = zip(slots.tolist(), seats, policies, *(column.tolist() for column in columns), strict=True)
        over, roots = [], []
        for place, (slot, seat, policy, action, value, simulations, outcome, to_move) in enumerate(rows):
            seat.moves.append(action)
            seat.policies.append([] if seat.is_quick else policy)
            seat.simulations.append(simulations)
            seat.values.append(round(value, _VALUE_PLACES))
            self._note_decision(seat)
            if outcome != ONGOING:
                over.append(self._finish(seat, outcome))
                roots.append((slot, self._seat_next(slot, waiting)))
                continue
            self._check_length(seat)
            seat.to_move = to_move
            roots.append((slot, found.live[place]))
        self._begin_moves(roots)
        return over

    def _note_decision(self, seat: _Seat) -> None:
        """Whether the game is decided by what a search in full found; chance may let it be played out all the same."""
        settings = self._settings
        if not seat.is_quick and seat.is_over_soon is None and abs(seat.values[-1]) > settings.decided_value:
            seat.is_over_soon = bool(seat.rng.random() >= settings.played_out_share)

    def _check_length(self, seat: _Seat) -> None:
        if len(seat.moves) >= self._rules.info.max_plies:
            raise GameError(
                f"a game of {self._rules.info.name} is not over after {len(seat.moves)} plies, but the game declares "
                f"max_plies = {self._rules.info.max_plies}; run `selfplay check {self._rules.info.spec}`"
            )

    def _finish(self, seat: _Seat, outcome: int) -> GameRecord:
        """`outcome` is seen by the player who made the last move: the one to move before it."""
        self.counts.games += 1
        self.counts.plies += len(seat.moves)
        return GameRecord(
            number=seat.number,
            seed=seat.seed,
            outcome=outcome if seat.to_move == 0 else -outcome,
            opening=seat.opening,
            moves=seat.moves,
            policies=seat.policies,
            values=seat.values,
            simulations=seat.simulations,
        )
