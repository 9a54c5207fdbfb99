"""The worker: plays a range of games of a round and writes them as batch files, or plays matches. Loads no torch on the
CPU.

As a service (`engines/engine.py`) it takes tasks; `selfplay worker` gives it one by hand. It answers with

    progress   games, plies, simulations, lookups, hits, memory  every PROGRESS_SECONDS, counts of this task
    batch      file, games                                       a batch file is on disk
    done       as progress                                       the task is finished

Items of a contest are tasks too: `referee.py`.
"""

from __future__ import annotations

import gc
import itertools
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from selfplay.engines.engine import Message
from selfplay.errors import ModelError
from selfplay.evaluation.cache import CachedEvaluator
from selfplay.evaluation.evaluator import Evaluator
from selfplay.evaluation.onnx_evaluator import OnnxEvaluator
from selfplay.games.registry import load_rules
from selfplay.machine import resident_megabytes
from selfplay.network.card import ModelCard, check_game
from selfplay.samples.batch_file import BatchHeader
from selfplay.samples.writer import WorkerDataWriter
from selfplay.settings import SearchSettings, Settings, WorkerSettings
from selfplay.worker.lockstep import Lockstep
from selfplay.worker.referee import Referee

PROGRESS_SECONDS = 0.5


class WorkerTask(msgspec.Struct, frozen=True, kw_only=True):
    """Games to play."""

    model: str  # path of the .onnx (device "cpu") or .pt (device "cuda")
    fingerprint: str  # the model that must be found there; empty = whichever is there
    round: Annotated[int, Meta(ge=1)]
    first_game: Annotated[int, Meta(ge=0)]
    num_games: Annotated[int, Meta(ge=1)]


class WorkerSetup(msgspec.Struct, frozen=True, kw_only=True):
    """What stays the same for all tasks of a worker."""

    game: str  # spec
    out: str  # the worker's folder
    seed: Annotated[int, Meta(ge=0, le=2**53 - 1)]
    device: str  # "cpu" or "cuda"
    search: SearchSettings
    worker: WorkerSettings

    @classmethod
    def of(cls, settings: Settings, out: Path) -> WorkerSetup:
        """What a run's settings say of a worker that writes to the folder `out`."""
        return cls(
            game=settings.game.name,
            out=str(out),
            seed=settings.selfplay.seed,
            device=settings.selfplay.device,
            search=settings.search,
            worker=settings.worker,
        )


def make_worker(settings: Message) -> Worker:
    """The service behind `python -m selfplay.engines.child selfplay.worker.process:make_worker`."""
    return Worker(msgspec.convert(settings, WorkerSetup))


class Worker:
    """Plays tasks one after another; keeps model and cache while the model stays the same."""

    def __init__(self, setup: WorkerSetup) -> None:
        self._setup = setup
        self._rules = load_rules(setup.game)
        spare_the_collector()
        self._finishing = False
        self._fingerprint: str | None = None
        self._evaluator: CachedEvaluator | None = None
        self._referee: Referee | None = None

    def finish(self) -> None:
        """Begin no more games: those under way are finished and written."""
        self._finishing = True
        if self._referee is not None:
            self._referee.finish()

    def handle(self, message: Message) -> Iterator[Message | None]:
        """Play one task, given as a table with the fields of `WorkerTask`, or of a referee's."""
        if "contest" in message:
            self._referee = self._referee or Referee(self._rules)
            yield from self._referee.handle(message)
        else:
            yield from self.play(msgspec.convert(message, WorkerTask))

    def play(self, task: WorkerTask) -> Iterator[Message | None]:
        """Play one task; see the head of this file for what is yielded. Raises `ModelError` or `RunError`."""
        evaluator, fingerprint = self._load(task)
        header = BatchHeader(
            game=self._rules.info.name,
            rules=self._rules.info.rules_hash,
            model=fingerprint,
            round=task.round,
            search=msgspec.to_builtins(self._setup.search),
        )
        writer = WorkerDataWriter(Path(self._setup.out), header, first_game=task.first_game, num_games=task.num_games)
        lockstep = Lockstep(
            self._rules,
            evaluator,
            self._setup.search,
            slots=min(self._setup.worker.games_side_by_side(self._setup.device), task.num_games),
            run_seed=self._setup.seed,
            round_number=task.round,
        )
        yield from self._play_and_report(lockstep, writer, range(task.first_game, task.first_game + task.num_games))

    def _play_and_report(
        self, lockstep: Lockstep, writer: WorkerDataWriter, numbers: range
    ) -> Iterator[Message | None]:
        reported = 0.0
        for record in lockstep.play(itertools.takewhile(lambda _: not self._finishing, numbers)):
            path = writer.add(record) if record is not None else None
            if path is not None:
                yield {"event": "batch", "file": path.name}
            now = time.monotonic()  # decides when to speak, never what to play
            if now - reported >= PROGRESS_SECONDS:
                reported = now
                yield {"event": "progress", **self._counts(lockstep)}
            else:
                yield None
        for path in writer.write_rest():
            yield {"event": "batch", "file": path.name}
        yield {"event": "done", **self._counts(lockstep)}

    def _counts(self, lockstep: Lockstep) -> dict[str, Any]:
        assert self._evaluator is not None
        cache = self._evaluator.counts
        return {
            "games": lockstep.counts.games,
            "plies": lockstep.counts.plies,
            "simulations": lockstep.counts.simulations,
            "lookups": cache.lookups,
            "hits": cache.lookups - cache.evaluated,
            "memory": round(resident_megabytes()),
        }

    def _load(self, task: WorkerTask) -> tuple[CachedEvaluator, str]:
        """The evaluator for a task; a new model empties the cache."""
        if self._evaluator is None or not task.fingerprint or self._fingerprint != task.fingerprint:
            self._evaluator = None  # the old model goes before the new one comes: a worker is to stay small
            network, card = load_network(Path(task.model), device=self._setup.device)
            if task.fingerprint and card.fingerprint != task.fingerprint:
                raise ModelError(
                    f"{task.model} holds the model {card.fingerprint[:12]}, expected {task.fingerprint[:12]}"
                )
            check_game(card, self._rules.info, Path(task.model))
            self._fingerprint = card.fingerprint
            positions = self._setup.worker.cache_positions
            self._evaluator = CachedEvaluator(network, self._rules.info, positions=positions)
        self._evaluator.counts.reset()
        assert self._fingerprint is not None
        return self._evaluator, self._fingerprint


def spare_the_collector() -> None:
    """Take all that is loaded by now out of garbage collection: modules live as long as the process, and walking
    through them costs some percent of a worker's speed."""
    gc.collect()
    gc.freeze()


def load_network(path: Path, *, device: str) -> tuple[Evaluator, ModelCard]:
    """The network in `path` on a device: by ONNX Runtime on "cpu", by a GPU's own process on "cuda"."""
    if device == "cuda":
        from selfplay.evaluation.gpu_client import GpuEvaluator

        on_gpu = GpuEvaluator(path.with_suffix(".pt"))
        return on_gpu, on_gpu.card
    network = OnnxEvaluator(path)
    return network, network.card
