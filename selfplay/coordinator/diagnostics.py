"""Finds learning that fails in silence, by the figures of a round: what is odd, and what to change.

A pure function of a round's games and losses; it warns and decides nothing. Thresholds are wide: a run that learns
passes them by far. Letters: none.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

from selfplay.rundir.event_types import Trained
from selfplay.samples.collector import CheckedGame

SURE = 0.5  # value from which on a search takes sides
MOST_WRONG = 0.2  # of values that take sides: 0.03 to 0.1 where the better move is played, 0.3 where chance plays
LEAST_VALUES = 50  # below that, a share of them says nothing

MOST_DUPLICATES = 0.25  # of a round's games
MOST_ONE_SIDED = 0.98  # of the games that were not drawn
LEAST_GAMES = 50

SETTLED_ROUNDS = 5  # that a fresh network may know nothing
CHANCE = 0.99  # share of the loss that knowing nothing gives
LEAST_CHANCE = 0.05  # nats; results that are nearly all alike are predicted as well as can be by saying so
LEAST_ENTROPY = 0.02  # of the policy targets, as a share of the entropy of playing anything that is legal
SPIKE = 20.0  # times the median norm of a round's gradients
REPEATED_AFTER = 10  # rounds


@dataclass
class RoundOfGames:
    """The games of a round, as far as warnings need them."""

    first_won: int = 0
    drawn: int = 0
    second_won: int = 0
    plies: int = 0
    choices: float = 0.0  # sum of log(number of legal actions) over searched plies
    searched: int = 0  # plies
    sure: int = 0  # values that take sides, in games that were not drawn
    wrong: int = 0  # of these, against the game's result
    lines: set[bytes] = field(default_factory=set)  # different games

    @property
    def games(self) -> int:
        """How many there are."""
        return self.first_won + self.drawn + self.second_won

    def count(self, game: CheckedGame) -> None:
        """Count one more."""
        record, known = game.record, game.known
        self.first_won += record.outcome > 0
        self.drawn += record.outcome == 0
        self.second_won += record.outcome < 0
        self.plies += len(record.moves)
        self.lines.add(bytes(str(record.moves), "ascii"))
        for legal in known.legal[record.opening :].sum(axis=1).tolist():
            self.choices += math.log(legal)
            self.searched += 1
        for ply in range(record.opening, len(record.moves)):
            seen = record.values[ply] if known.to_move[ply] == 0 else -record.values[ply]
            if record.outcome and abs(seen) >= SURE:
                self.sure += 1
                self.wrong += (seen > 0) != (record.outcome > 0)


@dataclass(frozen=True)
class Oddity:
    """Something that a run which learns does not show."""

    kind: str
    text: str  # what was found, what was expected, what to do


class Diagnostics:
    """Looks at round after round, and says each kind of thing once in a while."""

    def __init__(self) -> None:
        self._said: dict[str, int] = {}  # kind -> round

    def look(self, number: int, games: RoundOfGames, trained: Trained) -> list[Oddity]:
        """What is odd about this round and was not said of one shortly before."""
        found = [
            oddity
            for oddity in (*odd_games(games), *odd_losses(number, games, trained))
            if number - self._said.get(oddity.kind, -REPEATED_AFTER) >= REPEATED_AFTER
        ]
        self._said.update({oddity.kind: number for oddity in found})
        return found


def odd_games(games: RoundOfGames) -> Iterator[Oddity]:
    """What is odd about how a round's games went."""
    if games.sure >= LEAST_VALUES and games.wrong > MOST_WRONG * games.sure:
        yield Oddity(
            "accidents",
            f"where the search was sure of a side, the other one won in {games.wrong / games.sure:.0%} of {games.sure} "
            "positions: results are accidents, and values learn them; lower search.temperature_plies, "
            "search.late_temperature or search.noise_fraction",
        )
    if games.games < LEAST_GAMES:
        return
    copies = games.games - len(games.lines)
    if copies > MOST_DUPLICATES * games.games:
        yield Oddity(
            "duplicates",
            f"{copies / games.games:.0%} of {games.games} games are copies of others: nothing new is learnt from them; "
            "raise search.opening_share, search.temperature_plies or search.noise_fraction",
        )
    decided = games.first_won + games.second_won
    share = games.first_won / decided if decided else 0.5
    if decided >= LEAST_GAMES and max(share, 1 - share) > MOST_ONE_SIDED:
        who = "first" if share > 0.5 else "second"
        yield Oddity(
            "one-sided",
            f"the {who} player won {max(share, 1 - share):.0%} of {decided} games: there is little left to learn from "
            "results; set search.opening_share above 0, so that games begin in positions that either may win",
        )


def odd_losses(number: int, games: RoundOfGames, trained: Trained) -> Iterator[Oddity]:
    """What is odd about what a round's training found."""
    anything = games.choices / games.searched if games.searched else 0.0  # nats
    if anything and trained.policy_floor < LEAST_ENTROPY * anything:
        yield Oddity(
            "collapsed",
            f"the policy targets have an entropy of {trained.policy_floor:.3f} nats where playing anything has "
            f"{anything:.2f}: self-play has stopped to look around; raise search.noise_fraction, search.temperature or "
            "search.simulations",
        )
    if number < SETTLED_ROUNDS:
        return
    if trained.gradient_norm > 0 and trained.largest_gradient > SPIKE * trained.gradient_norm:
        yield Oddity(
            "spike",
            f"the largest gradient of a step has norm {trained.largest_gradient:.1f}, the median "
            f"{trained.gradient_norm:.2f}: lower training.learning_rate or training.gradient_clip",
        )
    if trained.value_chance > LEAST_CHANCE and trained.value > CHANCE * trained.value_chance:
        yield Oddity(
            "value at chance",
            f"the value loss is {trained.value:.3f}, and {trained.value_chance:.3f} is what knowing nothing but the "
            "shares of results gives: the network has not learnt who is ahead; check the game's `encode` (what is seen "
            "by the player to move?), then try more training.passes or another training.learning_rate",
        )
    if anything and trained.policy > anything:
        yield Oddity(
            "policy at chance",
            f"the policy loss is {trained.policy:.3f}, and playing anything that is legal gives {anything:.3f}: lower "
            "training.learning_rate, or check that the game's symmetries move actions as they move the board",
        )
