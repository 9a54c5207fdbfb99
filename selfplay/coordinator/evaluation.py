"""How strong each round's model is: who meets whom, what came of it on disk, and everybody's rating.

One file per evaluated round, `data/evaluations/round_0007.json`: a function of the models, settings and seed, whoever
played it. Starts nothing; the coordinator has the contest's items worked through.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from selfplay.arena.contest import Contest, Entrant, Measured, Pairing, Result
from selfplay.arena.match import MatchResult, count_results
from selfplay.arena.ratings import ROUND, Rating, ratings_of_run
from selfplay.coordinator.run import OpenRun
from selfplay.errors import RunError
from selfplay.files import ensure_directory, read_file, write_atomically
from selfplay.games.game import Rules
from selfplay.rundir.event_types import AnyEvent, Match, Mistakes
from selfplay.rundir.layout import inference_twin

FORMAT, VERSION = "selfplay-evaluation", 1
MOST_BYTES = 64 << 20


class PlayedMatch(msgspec.Struct, frozen=True, kw_only=True):
    """A match of the round's model."""

    against: str  # a baseline, or "round N"
    results: Annotated[list[Annotated[int, Meta(ge=-1, le=1)]], Meta(min_length=1, max_length=1_000_000)]
    # of each game, 1 = the round won; even games are begun by it, odd ones by the other from the same opening


class EvaluationFile(msgspec.Struct, frozen=True, kw_only=True):
    """What was found out about one round's model."""

    format: str = FORMAT
    version: int = VERSION
    game: str
    rules: str  # hash
    round: Annotated[int, Meta(ge=1)]
    model: str  # fingerprint
    simulations: Annotated[int, Meta(ge=1)]  # per move of the models
    seed: Annotated[int, Meta(ge=0)]
    matches: list[PlayedMatch]
    mistakes: list[Measured]

    def scores(self) -> list[MatchResult]:
        """Its matches, counted."""
        return [count_results(_name(self.round), match.against, match.results) for match in self.matches]

    def as_matches(self) -> list[Match]:
        """Its matches, as the log says them."""
        return [as_event(self.round, match) for match in self.scores()]

    def as_events(self) -> list[AnyEvent]:
        """What the log says of it."""
        mistakes = (Mistakes(round=self.round, **msgspec.structs.asdict(found)) for found in self.mistakes)
        return [*self.as_matches(), *mistakes]

    def lines(self) -> list[str]:
        """What people want to read of it."""
        mistakes = (
            f"round {self.round} in positions of {found.positions}: {found.share:.1%} mistakes (95 % interval "
            f"{found.low:.1%} to {found.high:.1%})"
            for found in self.mistakes
        )
        return [*map(str, self.scores()), *mistakes]


class Evaluations:
    """The evaluations of one run.

    Args:
        run: whose settings say who is met, and whose folder holds what came of it.
        rules: its game.
    """

    def __init__(self, run: OpenRun, rules: Rules) -> None:
        self._layout, self._settings, self._rules = run.layout, run.settings, rules
        self._matches: dict[int, list[Match]] = {}  # by round

    def is_there(self, number: int) -> bool:
        """Whether a round was evaluated."""
        return self._layout.evaluation(number).exists()

    def contest(self, number: int) -> Contest:
        """Who a round's model meets: the baselines, and the newest earlier rounds of which something is known."""
        settings, models = self._settings.evaluation, set(self._layout.rounds_with_models())
        earlier = sorted(({0} | set(self._layout.evaluated_rounds())) & models & set(range(number)))
        rivals = [self._entrant(rival) for rival in reversed(earlier[-settings.rivals :])] if settings.rivals else []
        opponents = [*(Entrant(name=spec, spec=spec) for spec in settings.opponents), *rivals]
        own = self._entrant(number)
        return Contest(
            pairings=tuple(Pairing(a=own, b=opponent) for opponent in opponents) if settings.games else (),
            games=max(2, settings.games),
            simulations=settings.simulations or self._settings.search.simulations,
            seed=self._settings.selfplay.seed,
            judged=own,
            positions=settings.positions,
        )

    def gate(self, number: int, champion: int) -> Contest:
        """A round's match against the one that plays now."""
        settings = self._settings.selfplay
        return Contest(
            pairings=(Pairing(a=self._entrant(number), b=self._entrant(champion)),),
            games=settings.gate_games,
            simulations=self._settings.search.simulations,
            seed=settings.seed,
        )

    def store(self, number: int, fingerprint: str, contest: Contest, results: dict[int, Result]) -> EvaluationFile:
        """Keep the results of all items."""
        info = self._rules.info
        found = EvaluationFile(
            game=info.name,
            rules=info.rules_hash,
            round=number,
            model=fingerprint,
            simulations=contest.simulations,
            seed=contest.seed,
            matches=[
                PlayedMatch(against=pairing.b.name, results=contest.results_of(place, results))
                for place, pairing in enumerate(contest.pairings)
            ],
            mistakes=[result for _, result in sorted(results.items()) if isinstance(result, Measured)],
        )
        ensure_directory(self._layout.evaluations)
        write_atomically(self._layout.evaluation(number), msgspec.json.encode(found))
        return found

    def ratings(self) -> list[Rating]:
        """Everybody's rating by all that was played so far, the strongest first. Raises `RunError`."""
        for number in self._layout.evaluated_rounds():
            if number not in self._matches:
                self._matches[number] = read_evaluation(self._layout.evaluation(number)).as_matches()
        return ratings_of_run(match for _, matches in sorted(self._matches.items()) for match in matches)

    def rating_line(self, number: int) -> str:
        """How strong a round is beside the others; empty where it has met nobody."""
        found = self.ratings()
        own = next((rating for rating in found if rating.name == _name(number)), None)
        if own is None:
            return ""
        zero = next(rating.name for rating in found if rating.elo == 0.0)
        rounds = [rating for rating in found if rating.name.startswith(ROUND)]
        return (
            f"{own.name}: rating {own.elo:.0f} ± {own.error:.0f} (Elo above {zero}), number {rounds.index(own) + 1} of "
            f"{len(rounds)} rounds"
        )

    def _entrant(self, number: int) -> Entrant:
        return Entrant(name=_name(number), spec=str(inference_twin(self._layout.model(number))))


def as_event(number: int, match: MatchResult) -> Match:
    """A match of a round's model, as the log says it."""
    low, high = match.interval
    return Match(round=number, against=match.b, score=match.score, low=low, high=high, games=match.games)


def _name(number: int) -> str:
    return f"{ROUND}{number}"


def read_evaluation(path: Path) -> EvaluationFile:
    """What was found out about a round. Raises `RunError` where the file is none that can be used."""
    content = read_file(path, what="evaluation", error=RunError, most_bytes=MOST_BYTES)
    try:
        found = msgspec.json.decode(content, type=EvaluationFile)
    except (msgspec.DecodeError, RecursionError) as error:
        raise RunError(f"{path}: no evaluation: {error}; delete it, and its round is evaluated again") from None
    if (found.format, found.version) != (FORMAT, VERSION):
        raise RunError(
            f"{path}: format {found.format} {found.version}, expected {FORMAT} {VERSION}; delete it, and its round is "
            "evaluated again"
        )
    return found
