"""Children as actors of a Ray cluster, on as many machines as it has; those that need the run's folder stay here.

A service that travels (`staging.py`) becomes a long-lived actor of one core, and Ray spreads actors over the nodes.
What it reads goes into the object store once and from there to each node once; what it writes comes back as bytes and
is written here, so that no file system is shared. Answers come as a stream that halts the actor while too many of them
wait to be taken, so that neither the object store nor the coordinator fills.

An actor that is lost, with its node or alone, is reported as any child that died, and started anew by the coordinator
on whatever node has room; until one has, it is not ready and gets no work. So nodes may come and go.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import ray
from ray.exceptions import RayError, RayTaskError

from selfplay import __version__
from selfplay.engines.engine import Answer, Ended, Message, Service, failure, make_service
from selfplay.engines.local import LocalEngine
from selfplay.engines.staging import Staging, reads, travels
from selfplay.errors import SelfplayError, UsageError
from selfplay.files import write_atomically

WAITING_ANSWERS = 16  # that an actor may be ahead of the coordinator
STUCK_SECONDS = 600.0  # without an answer from an actor at work; a worker gives two each second
LONGEST_LOOK_SECONDS = 1.0  # counted at most between two looks
TURN_SECONDS = 0.2  # of waiting for the cluster before children at home are listened to again
GPU_SHARE = 0.01  # of a GPU, for an actor whose positions are judged there: many share one
REMEMBERED_FILES = 8  # in the object store, for messages to come
KNOCK_SECONDS = 10.0  # for the first connection to a cluster
_LOST = -9  # what `Ended` says of an actor that did not end by itself

Carried = tuple[bytes, bytes | None]  # an answer as JSON, and the content of the file that it names


class _Host:
    """One service in a process of the cluster."""

    def __init__(self) -> None:
        self._staging: Staging | None = None
        self._service: Service | None = None

    def prepare(self, service: str, settings: Message, files: dict[str, Any], version: str) -> bytes:
        """Make the service; what it says of that."""
        try:
            if version != __version__:
                raise UsageError(
                    f"{ray.util.get_node_ip_address()} has selfplay {__version__}, the coordinator {version}: install "
                    "the same on all machines"
                )
            self._staging = Staging()
            self._service = make_service(service, self._staging.settings(settings, _fetch(files)))
        except SelfplayError as error:
            return msgspec.json.encode(failure(error))
        return b"{}"

    def handle(self, message: Message, files: dict[str, Any]) -> Iterator[Carried]:
        """Work through a message; what comes of it as it comes."""
        assert self._staging is not None
        assert self._service is not None
        try:
            for answer in self._service.handle(self._staging.message(message, _fetch(files))):
                if answer is not None:
                    yield _encoded(answer), self._staging.bring_back(answer)
        except SelfplayError as error:
            yield _encoded(self._staging.failure(failure(error))), None

    @ray.method(concurrency_group="control")
    def finish(self) -> None:
        """Called while `handle` runs."""
        if self._service is not None:
            self._service.finish()


_ACTOR: Any = ray.remote(max_restarts=0, max_task_retries=0, concurrency_groups={"control": 1})(_Host)


def _fetch(files: dict[str, Any]) -> dict[str, bytes]:
    """Contents out of this node's object store, by path."""
    return dict(zip(files, ray.get(list(files.values())), strict=True))


def _encoded(answer: Message) -> bytes:
    return msgspec.json.encode({**answer, "cpu": round(time.process_time(), 3)})


@dataclass
class _Child:
    actor: Any
    settings: Message
    preparing: Any | None  # the reference of what `prepare` says
    streams: deque[Any] = field(default_factory=deque)  # of answers, one for each message
    stuck: float = 0.0  # seconds at work since its last answer

    def awaited(self) -> Any | None:
        """What it says next; None where it is not asked anything."""
        return self.preparing if self.preparing is not None else self.streams[0] if self.streams else None


class RayEngine:
    """Starts travelling services as actors, the others as processes beside the coordinator.

    Args:
        logs: folder for the children's logs.
        address: of the cluster; empty = one is started on this machine, and ends with this process.
        cores: how many cores that one is to have; 0 = as many as the machine.

    Raises `UsageError` where the cluster cannot be reached.
    """

    def __init__(self, logs: Path, *, address: str = "", cores: int = 0, stuck_seconds: float = STUCK_SECONDS) -> None:
        connect(address, cores=cores)
        self._logs = logs
        self._home = LocalEngine(logs)
        self._stuck_seconds, self._looked = stuck_seconds, time.monotonic()
        self._children: dict[str, _Child] = {}
        self._at_home: set[str] = set()
        self._stored: dict[str, tuple[tuple[int, int], Any]] = {}  # path -> (size and time, reference)

    def start(self, name: str, service: str, settings: Message) -> None:
        if not travels(settings):
            self._at_home.add(name)
            self._home.start(name, service, settings)
            return
        gpus = GPU_SHARE if settings.get("device") == "cuda" else 0
        actor = _ACTOR.options(num_cpus=1, num_gpus=gpus, scheduling_strategy="SPREAD").remote()
        ready = actor.prepare.remote(service, settings, self._store(reads(settings)), __version__)
        self._children[name] = _Child(actor, settings, ready)

    def send(self, name: str, message: Message) -> None:
        if name in self._at_home:
            self._home.send(name, message)
            return
        child = self._children[name]
        handle = child.actor.handle.options(
            num_returns="streaming", _generator_backpressure_num_objects=WAITING_ANSWERS
        )
        child.streams.append(handle.remote(message, self._store(reads(message))))

    def finish(self, name: str) -> None:
        if name in self._at_home:
            self._home.finish(name)
        else:
            self._children[name].actor.finish.remote()

    def is_ready(self, name: str) -> bool:
        return name in self._at_home or self._children[name].preparing is None

    def poll(self, timeout_seconds: float) -> list[Answer | Ended]:
        until = time.monotonic() + timeout_seconds
        while True:
            left = max(0.0, until - time.monotonic())
            found = [*self._home.poll(0 if self._awaited() else left), *self._listen(min(left, TURN_SECONDS))]
            if found or left == 0.0:
                return found

    def stop(self, name: str) -> None:
        if name in self._at_home:
            self._at_home.discard(name)
            self._home.stop(name)
        else:
            ray.kill(self._children.pop(name).actor)

    def stop_all(self) -> None:
        for name in list(self._children):
            self.stop(name)
        self._home.stop_all()
        self._at_home.clear()
        self._stored.clear()
        ray.shutdown()

    def _store(self, paths: list[str]) -> dict[str, Any]:
        """References to the contents of files, which go to the object store once and to each node once."""
        for path in paths:
            status = os.stat(path)
            mark = status.st_size, status.st_mtime_ns
            if path not in self._stored or self._stored[path][0] != mark:
                self._stored[path] = mark, ray.put(Path(path).read_bytes())
        while len(self._stored) > max(REMEMBERED_FILES, len(paths)):
            oldest = next(iter(self._stored))
            if oldest in paths:
                self._stored[oldest] = self._stored.pop(oldest)
            else:
                del self._stored[oldest]
        return {path: self._stored[path][1] for path in paths}

    # --- listening -------------------------------------------------------------------------------------------

    def _awaited(self) -> dict[Any, str]:
        """What actors say next, and who says it."""
        said = ((child.awaited(), name) for name, child in self._children.items())
        return {awaited: name for awaited, name in said if awaited is not None}

    def _listen(self, seconds: float) -> list[Answer | Ended]:
        """What actors said, after so long at most."""
        found: list[Answer | Ended] = []
        if awaited := self._awaited():
            ready, _ = ray.wait(list(awaited), num_returns=1, timeout=seconds)
            if ready:
                ready, _ = ray.wait(list(awaited), num_returns=len(awaited), timeout=0)
            for each in ready:
                found += self._hear(awaited[each])
        return found + self._give_up_the_stuck()

    def _hear(self, name: str) -> list[Answer | Ended]:
        """Take what an actor has said."""
        child = self._children[name]
        child.stuck = 0.0
        try:
            if child.preparing is not None:
                return self._hear_preparation(name, child)
            try:
                answer, content = ray.get(next(child.streams[0]))
            except StopIteration:
                child.streams.popleft()
                return []
        except RayTaskError as error:  # a mistake of ours: the child is not what it was
            with open(self._logs / f"{name}.log", "a") as log:
                log.write(str(error) + "\n")
            return [self._lost(name, "an unexpected error, see its log", code=1)]
        except RayError as error:
            return [self._lost(name, _why(error))]
        return [self._taken(name, child, answer, content)]

    def _hear_preparation(self, name: str, child: _Child) -> list[Answer | Ended]:
        message = msgspec.json.decode(ray.get(child.preparing))
        child.preparing = None
        return [Answer(name, message)] if message else []

    def _taken(self, name: str, child: _Child, answer: bytes, content: bytes | None) -> Answer:
        """An answer, once the file that it names is here."""
        message = msgspec.json.decode(answer)
        if content is not None:
            folder = Path(child.settings["out"])
            folder.mkdir(parents=True, exist_ok=True)
            write_atomically(folder / message["file"], content)
        return Answer(name, message, message.pop("cpu", None))

    def _give_up_the_stuck(self) -> list[Answer | Ended]:
        now = time.monotonic()
        passed, self._looked = min(now - self._looked, LONGEST_LOOK_SECONDS), now
        found: list[Answer | Ended] = []
        for name, child in self._children.items():
            child.stuck = child.stuck + passed if child.streams and child.preparing is None else 0.0
            if child.stuck > self._stuck_seconds:
                found.append(self._lost(name, f"hung: its work gave no sign for {child.stuck:.0f} s"))
        return found

    def _lost(self, name: str, reason: str, *, code: int = _LOST) -> Ended:
        """A child that is of no use any more; whoever hears of it stops it."""
        child = self._children[name]
        child.streams.clear()
        child.preparing = None
        ray.kill(child.actor)
        return Ended(name, code, reason)


def connect(address: str, *, cores: int = 0) -> int:
    """Connect to a cluster, or start one here; the number of cores it has now.

    Raises `UsageError` where it cannot be reached.
    """
    if not ray.is_initialized():
        try:
            _knock(address)
            if address:
                ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
            else:
                ray.init(
                    address="local",  # not one that happens to run here already
                    num_cpus=cores or None,
                    include_dashboard=False,
                    log_to_driver=False,
                    logging_level=logging.ERROR,
                )
        except (OSError, RuntimeError, ValueError) as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise UsageError(
                f'no Ray cluster at "{address}" ({reason}); start one with `ray start --head`, name another with '
                "--address, or leave that away to start one on this machine alone"
            ) from None
    return int(ray.cluster_resources().get("CPU", 0))


def _knock(address: str) -> None:
    """See that somebody listens at HOST:PORT: Ray itself tries for many minutes. Raises `OSError` or `ValueError`."""
    host, _, port = address.rpartition(":")
    if host and "//" not in host:
        socket.create_connection((host, int(port)), timeout=KNOCK_SECONDS).close()


def _why(error: RayError) -> str:
    """How an actor was lost, in one line: of Ray's own words the sentence that says it."""
    text = " ".join(str(error).split())
    return "lost: " + (text.partition("The actor is dead because ")[2] or text).partition(". ")[0][:300]
