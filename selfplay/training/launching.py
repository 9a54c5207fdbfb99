"""How the processes of ranks come to be and how their trainer reaches them: on this machine, or all over a cluster.

Here a rank inherits one end of a pipe, and ranks find each other by a file. In a cluster a rank calls the trainer at a
port, says who it is with a key that only those who were started know, and ranks find each other by a store that the
trainer keeps. What is said then is the same.
"""

from __future__ import annotations

import contextlib
import hmac
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple, Protocol

from torch.distributed import TCPStore  # type: ignore[attr-defined]  # stub gap

from selfplay.machine import cores_of_nodes
from selfplay.training.parallel_plan import Machine, ParallelPlan, cluster, this_machine
from selfplay.training.rank import KEY_BYTES, KEY_VARIABLE, NUMBER_BYTES, RANK_MODULE
from selfplay.training.step import RanksFailed

RANK_COMMAND = (sys.executable, "-m", RANK_MODULE)
LONGEST_START_SECONDS = 300.0  # to load torch, find each other and compile, on a busy machine
GREETING_SECONDS = 10.0  # for whoever calls to say who it is
LOOK_SECONDS = 1.0  # without a call, before those who should call are looked at


class RankProcess(Protocol):
    """A rank's process, wherever it runs."""

    @property
    def pid(self) -> int: ...

    def kill(self) -> None: ...

    def wait(self, seconds: float) -> int | None:
        """How it ended, after so long at most; None = it runs."""
        ...


class Launched(NamedTuple):
    """A rank that was started."""

    process: RankProcess
    connection: Connection


class Launcher(Protocol):
    """Where ranks run."""

    def machine(self) -> Machine:
        """What there is to train on."""
        ...

    def meeting(self) -> contextlib.AbstractContextManager[str]:
        """Where the ranks of a group find each other, for as long as they are there."""
        ...

    def cores(self, plan: ParallelPlan) -> list[tuple[int, ...]]:
        """Which cores each rank should keep to; empty = any."""
        ...

    def gpu(self, rank: int) -> int:
        """Which of the GPUs that a rank sees is its own."""
        ...

    def launch(self, plan: ParallelPlan) -> Iterator[Launched]:
        """Start all ranks, in order. Raises `RanksFailed` where one does not come."""
        ...


class LocalProcess:
    """A child of this process."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self.pid = process.pid

    def kill(self) -> None:
        self._process.kill()

    def wait(self, seconds: float) -> int | None:
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None


class LocalLauncher:
    """Ranks on this machine; `command` starts one: tests put faulty ones here."""

    def __init__(self, command: tuple[str, ...] = RANK_COMMAND) -> None:
        self._command = command

    def machine(self) -> Machine:
        return this_machine()

    @contextlib.contextmanager
    def meeting(self) -> Iterator[str]:
        with tempfile.TemporaryDirectory(prefix="selfplay-ranks-") as folder:
            yield f"file://{Path(folder) / 'rendezvous'}"

    def cores(self, plan: ParallelPlan) -> list[tuple[int, ...]]:
        return cores_of_nodes(plan.ranks) if plan.device == "cpu" else [()] * plan.ranks

    def gpu(self, rank: int) -> int:
        return rank

    def launch(self, plan: ParallelPlan) -> Iterator[Launched]:
        environment = {**os.environ, "OMP_NUM_THREADS": str(plan.threads)}
        # All ranks are on this machine: no name of a host needs to be looked up, which fails on some.
        environment.setdefault("GLOO_SOCKET_IFNAME", "lo0" if sys.platform == "darwin" else "lo")
        for _ in range(plan.ranks):
            ours, theirs = Pipe()
            with theirs:
                process = subprocess.Popen(
                    [*self._command, str(theirs.fileno())],
                    stdin=subprocess.DEVNULL,
                    stdout=2,  # standard output belongs to the trainer's messages
                    pass_fds=[theirs.fileno()],
                    env=environment,
                )
            yield Launched(LocalProcess(process), ours)


class ClusterLauncher:
    """Ranks on the nodes of the Ray cluster at `address`. Raises `UsageError` where it cannot be reached."""

    def __init__(self, address: str) -> None:
        from selfplay.engines.ray_processes import meet

        self._address = address
        self._host = meet(address)

    def machine(self) -> Machine:
        return cluster(self._address)

    @contextlib.contextmanager
    def meeting(self) -> Iterator[str]:
        store = TCPStore(self._host, 0, is_master=True, wait_for_workers=False)
        yield f"tcp://{self._host}:{store.port}"

    def cores(self, plan: ParallelPlan) -> list[tuple[int, ...]]:
        return [()] * plan.ranks

    def gpu(self, rank: int) -> int:
        return 0  # a node shows a process the one that it is given

    def launch(self, plan: ParallelPlan) -> Iterator[Launched]:
        from selfplay.engines.ray_processes import ClusterProcess

        key = secrets.token_bytes(KEY_BYTES)
        environment = {"OMP_NUM_THREADS": str(plan.threads), KEY_VARIABLE: key.hex()}
        processes: list[RankProcess] = []
        connections: dict[int, Connection] = {}
        try:
            with socket.create_server((self._host, 0)) as server:
                called = f"{self._host}:{server.getsockname()[1]}"
                for rank in range(plan.ranks):
                    arguments, on_gpu = [called, str(rank)], plan.device == "cuda"
                    processes.append(ClusterProcess(RANK_MODULE, arguments, environment, on_gpu=on_gpu))
                deadline = time.monotonic() + LONGEST_START_SECONDS
                while len(connections) < plan.ranks:
                    if not _receive_call(server, key, connections):
                        _check_those_who_did_not_call(processes, connections, deadline)
        except BaseException:
            for process in processes:
                process.kill()
            for connection in connections.values():
                connection.close()
            raise
        for rank, process in enumerate(processes):
            yield Launched(process, connections[rank])


def _receive_call(server: socket.socket, key: bytes, connections: dict[int, Connection]) -> bool:
    """Wait a moment for a call; whoever does not know the key is not listened to. Whether anybody called."""
    server.settimeout(LOOK_SECONDS)
    try:
        caller, _ = server.accept()
    except TimeoutError:
        return False
    with contextlib.suppress(OSError):
        caller.settimeout(GREETING_SECONDS)
        greeting = caller.recv(KEY_BYTES + NUMBER_BYTES, socket.MSG_WAITALL)
        if hmac.compare_digest(greeting[:KEY_BYTES], key):
            caller.settimeout(None)
            connections[int.from_bytes(greeting[KEY_BYTES:], "little")] = Connection(caller.detach())
            return True
    caller.close()
    return True


def _check_those_who_did_not_call(
    processes: list[RankProcess], connections: dict[int, Connection], deadline: float
) -> None:
    """Raises `RanksFailed` where one of them is gone, or time is up."""
    for rank, process in enumerate(processes):
        if rank not in connections and process.wait(0.0) is not None:
            raise RanksFailed(f"rank {rank} ended before it called its trainer")
    if time.monotonic() > deadline:
        raise RanksFailed(
            f"after {LONGEST_START_SECONDS:.0f} s {len(connections)} of {len(processes)} ranks have called: the "
            "cluster has no room for the others, or they cannot reach this machine"
        )
