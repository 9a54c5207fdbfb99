"""The coordinator: hands out games, supervises, collects, has each round trained, publishes, goes on.

What to do next comes from `plan.py`; how to do it is here. Loads no torch.
"""

from __future__ import annotations

import glob
import os
import socket
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from selfplay.coordinator.plan import CreateModel, Done, Facts, Play, Publish, Step, Train, next_step, next_task
from selfplay.coordinator.run import OpenRun
from selfplay.coordinator.status import Status, WorkerStatus
from selfplay.coordinator.supervisor import Supervisor
from selfplay.engines.engine import Answer, Ended, Engine, Message, obstacle
from selfplay.errors import DiskFullError, ModelDamaged, ProcessError
from selfplay.files import has_room, same_content, sweep_leftovers, write_atomically
from selfplay.games.registry import load_rules
from selfplay.machine import usable_cores
from selfplay.rundir.events import EventLog
from selfplay.rundir.facts import ModelsOnDisk
from selfplay.rundir.layout import inference_twin
from selfplay.samples.collector import BatchCollector, FolderBell, Rejected, RunIdentity, quarantine

WORKER_SERVICE = "selfplay.worker.process:make_worker"
TRAINER_SERVICE = "selfplay.training.process:make_trainer"
TRAINER = "trainer"
POLL_SECONDS = 0.2
LISTING_SECONDS = 2.0  # between two looks at the folders when no bell rings
EVENT_SECONDS = 2.0  # between two progress events
MOST_DAMAGES = 3  # of a round's model in one session: then the disk is not to be trusted
ROOM_SECONDS = 2.0  # between two looks whether a full disk has room again
ROOM_BYTES = 16 << 20  # that it must have then


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
        self._show = show
        self._say = say
        self._layout = run.layout
        self._events = EventLog(run.layout.events)
        self._rules = load_rules(run.settings.game.name)
        self._supervisor = Supervisor(engine, run.layout.log, time.monotonic)
        self._models = ModelsOnDisk(run.layout)
        identity = RunIdentity.of(run.settings, self._rules, self._models.fingerprint)
        self._collector = BatchCollector(run.layout.batch_files, identity)
        self.status = Status(self._rules.info.name, options.rounds)
        self._session_started = time.monotonic()
        self._bell = FolderBell(run.layout.root)
        self._something_landed = False
        self._obstacle: DiskFullError | ModelDamaged | None = None  # what a child met
        self._damages: Counter[int] = Counter()  # how often a round's model was damaged in this session
        self._last_event = 0.0
        self._last_listing = 0.0

    def work(self) -> None:
        """Go on until the run has its rounds; children are gone when this returns or raises."""
        self._events.add(
            "started",
            workers=self._options.workers,
            rounds=self._options.rounds,
            cores=usable_cores(),
            host=socket.gethostname(),
            pid=os.getpid(),
        )
        reason = "failed"
        try:
            self._sweep_leftovers()
            with self._bell:
                self._work_through_steps()
            reason = "finished"
        except KeyboardInterrupt:
            reason = "interrupted"
            raise
        finally:
            self._engine.stop_all()
            self._sweep_leftovers()
            self._events.add("stopped", reason=reason)

    def _sweep_leftovers(self) -> None:
        """Half-written files of processes that died: under the run's lock, without children, nobody is at them."""
        layout, model = self._layout, self._run.model
        sweep_leftovers(layout.root, of=layout.settings.name)
        sweep_leftovers(layout.models, of="round_*")
        sweep_leftovers(layout.quarantine, of="*.reason.txt")
        for folder in layout.worker_folders():
            sweep_leftovers(folder, of="batch_*")
        for path in (model, inference_twin(model)):
            sweep_leftovers(path.parent, of=glob.escape(path.name))

    def _work_through_steps(self) -> None:
        while True:
            try:
                self._sweep()
                step = next_step(self._facts(), rounds=self._options.rounds)
                if isinstance(step, Done):
                    break
                self._do(step)
            except DiskFullError as error:  # nothing is torn; what is missing is found out and done again
                self._wait_for_room(str(error))
            except ModelDamaged as error:
                self._put_aside(error)
        self.status.phase, self.status.seconds_left = "finished", None
        self._events.add("progress", **self.status.as_event())

    def _do(self, step: Step) -> None:
        match step:
            case CreateModel():
                self._create()
            case Publish(number):
                self._publish(number)
            case Play(number, games):
                self._play(number, len(games))
            case Train(number):
                self._train(number)

    def _put_aside(self, error: ModelDamaged) -> None:
        """Quarantine the files of the newest round, which can be trained again, to the same bytes.

        Raises the error where it is about another model, a second one, or the same one again and again.
        """
        if not error.path.exists():
            return  # another child said so before
        number = max(self._layout.rounds_with_models(), default=0)
        files = [self._layout.model(number), inference_twin(self._layout.model(number))]
        self._damages[number] += 1
        is_alone = len(self._damages) == 1  # more than one round: no accident, and nothing to go on from
        if error.path not in files or number == 0 or not is_alone or self._damages[number] > MOST_DAMAGES:
            raise error
        for path in files:
            place = quarantine(Rejected(path, str(error)), self._layout.quarantine)
            self._events.add("rejected", file=str(path), reason=str(error))
        self._say(f"{error}; moved to {place.parent}, round {number} is trained again")

    def _wait_for_room(self, reason: str) -> None:
        """Until there is room on the disk again. Children have nothing to do meanwhile, or run into the same."""
        self._say(f"{reason}; waiting until there is room again, Ctrl-C stops the run")
        self._events.add("waiting", reason=reason)
        while not has_room(self._layout.root, ROOM_BYTES):
            time.sleep(ROOM_SECONDS)
        self._say("there is room again: going on")

    def _facts(self) -> Facts:
        rounds = self._layout.rounds_with_models()
        newest = rounds[-1] if rounds else None
        if newest is None:
            return Facts(None, False, ())
        model, source = self._run.model, self._layout.model(newest)
        published = same_content(model, source) and same_content(inference_twin(model), inference_twin(source))
        return Facts(newest, published, tuple(self._collector.missing(newest + 1)))

    # --- the steps -------------------------------------------------------------------------------------------

    def _create(self) -> None:
        initial = str(self._run.initial_model) if self._run.initial_model else ""
        answer = self._ask_trainer({"do": "create", "model": initial}, until="created")
        origin = f"starts from {initial}" if initial else "is untrained"
        self._say(f"round 0: the model {answer['fingerprint'][:12]} {origin}")

    def _publish(self, number: int) -> None:
        """The twin first: workers read the twin, people look at the checkpoint. Raises `ModelDamaged`."""
        self._models.fingerprint(number)  # reads the twin: what is damaged is not copied over what may be whole
        source = self._layout.model(number)
        write_atomically(inference_twin(self._run.model), inference_twin(source).read_bytes())
        write_atomically(self._run.model, source.read_bytes())

    def _play(self, number: int, games: int) -> None:
        status = self.status
        status.first_round = status.first_round or number
        status.round, status.phase = number, "playing"
        status.games_total = self._run.settings.selfplay.games_per_round
        self._events.add("playing", round=number, games=games)
        for worker in status.workers.values():
            worker.begin_round()
        self._start_children()
        started = time.monotonic()
        while (missing := self._collector.missing(number)) or self._under_way(number):
            self._hand_out(number)
            self._take_all()
            self._restart()
            if self._something_landed or self._bell.rang() or self._listing_is_old():
                self._sweep()
            status.round_seconds = time.monotonic() - started
            status.games_done = status.games_total - len(missing)
            status.phase_share = 1 - len(missing) / status.games_total
            self._report()
        status.games_done = status.games_total
        if status.total("games"):
            self._events.add("progress", **status.as_event())
            self._say(status.played_line())

    def _train(self, number: int) -> None:
        status = self.status
        status.round, status.phase, status.phase_share = number, "training", 0.0
        answer = self._ask_trainer({"do": "train", "round": number}, until="trained")
        facts = {key: value for key, value in answer.items() if key not in ("event", "line")}
        self._events.add("trained", **facts)
        status.losses = {key: answer[key] for key in ("policy", "value", "policy_floor")}
        self._say(status.trained_line(answer))
        status.training = answer["line"]
        self._say(answer["line"])
        for reason, number_of in answer["reasons"].items():
            self._say(f"round {number}: {number_of} of {answer['steps']} batches were left out: {reason}")

    # --- playing ---------------------------------------------------------------------------------------------

    def _start_children(self) -> None:
        """Workers on first need, and the trainer, so that it is ready when the games are."""
        self._start_trainer()
        settings = self._run.settings
        for number in range(self._options.workers):
            name = f"worker_{number}"
            if name not in self.status.workers:
                self.status.workers[name] = WorkerStatus(name, heard=time.time())
                setup = {
                    "game": settings.game.name,
                    "out": str(self._layout.worker(number)),
                    "seed": settings.selfplay.seed,
                    "device": settings.selfplay.device,
                    "search": msgspec.to_builtins(settings.search),
                    "worker": msgspec.to_builtins(settings.worker),
                }
                self._supervisor.start(name, WORKER_SERVICE, setup)
                self.status.workers[name].state = "idle"

    def _hand_out(self, number: int) -> None:
        """Give idle workers the games that are neither there nor with a worker."""
        idle = [worker for worker in self.status.workers.values() if worker.state == "idle"]
        under_way = self._under_way(number) if idle else set()
        pending = [game for game in self._collector.missing(number) if game not in under_way] if idle else []
        for place, worker in enumerate(idle):
            if not pending:
                return
            parallel = self._run.settings.worker.games_in_parallel
            task = next_task(pending, workers=len(idle) - place, games_in_parallel=parallel)
            message = {
                "model": str(inference_twin(self._layout.model(number - 1))),
                "fingerprint": self._models.fingerprint(number - 1),
                "round": number,
                "first_game": task.start,
                "num_games": len(task),
            }
            self._engine.send(worker.name, message)
            del pending[: len(task)]
            worker.task, worker.round, worker.state = task, number, "playing"

    def _under_way(self, number: int) -> set[int]:
        """Games of a round that workers are at."""
        return {game for worker in self.status.workers.values() if worker.round == number for game in worker.task}

    def _take_all(self) -> list[Answer | Ended]:
        """Note all that children said, and return it. Raises what stood in the way of one and can be helped."""
        items = self._engine.poll(POLL_SECONDS)
        for item in items:
            self._take(item)
        if (met := self._obstacle) is not None:
            self._obstacle = None
            raise met
        return items

    def _take(self, item: Answer | Ended) -> None:
        """Note what a child said, in whatever phase the run is."""
        if isinstance(item, Ended):
            self._note_death(item)
            self._something_landed = True
            return
        message = item.message
        if message["event"] == "failed":
            if (helpable := obstacle(message)) is None:  # a clear error: trying again would meet it again
                raise ProcessError(f"{item.child}: {message['reason']}")
            self._obstacle = helpable
            if item.child in self.status.workers:
                self.status.workers[item.child].finish_task()
            return
        if item.child == TRAINER:
            if message["event"] == "training":
                self.status.phase_share = message["step"] / message["steps"]
                self.status.losses = {key: message[key] for key in ("policy", "value", "policy_floor")}
            elif message["event"] == "recovering":
                self._events.add("recovering", round=message["round"], reason=message["reason"])
                self._say(f"round {message['round']}: {message['reason']}")
            return
        worker = self.status.workers[item.child]
        worker.heard = time.time()
        if message["event"] == "progress":
            worker.take(message)
        elif message["event"] == "batch":
            self._supervisor.note_success(item.child)
            self._something_landed = True
        elif message["event"] == "done":
            worker.take(message)
            worker.finish_task()
            self._something_landed = True

    def _listing_is_old(self) -> bool:
        return time.monotonic() - self._last_listing > LISTING_SECONDS

    def _sweep(self) -> None:
        """Take in batch files that landed; those that cannot be used go to quarantine."""
        self._last_listing, self._something_landed = time.monotonic(), False
        sweep = self._collector.sweep()
        for rejected in sweep.rejected:
            place = quarantine(rejected, self._layout.quarantine)
            self._events.add("rejected", file=str(rejected.path), reason=rejected.reason)
            self._say(f"{rejected.path}: {rejected.reason}; moved to {place}, its games will be played again")
        for path in sweep.accepted:
            self._events.add("batch", worker=path.parent.name, file=path.name)
        if sweep.games and self._supervisor.is_up(TRAINER):
            self._engine.send(TRAINER, {"do": "collect"})

    # --- children --------------------------------------------------------------------------------------------

    def _start_trainer(self) -> None:
        if not self._supervisor.knows(TRAINER):
            setup = {"data": str(self._layout.root), "settings": msgspec.to_builtins(self._run.settings)}
            self._supervisor.start(TRAINER, TRAINER_SERVICE, setup)

    def _ask_trainer(self, message: Message, *, until: str) -> Message:
        """Send a message and wait for its last answer; a trainer that dies is started anew and asked again."""
        self._start_trainer()
        if self._supervisor.is_up(TRAINER):
            self._engine.send(TRAINER, message)
        while True:
            for item in self._take_all():
                if isinstance(item, Answer) and item.child == TRAINER and _answers(item.message, message, until):
                    self._supervisor.note_success(TRAINER)
                    return item.message
            if TRAINER in self._restart():
                self._engine.send(TRAINER, message)
            self._report()

    def _note_death(self, ended: Ended) -> None:
        how = self._supervisor.describe(ended)
        self._events.add("died", child=ended.child, code=ended.code, reason=how)
        pause = self._supervisor.note_death(ended, how)
        self._say(f"{ended.child} ended unexpectedly ({how}); starting it again in {pause:.1f} s")
        worker = self.status.workers.get(ended.child)
        if worker is not None:
            worker.state, worker.task, worker.counts = "restarting", range(0), {}
            worker.restarts += 1

    def _restart(self) -> list[str]:
        due = self._supervisor.restart_due()
        for name in due:
            if name in self.status.workers:
                self.status.workers[name].state = "idle"
        return due

    # --- telling ---------------------------------------------------------------------------------------------

    def _report(self) -> None:
        status = self.status
        status.seconds_left = status.estimate_seconds_left(time.monotonic() - self._session_started)
        self._show(status)
        if time.monotonic() - self._last_event >= EVENT_SECONDS:
            self._last_event = time.monotonic()
            self._events.add("progress", **status.as_event())


def _answers(answer: Message, question: Message, until: str) -> bool:
    """Whether this is the last answer to the question, and not to one that was asked before a disk was full."""
    return bool(answer["event"] == until and answer.get("round") == question.get("round"))
