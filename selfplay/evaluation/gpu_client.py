"""Networks judged on a GPU by the process that computes there for all workers of this machine. Loads no torch.

Whoever finds no such process for its GPU starts it: `gpu_service.py`. Letters: n positions, P planes, H × W board,
A actions.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import socket
import subprocess
import sys
import tempfile
import time
import weakref
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from selfplay.errors import ModelError
from selfplay.evaluation.evaluator import NetworkEvaluator
from selfplay.evaluation.gpu_messages import (
    COUNT_BYTES,
    DONE,
    ROWS,
    Ask,
    Reply,
    Shared,
    receive,
    receive_frame,
    send_frame,
)
from selfplay.machine import nvidia_gpus

SERVICE = "selfplay.evaluation.gpu_service"
START_SECONDS = 120.0  # until the process listens: loading torch from a cold disk takes its time
_LOOK_SECONDS = 0.02

_started: list[subprocess.Popen[bytes]] = []  # by this process; they end by themselves, and are reaped with it


class GpuEvaluator(NetworkEvaluator):
    """The network of a checkpoint (.pt), on the GPU that this process is given; "cpu" as a device is for tests.

    Raises `ModelError` where the file cannot be used or no GPU is there, and `ConnectionError` where the computing
    process is gone: its end is no fault of the model, and who starts anew starts it too.
    """

    rows = ROWS

    def __init__(self, path: Path, *, device: str = "cuda") -> None:
        self._connection = _connect(device)
        weakref.finalize(self, self._connection.close)
        send_frame(self._connection, Ask(model=str(path.absolute())))
        reply = receive_frame(self._connection, Reply)
        if reply.card is None:
            raise ModelError(reply.error)
        self.card = reply.card
        descriptor = os.memfd_create("selfplay")
        try:
            self._shared = Shared(self.card, descriptor)
            socket.send_fds(self._connection, [DONE], [descriptor])
        finally:
            os.close(descriptor)

    def run(self, planes: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        count, shared = len(planes), self._shared
        shared.planes[:count] = planes
        self._connection.sendall(count.to_bytes(COUNT_BYTES, "little"))
        receive(self._connection, len(DONE))
        return shared.logits[:count], shared.outcomes[:count]


def _connect(device: str) -> socket.socket:
    """A connection to the computing process, started if there is none."""
    gpus = nvidia_gpus() if device == "cuda" else [""]
    if not gpus:
        raise ModelError("the run plays on a GPU (selfplay.device = cuda), but CUDA_VISIBLE_DEVICES names none")
    gpu = gpus[os.getpid() % len(gpus)]  # workers are started one after the other: their numbers spread over all
    place = _place(device, gpu)
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with _locked(place.with_suffix(".lock")) as lock:
        try:
            if not _reach(connection, place):
                _start(place, lock, device, gpu, connection)
        except BaseException:
            connection.close()
            raise
    return connection


def _reach(connection: socket.socket, place: Path) -> bool:
    """Connect; whether somebody listens there."""
    try:
        connection.connect(str(place))
    except (FileNotFoundError, ConnectionRefusedError):
        return False
    return True


def _place(device: str, gpu: str) -> Path:
    """Where the process for a GPU listens: one for each user and installation of this package."""
    folder = Path(tempfile.gettempdir()) / f"selfplay-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    if status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise ModelError(f"{folder} belongs to somebody else or is open to others; take it away, or set TMPDIR")
    name = hashlib.sha256(f"{sys.executable} {__file__} {device} {gpu}".encode()).hexdigest()[:16]
    return folder / f"{name}.socket"


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[Path]:
    """One process at a time looks for the computing one; while this is held, that one does not end for want of work."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield path


def _start(place: Path, lock: Path, device: str, gpu: str, connection: socket.socket) -> None:
    """Start the computing process and connect as soon as it listens. It inherits standard error: a worker's log."""
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": gpu} if device == "cuda" else None
    command = [sys.executable, "-m", SERVICE, str(place), str(lock), device]
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, env=environment, start_new_session=True
    )
    _started.append(process)
    began = time.monotonic()
    while time.monotonic() - began < START_SECONDS and process.poll() is None:
        if _reach(connection, place):
            return
        time.sleep(_LOOK_SECONDS)
    process.kill()
    raise ConnectionError(f"the process that computes on GPU {gpu or device} did not come up: {' '.join(command)}")
