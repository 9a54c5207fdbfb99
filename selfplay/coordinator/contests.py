"""Contests as steps of a run: how strong a round is, and whether it may play. All workers play them.

Who meets whom, and what came of it on disk, stands in `evaluation.py`; when there is one, in `plan.py`.
"""

from __future__ import annotations

import msgspec

from selfplay.arena.contest import Contest, Result
from selfplay.arena.match import count_results
from selfplay.coordinator.crew import Crew
from selfplay.coordinator.evaluation import Evaluations, as_event
from selfplay.coordinator.run import OpenRun
from selfplay.coordinator.telling import Telling
from selfplay.games.game import Rules
from selfplay.rundir.gates import Gate, write_gate


class Contests:
    """Has the contests of one run played.

    Args:
        run: whose they are.
        rules: its game.
        crew: plays them.
        workers: how many of the crew are wanted.
        telling: hears what came of them.
    """

    def __init__(self, run: OpenRun, rules: Rules, crew: Crew, *, workers: int, telling: Telling) -> None:
        self._run, self._crew, self._workers, self._telling = run, crew, workers, telling
        self._evaluations = Evaluations(run, rules)

    def is_evaluated(self, number: int) -> bool:
        """Whether a round was evaluated."""
        return self._evaluations.is_there(number)

    def evaluate(self, number: int, fingerprint: str) -> None:
        """Find out how strong a round's model is, whose fingerprint is given."""
        contest = self._evaluations.contest(number)
        found = self._evaluations.store(number, fingerprint, contest, self._results_of(contest, number, "evaluating"))
        for event in found.as_events():
            self._telling.log(event)
        rating = self._telling.status.rating = self._evaluations.rating_line(number)
        for line in filter(None, (*found.lines(), rating)):
            self._telling.say(line)

    def contend(self, number: int, champion: int) -> None:
        """Let a round's model play against the champion's, and write down whether it plays from now on."""
        contest = self._evaluations.gate(number, champion)
        points = contest.results_of(0, self._results_of(contest, number, "contending"))
        match = count_results(contest.pairings[0].a.name, contest.pairings[0].b.name, points)
        needed = self._run.settings.selfplay.gate
        gate = Gate(round=number, champion=champion, games=match.games, score=match.score, needed=needed)
        write_gate(self._run.layout, gate)
        self._telling.log(as_event(number, match))
        verdict = "plays from now on" if gate.is_passed else f"does not play: {gate.needed:.3f} are needed"
        self._telling.say(f"{match}; {match.a} {verdict}")

    def _results_of(self, contest: Contest, number: int, phase: str) -> dict[int, Result]:
        """What comes of a contest after round `number`."""
        status, crew = self._telling.status, self._crew
        status.round, status.phase, status.phase_share = number, phase, 0.0
        crew.begin_round(max(1, self._workers), trains=False)  # contests are never played elsewhere
        what, results = {"contest": msgspec.to_builtins(contest), "reads": contest.models}, crew.results
        while len(results) < contest.items:
            crew.hand_out(number, lambda: [item for item in range(contest.items) if item not in results], what)
            crew.take_all()
            crew.restart()
            status.phase_share = len(results) / max(1, contest.items)
            self._telling.report()
        crew.let_go(number)
        return dict(results)
