"""The coordinator: has each round's games played, collects them, has them trained, publishes, goes on.

What to do next comes from `plan.py`, who does it from `crew.py`; how the steps follow each other is here. No torch.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import msgspec

from selfplay.coordinator.contests import Contests
from selfplay.coordinator.crew import Crew
from selfplay.coordinator.diagnostics import Diagnostics
from selfplay.coordinator.intake import Intake
from selfplay.coordinator.plan import (
    Contend,
    CreateModel,
    Done,
    Evaluate,
    Facts,
    Play,
    Publish,
    Step,
    Train,
    is_to_be_evaluated,
    next_step,
)
from selfplay.coordinator.run import OpenRun
from selfplay.coordinator.status import Status
from selfplay.coordinator.telling import Telling
from selfplay.coordinator.upkeep import Upkeep
from selfplay.engines.engine import Engine, Message
from selfplay.errors import DiskFullError, ModelDamaged
from selfplay.files import same_content, write_atomically
from selfplay.games.registry import load_rules
from selfplay.machine import usable_cores
from selfplay.network.card import check_checkpoint_bytes
from selfplay.rundir import event_types
from selfplay.rundir.events import EventLog
from selfplay.rundir.facts import ModelsOnDisk
from selfplay.rundir.gates import PlayingModels
from selfplay.rundir.layout import inference_twin
from selfplay.samples.bell import FolderBell
from selfplay.samples.collector import RunIdentity

LISTING_SECONDS = 2.0  # between two looks at the folders when no bell rings
LEAST_LISTING_SECONDS = 1.0  # between two looks while all workers play
FINISH_SECONDS = 10.0  # that work in hand has to come to an end when the run is interrupted
DONE_SECONDS = 1.0  # that workers have to say that they are done, once all games are there


@dataclass(frozen=True)
class Options:
    """What may differ between two starts of a run."""

    workers: int
    rounds: int


class Coordinator:
    """Works on one run until it has all its rounds.

    Args:
        run: the opened run; its lock must be held.
        options: workers and rounds.
        engine: runs the children; stopped at the end, whatever happens.
        show: gets the status a few times a second.
        say: gets a line when something happened that people want to read.
    """

    def __init__(
        self,
        run: OpenRun,
        options: Options,
        engine: Engine,
        *,
        show: Callable[[Status], None],
        say: Callable[[str], None],
    ) -> None:
        self._run = run
        self._options = options
        self._engine = engine
        self._layout = run.layout
        rules, workers = load_rules(run.settings.game.name), options.workers
        self.status = Status(rules.info.name, options.rounds)
        telling = Telling(EventLog(run.layout.events), self.status, workers=workers, show=show, say=say)
        self._models = ModelsOnDisk(run.layout)
        self._playing = PlayingModels(run.layout, self._models, run.settings.selfplay)
        self._intake = Intake(run.layout, RunIdentity.of(run.settings, rules, self._playing.plays), telling)
        self._collector = self._intake.collector
        self._upkeep = Upkeep(run.layout, run.model, telling)
        self._crew = Crew(run, engine, telling)
        self._contests = Contests(run, rules, self._crew, workers=workers, telling=telling)
        self._telling = telling
        self._bell = FolderBell(run.layout.root)
        self._diagnostics = Diagnostics()
        self._last_listing = 0.0
        self._begun, self._began = 0, 0.0  # the round that is played, and since when

    def work(self) -> None:
        """Go on until the run has its rounds; children are gone when this returns or raises."""
        self._telling.log(
            event_types.Started(
                workers=self._options.workers,
                rounds=self._options.rounds,
                cores=usable_cores(),
                host=socket.gethostname(),
                pid=os.getpid(),
            )
        )
        self.status.cpu.note("coordinator", time.process_time())
        self.status.cpu.begin(time.monotonic())
        reason = "failed"
        try:
            self._upkeep.sweep_leftovers()
            with self._bell:
                self._work_through_steps()
            reason = "finished"
        except KeyboardInterrupt:
            reason = "interrupted"
            self._finish()
            raise
        finally:
            self._engine.stop_all()
            self._upkeep.sweep_leftovers()
            self._telling.log(event_types.Stopped(reason=reason))

    def _finish(self) -> None:
        """Bring to an end what is in hand, for a while: games under way, a round that is being trained."""
        self._telling.say(
            f"stopping: what is in hand is finished, for at most {FINISH_SECONDS:.0f} s; Ctrl-C stops at once"
        )
        answer = self._crew.finish(FINISH_SECONDS)
        if answer is not None and answer["event"] == "trained":
            self._note_training(answer)
        self._sweep()

    def _work_through_steps(self) -> None:
        while True:
            try:
                self._sweep()
                step = next_step(self._facts(), rounds=self._options.rounds)
                if isinstance(step, Done):
                    break
                self._do(step)
            except DiskFullError as error:  # nothing is torn; what is missing is found out and done again
                self._upkeep.wait_for_room(str(error))
            except ModelDamaged as error:
                self._upkeep.put_aside(error, self._models)
        self.status.phase, self.status.phase_share, self.status.seconds_left = "finished", 1.0, None
        self._telling.log(self.status.as_event())

    def _do(self, step: Step) -> None:
        match step:
            case CreateModel():
                self._create()
            case Contend(number):
                self._contests.contend(number, self._champion(number - 1))
            case Publish(number):
                self._publish(number)
            case Evaluate(number):
                self._contests.evaluate(number, self._fingerprint(number))
            case Play(number, games):
                self._play(number, len(games))
            case Train(number):
                self._train(number)

    def _facts(self) -> Facts:
        rounds = set(self._layout.rounds_with_models())
        if not rounds:
            return Facts(None, False, 0, ())
        newest, model = max(rounds), self._run.model
        undecided = self._playing.first_undecided(rounds)
        if undecided is not None:
            return Facts(newest, False, 1, (), undecided=undecided)
        source = self._layout.model(self._champion(newest))
        published = same_content(model, source) and same_content(inference_twin(model), inference_twin(source))
        number = 0
        while number in rounds and (number == 0 or self._collector.is_complete(number)):
            number += 1
        missing = tuple(self._collector.missing(number)) if number else ()
        wanted = is_to_be_evaluated(newest, self._run.settings.evaluation, rounds=self._options.rounds)
        return Facts(newest, published, number, missing, evaluated=not wanted or self._contests.is_evaluated(newest))

    # --- the steps -------------------------------------------------------------------------------------------

    def _create(self) -> None:
        # Workers get ready meanwhile, but for one: all wait for the trainer, which has a core to itself until then.
        self._crew.begin_round(min(self._options.workers, usable_cores() - 1))
        initial = str(self._run.initial_model) if self._run.initial_model else ""
        answer = self._crew.ask_trainer(
            {"do": "create", "model": initial}, until="created", meanwhile=self._telling.report
        )
        origin = f"starts from {initial}" if initial else "is untrained"
        self._telling.say(f"round 0: the model {answer['fingerprint'][:12]} {origin}")

    def _publish(self, number: int) -> None:
        """The twin first: workers read the twin, people look at the checkpoint. Raises `ModelDamaged`."""
        self._models.fingerprint(number)  # reads the twin: what is damaged is not copied over what may be whole
        source = self._layout.model(self._champion(number))
        checkpoint = source.read_bytes()
        check_checkpoint_bytes(checkpoint, source)
        write_atomically(inference_twin(self._run.model), inference_twin(source).read_bytes())
        write_atomically(self._run.model, checkpoint)

    def _play(self, number: int, games: int) -> None:
        status = self.status
        self._begin_playing(number, games)
        status.round, status.phase = number, "playing"
        while not self._collector.is_complete(number):
            self._hand_out(number)
            status.phase_share = status.games_done / status.games_total
            self._follow()
        status.games_done, all_there = status.games_total, time.monotonic()
        while self._crew.is_awaited(number) and time.monotonic() - all_there < DONE_SECONDS:
            self._follow()
        self._crew.let_go(number)
        self._begun = 0
        games_there = self._intake.games_of(number)
        self._telling.log(
            event_types.Played(
                round=number,
                games=status.games_total,
                first_won=games_there.first_won,
                drawn=games_there.drawn,
                second_won=games_there.second_won,
                plies=games_there.plies,
                seconds=round(status.round_seconds, 3),
                games_per_second=round(status.per_second("games"), 2),
                simulations_per_second=round(status.per_second("simulations")),
                hit_share=round(status.hit_share, 4),
                **self._telling.lap(),
            )
        )
        if status.total("games"):
            self._telling.log(status.as_event())
            self._telling.say(status.played_line())

    def _begin_playing(self, number: int, games: int) -> None:
        """Say that a round is begun, of which so many games are missing; unless it is already, beside a training."""
        if self._begun == number:
            return
        self._begun, self._began = number, time.monotonic()
        self.status.first_round = self.status.first_round or number
        self.status.games_total = self._run.settings.selfplay.games_per_round
        self._telling.log(event_types.Playing(round=number, games=games))
        self._crew.begin_round(self._options.workers)

    def _hand_out(self, number: int) -> None:
        """Keep workers at the games of a round."""
        player = self._playing.player(number)
        assert player is not None, "the plan decides that first"
        model = self._layout.model(player)
        plays = str(model if self._run.settings.selfplay.device == "cuda" else inference_twin(model))
        what = {"model": plays, "fingerprint": self._playing.plays(number), "reads": [plays]}
        self._crew.hand_out(number, lambda: self._collector.missing(number), what)
        self.status.games_done = self._collector.found(number)

    def _play_ahead(self, number: int) -> None:
        """One look at the workers, who play a round while the one before it is trained."""
        self._look_for_files()  # first: what a worker has just played is not to be handed out again
        self._hand_out(number)
        self.status.round_seconds = time.monotonic() - self._began
        self._telling.report()

    def _champion(self, number: int) -> int:
        """The round that plays after round `number`."""
        champion = self._playing.champion(number)
        assert champion is not None, "the plan decides that first"
        return champion

    def _fingerprint(self, number: int) -> str:
        """Of a round's model, which is there. Raises as `ModelsOnDisk`."""
        fingerprint = self._models.fingerprint(number)
        assert fingerprint is not None, "the plan has it trained first"
        return fingerprint

    def _follow(self) -> None:
        """One look at the children and what they wrote, while a round is played."""
        self._crew.take_all()
        self._crew.restart()
        self._look_for_files()
        self.status.round_seconds = time.monotonic() - self._began
        self._telling.report()

    def _look_for_files(self) -> None:
        self._crew.something_landed |= self._bell.rang()
        if self._is_time_to_list():
            self._sweep()

    def _train(self, number: int) -> None:
        status = self.status
        status.round, status.phase, status.phase_share = number, "training", 0.0
        meanwhile, ahead = self._telling.report, number + 1
        if self._run.settings.selfplay.lag and ahead <= self._options.rounds:
            self._begin_playing(ahead, len(self._collector.missing(ahead)))
            meanwhile = partial(self._play_ahead, ahead)
        self._note_training(
            self._crew.ask_trainer({"do": "train", "round": number}, until="trained", meanwhile=meanwhile)
        )

    def _note_training(self, answer: Message) -> None:
        status, number = self.status, answer["round"]
        status.cpu.add(answer["ranks_cpu_seconds"])
        trained = msgspec.convert({**answer, **self._telling.lap()}, event_types.Trained)
        self._telling.log(trained)
        status.losses = {key: answer[key] for key in ("policy", "value", "policy_floor")}
        self._telling.say(status.trained_line(answer))
        status.training = answer["line"]
        self._telling.say(answer["line"])
        for reason, number_of in answer["reasons"].items():
            self._telling.say(f"round {number}: {number_of} of {answer['steps']} batches were left out: {reason}")
        for odd in self._diagnostics.look(number, self._intake.games_of(number), trained):
            self._telling.log(event_types.Warned(round=number, kind=odd.kind, text=odd.text))
            self._telling.say(f"warning, round {number}: {odd.text}")
        self._intake.forget(number)

    # --- what lands ------------------------------------------------------------------------------------------

    def _is_time_to_list(self) -> bool:
        """At once where an idle worker may wait for it; else not at every file, since listings cost time of play."""
        age = time.monotonic() - self._last_listing
        if self._crew.something_landed and (age > LEAST_LISTING_SECONDS or self._crew.is_somebody_idle()):
            return True
        return age > LISTING_SECONDS

    def _sweep(self) -> None:
        """Take in batch files that landed; those that cannot be used go to quarantine."""
        self._last_listing, self._crew.something_landed = time.monotonic(), False
        if self._intake.sweep():
            self._crew.tell_trainer({"do": "collect"})
