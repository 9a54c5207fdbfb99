"""The children of a run: workers and the trainer. Gives them work, notes what they say, replaces who is lost.

Knows how to keep children at work, not what the run needs next (`plan.py`), and no files.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec

from selfplay.arena.contest import Result
from selfplay.coordinator.plan import Attempt, next_task, straggling
from selfplay.coordinator.run import OpenRun
from selfplay.coordinator.status import WorkerStatus
from selfplay.coordinator.supervisor import Supervisor
from selfplay.coordinator.telling import Telling
from selfplay.engines.engine import Answer, Ended, Engine, Message, obstacle
from selfplay.errors import DiskFullError, ModelDamaged, ProcessError
from selfplay.games.registry import rules_files
from selfplay.rundir.event_types import Died, Recovering, Straggling
from selfplay.worker.process import WorkerSetup

WORKER_SERVICE = "selfplay.worker.process:make_worker"
TRAINER_SERVICE = "selfplay.training.process:make_trainer"
TRAINER = "trainer"
POLL_SECONDS = 0.2


class Crew:
    """Workers and trainer of one coordinator.

    Args:
        run: what they work on.
        engine: runs them.
        telling: hears what happens to them, and what is known of them.
    """

    def __init__(self, run: OpenRun, engine: Engine, telling: Telling) -> None:
        self.something_landed = False  # in a worker's folder, as far as they say
        self.results: dict[int, Result] = {}  # of a contest's items, since the round began
        self._run = run
        self._engine = engine
        self._telling = telling
        self._status = telling.status
        self._workers = telling.status.workers
        self._supervisor = Supervisor(engine, run.layout.log, time.monotonic)
        self._obstacle: DiskFullError | ModelDamaged | None = None  # what a child met
        self._asked: tuple[Message, str] | None = None  # what the trainer was asked, and its last answer's event
        self._slowest_seconds: float | None = None  # task of this round that is done
        self._straggling: set[str] = set()  # workers whose games others play too
        self._wanted = 0  # workers of this round, the first ones
        self._is_ending = False

    # --- playing ---------------------------------------------------------------------------------------------

    def begin_round(self, workers: int, *, trains: bool = True) -> None:
        """See that so many workers are there, and the trainer, so that it is ready when the games are."""
        self._slowest_seconds, self._wanted = None, workers
        self.results.clear()
        if trains:
            self._start_trainer()
        for worker in self._workers.values():
            worker.begin_round()
        settings = self._run.settings
        for number in range(workers):
            name = f"worker_{number}"
            if name not in self._workers:
                setup = msgspec.to_builtins(WorkerSetup.of(settings, self._run.layout.worker(number)))
                setup |= {"reads": rules_files(settings.game.name), "polite": settings.selfplay.lag > 0}
                self._workers[name] = WorkerStatus(name, state="idle", heard=time.time())
                self._supervisor.start(name, WORKER_SERVICE, setup)

    def hand_out(self, number: int, list_missing: Callable[[], list[int]], what: Message) -> None:
        """Give idle workers the missing games of a round that no worker is at; then those of stragglers once more.

        Args:
            number: the round.
            list_missing: numbers of its games, or of its contest's items, that are not there, rising; asked where a
                worker is idle.
            what: the rest of a worker's task: `model` and `fingerprint`, or `contest`; and the files that it `reads`.
        """
        wanted = list(self._workers.values())[: self._wanted]
        idle = [each for each in wanted if each.state == "idle" and self._engine.is_ready(each.name)]
        if not idle:
            return
        missing, under_way = list_missing(), self._under_way(number)
        pending = [game for game in missing if game not in under_way]
        for place, worker in enumerate(idle):
            if pending:
                settings = self._run.settings
                parallel = settings.worker.games_side_by_side(settings.selfplay.device)
                takers = len(idle) - place
                task = next_task(pending, workers=len(wanted), idle=takers, games_in_parallel=parallel)
                del pending[: len(task)]
            elif (copy := self._copy_of_straggler(number, missing)) is not None:
                task = copy
            else:
                return
            games = {"round": number, "first_game": task.start, "num_games": len(task)}
            self._engine.send(worker.name, {**what, **games})
            worker.begin_task(number, task, time.monotonic())

    def _copy_of_straggler(self, number: int, missing: list[int]) -> range | None:
        """Games of a straggler that another worker shall play too: equal they will be, the first copy counts."""
        at_work = [worker for worker in self._workers.values() if worker.state == "playing" and worker.round == number]
        now = time.monotonic()
        attempts = [Attempt(worker.task, now - worker.task_began) for worker in at_work]
        found = straggling(attempts, missing, slowest_seconds=self._slowest_seconds)
        if found is None:
            return None
        place, games = found
        straggler = at_work[place]
        self._straggling.add(straggler.name)
        self._telling.log(Straggling(worker=straggler.name, round=number, games=len(games)))
        self._telling.say(
            f"{straggler.name} has been at its games for {attempts[place].seconds:.0f} s, others took "
            f"{self._slowest_seconds:.0f} s at most: an idle worker plays its last {len(games)} too"
        )
        return games

    def _under_way(self, number: int) -> set[int]:
        """Games of a round that workers are at."""
        return {game for worker in self._workers.values() if worker.round == number for game in worker.task}

    def is_somebody_idle(self) -> bool:
        """Whether a worker waits for games, or for the end of the round."""
        return any(worker.state == "idle" for worker in self._workers.values())

    def is_awaited(self, number: int) -> bool:
        """Whether a worker is about to say that it is done with its part of a round; stragglers are not awaited."""
        at_work = (worker.name for worker in self._workers.values() if worker.round == number and worker.task)
        return any(name not in self._straggling for name in at_work)

    def let_go(self, number: int) -> None:
        """All games of the round are there: who is still at some, a straggler or who copied one, is started anew, to be
        free for the next."""
        for worker in self._workers.values():
            if worker.state == "playing" and worker.round == number:
                self._supervisor.replace(worker.name)
                worker.drop_task("idle")
        self._straggling.clear()

    def finish(self, seconds: float) -> Message | None:
        """Have what is in hand brought to an end, for at most so long; what the trainer answered, if it was asked.

        Nobody is started anew any more.
        """
        until = time.monotonic() + seconds
        answer = None
        self._is_ending = True
        for worker in self._workers.values():
            if worker.task and self._supervisor.is_up(worker.name):
                self._engine.finish(worker.name)
        while time.monotonic() < until and (self._is_training() or self._is_playing()) and self._obstacle is None:
            answer = self._answer_among(self._poll()) or answer
        return answer

    def _is_training(self) -> bool:
        return self._asked is not None and self._supervisor.is_up(TRAINER)

    def _is_playing(self) -> bool:
        return any(worker.task and self._supervisor.is_up(worker.name) for worker in self._workers.values())

    # --- the trainer -----------------------------------------------------------------------------------------

    def tell_trainer(self, message: Message) -> None:
        """Send a message whose answer does not matter, if the trainer is there."""
        if self._supervisor.is_up(TRAINER):
            self._engine.send(TRAINER, message)

    def ask_trainer(self, message: Message, *, until: str, meanwhile: Callable[[], None]) -> Message:
        """Send a message and wait for its last answer; a trainer that dies is started anew and asked again."""
        self._start_trainer()
        self._asked = message, until
        self.tell_trainer(message)
        while (answer := self._answer_among(self.take_all())) is None:
            if TRAINER in self.restart():
                self._engine.send(TRAINER, message)
            meanwhile()
        return answer

    def _answer_among(self, items: list[Answer | Ended]) -> Message | None:
        """The last answer to what the trainer was asked, if it is there."""
        said = [item.message for item in items if isinstance(item, Answer) and item.child == TRAINER]
        answer = next((message for message in said if self._asked and _answers(message, *self._asked)), None)
        if answer is not None:
            self._supervisor.note_success(TRAINER)
            self._asked = None
        return answer

    def _start_trainer(self) -> None:
        if not self._supervisor.knows(TRAINER):
            run = self._run
            setup = {
                "data": str(run.layout.root),
                "settings": msgspec.to_builtins(run.settings),
                "cluster": run.cluster,
            }
            self._supervisor.start(TRAINER, TRAINER_SERVICE, setup)

    # --- what they say ---------------------------------------------------------------------------------------

    def take_all(self) -> list[Answer | Ended]:
        """Note all that children said, and return it. Raises what stood in the way of one and can be helped."""
        items = self._poll()
        if (met := self._obstacle) is not None:
            self._obstacle, self._asked = None, None
            raise met
        return items

    def _poll(self) -> list[Answer | Ended]:
        items = self._engine.poll(POLL_SECONDS)
        for item in items:
            self._take(item)
        return items

    def restart(self) -> list[str]:
        """Start those anew whose pause is over; their names."""
        due = self._supervisor.restart_due()
        for name in due:
            if name in self._workers:
                self._workers[name].state = "idle"
        return due

    def _take(self, item: Answer | Ended) -> None:
        """Note what a child said, in whatever phase the run is."""
        if isinstance(item, Ended):
            self._status.cpu.forget(item.child)
            self._note_death(item)
            return
        if item.cpu_seconds is not None:
            self._status.cpu.note(item.child, item.cpu_seconds)
        if item.message["event"] == "failed":
            self._note_failure(item)
        elif item.child == TRAINER:
            self._take_from_trainer(item.message)
        else:
            self._take_from_worker(self._workers[item.child], item.message)

    def _take_from_trainer(self, message: Message) -> None:
        if message["event"] == "training":
            self._status.phase_share = message["step"] / message["steps"]
            self._status.losses = {key: message[key] for key in ("policy", "value", "policy_floor")}
        elif message["event"] == "recovering":
            self._telling.log(Recovering(round=message["round"], reason=message["reason"]))
            self._telling.say(f"round {message['round']}: {message['reason']}")

    def _take_from_worker(self, worker: WorkerStatus, message: Message) -> None:
        worker.heard = time.time()
        if message["event"] == "progress":
            worker.take(message)
        elif message["event"] == "results":
            self._supervisor.note_success(worker.name)
            self.results.update(msgspec.convert(message["results"], list[tuple[int, Result]]))
        elif message["event"] == "batch":
            self._supervisor.note_success(worker.name)
            self.something_landed = True
        elif message["event"] == "done":
            worker.take(message)
            self._slowest_seconds = max(self._slowest_seconds or 0.0, time.monotonic() - worker.task_began)
            self._straggling.discard(worker.name)
            worker.finish_task()
            self.something_landed = True

    def _note_failure(self, answer: Answer) -> None:
        if (helpable := obstacle(answer.message)) is None:  # a clear error: trying again would meet it again
            raise ProcessError(f"{answer.child}: {answer.message['reason']}")
        self._obstacle = helpable
        if answer.child in self._workers:
            self._workers[answer.child].finish_task()

    def _note_death(self, ended: Ended) -> None:
        self.something_landed = True
        how = self._supervisor.describe(ended)
        was_asked_to = self._is_ending and ended.code == 0
        if not was_asked_to:
            self._telling.log(Died(child=ended.child, code=ended.code, reason=how))
        pause = self._supervisor.note_death(ended, how)
        if not was_asked_to:
            then = "" if self._is_ending else f"; starting it again in {pause:.1f} s"
            self._telling.say(f"{ended.child} ended unexpectedly ({how}){then}")
        if ended.child in self._workers:
            worker = self._workers[ended.child]
            self._straggling.discard(worker.name)
            worker.drop_task("restarting")
            worker.restarts += 1


def _answers(answer: Message, question: Message, until: str) -> bool:
    """Whether this is the last answer to the question, and not to one that was asked before a disk was full."""
    return bool(answer["event"] == until and answer.get("round") == question.get("round"))
