"""One rank of a parallel training: a process that works through steps which its trainer sends it.

`python -m selfplay.training.rank DESCRIPTOR` is started with one end of a pipe; `… rank HOST:PORT NUMBER`, on another
machine, calls its trainer there: `launching.py`. Messages are tuples, pickled, between processes of one user and one
program:

    from the trainer   RankSetup · ("load", TrainingState) · ("step", Share) · ("state",) · ("end",)
    from the rank      ("ready",) · ("alive",) · ("loaded",) · ("stepped", RankReport or reason) ·
                       ("state", TrainingState or None) · ("failed", reason, out_of_memory)

A rank ends when its trainer is gone: a thread of its own reads the pipe, whatever the main thread waits for.
"""

from __future__ import annotations

import contextlib
import gc
import os
import pickle
import queue
import signal
import socket
import sys
import threading
import time
from dataclasses import dataclass, replace
from datetime import timedelta
from multiprocessing.connection import Connection
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, distributed
from torch.distributed import TCPStore  # type: ignore[attr-defined]  # stub gap

from selfplay.machine import die_with_parent
from selfplay.network.resnet import NetworkShape
from selfplay.samples.pool import Samples
from selfplay.settings import TrainingSettings
from selfplay.training.learner import is_out_of_memory, set_up_torch
from selfplay.training.parallel_plan import ParallelPlan
from selfplay.training.step import RankReport, TrainingState

RANK_MODULE = "selfplay.training.rank"
KEY_VARIABLE = "SELFPLAY_RANK_KEY"  # by which a trainer knows its ranks when they call: hexadecimal digits
KEY_BYTES, NUMBER_BYTES = 32, 4  # of what a rank says first
CALL_SECONDS = 60.0
HEARTBEAT_SECONDS = 0.5
GRACE_SECONDS = 1.0  # from the trainer's end to the end by force
LONGEST_EXCHANGE = timedelta(hours=2)  # the trainer notices a hung rank long before


@dataclass(frozen=True)
class RankSetup:
    """All that a rank needs to know."""

    rank: int
    plan: ParallelPlan
    shape: NetworkShape
    settings: TrainingSettings
    gpu: int  # of those that it sees, where the plan uses them
    rendezvous: str  # where the ranks find each other: a file that is not there yet, or a store
    cores: tuple[int, ...]  # to run on; empty = wherever the system likes


class Share(NamedTuple):
    """A rank's part of a batch."""

    samples: Samples
    total_weight: float  # of the whole batch
    groups: int  # groups in these samples; 0 = they only keep the rank in step, with weight 0


class Rank(Protocol):
    """What a rank does with its messages."""

    def load(self, state: TrainingState) -> None: ...

    def step(self, share: Share, input_seconds: float) -> RankReport | str: ...

    def state(self) -> TrainingState | None:
        """This rank's part of the state, None where another rank has it."""
        ...


def send(connection: Connection, message: object) -> None:
    """Send by plain pickling: `Connection.send` would share tensors' memory by means that need a common parent."""
    connection.send_bytes(pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL))


def receive(connection: Connection) -> Any:
    """The next message; raises `EOFError` or `OSError` where the other side is gone."""
    return pickle.loads(connection.recv_bytes())


class Pipe:
    """The connection to the trainer, read by a thread, written by two."""

    def __init__(self, connection: Connection) -> None:
        self.arrived: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._connection = connection
        self._writing = threading.Lock()

    def start(self) -> None:
        """Begin to read and to give signs of life."""
        for work in (self._read, self._beat):
            threading.Thread(target=work, daemon=True).start()

    def send(self, message: tuple[Any, ...]) -> None:
        """Raises `OSError` where the trainer is gone."""
        with self._writing:
            send(self._connection, message)

    def _read(self) -> None:
        try:
            while True:
                self.arrived.put(receive(self._connection))
        except (EOFError, OSError):
            self.arrived.put(("end",))
            time.sleep(GRACE_SECONDS)
        finally:
            os._exit(1)

    def _beat(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                self.send(("alive",))
                time.sleep(HEARTBEAT_SECONDS)


def main() -> None:
    """Serve one trainer until it ends or says so."""
    for number in (signal.SIGINT, signal.SIGTERM):  # both reach the whole group; the coordinator decides
        signal.signal(number, signal.SIG_IGN)
    pipe = Pipe(_connection(*sys.argv[1:]))
    pipe.start()
    try:
        serve(pipe, pipe.arrived.get())
    except Exception as error:  # whatever it is, the trainer is told and decides
        with contextlib.suppress(OSError):
            pipe.send(("failed", f"{type(error).__name__}: {error}", is_out_of_memory(error)))
        os._exit(1)  # other ranks may hold threads of this one in an exchange that never ends
    os._exit(0)


def _connection(trainer: str, number: str = "") -> Connection:
    """To the trainer: an inherited descriptor, or a call to HOST:PORT."""
    if not number:
        return Connection(int(trainer))
    die_with_parent()
    host, _, port = trainer.rpartition(":")
    call = socket.create_connection((host, int(port)), timeout=CALL_SECONDS)
    call.settimeout(None)
    call.sendall(bytes.fromhex(os.environ.pop(KEY_VARIABLE)) + int(number).to_bytes(NUMBER_BYTES, "little"))
    return Connection(call.detach())


def serve(pipe: Pipe, setup: RankSetup) -> None:
    """Join the other ranks, then work through messages."""
    rank = make_rank(setup)
    pipe.send(("ready",))
    used = 0.0
    while True:
        started = time.perf_counter()
        message = pipe.arrived.get()
        match message:
            case ("load", state):
                rank.load(state)
                gc.collect()
                pipe.send(("loaded",))
            case ("step", share):
                report = rank.step(share, time.perf_counter() - started)
                before, used = used, time.process_time()
                if isinstance(report, RankReport):
                    report = replace(report, cpu_seconds=used - before)
                pipe.send(("stepped", report))
            case ("state",):
                pipe.send(("state", rank.state()))
            case ("end",):
                return


def make_rank(setup: RankSetup) -> Rank:
    """The rank of a setup, once all ranks are there."""
    from selfplay.training.data_parallel import DataParallelRank
    from selfplay.training.pipeline_parallel import PipelineRank

    plan = setup.plan
    if setup.cores:
        os.sched_setaffinity(0, setup.cores)
    set_up_torch(plan)
    if plan.device == "cuda":
        torch.cuda.set_device(setup.gpu)
    backend, place = "nccl" if plan.device == "cuda" else "gloo", setup.rendezvous
    known: dict[str, Any] = {"rank": setup.rank, "world_size": plan.ranks, "timeout": LONGEST_EXCHANGE}
    if place.startswith("tcp://"):
        host, _, port = place.removeprefix("tcp://").rpartition(":")
        distributed.init_process_group(backend, store=TCPStore(host, int(port)), **known)
    else:
        distributed.init_process_group(backend, init_method=place, **known)
    return DataParallelRank(setup) if plan.mode == "data" else PipelineRank(setup)


def sum_over_ranks(tensor: Tensor) -> None:
    """Add a tensor up over all ranks, in place."""
    distributed.all_reduce(tensor)


def worst(status: int, device: torch.device) -> int:
    """The highest status of any rank."""
    value = torch.tensor([status], dtype=torch.int32, device=device)
    distributed.all_reduce(value, distributed.ReduceOp.MAX)
    return int(value.item())


if __name__ == "__main__":
    main()
