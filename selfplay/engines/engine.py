"""The contract between the coordinator and whatever runs its children: threads of nothing, processes, a cluster.

A child is a *service*: a function's dotted name makes it from a settings value, and then every message that is sent
to it yields answers. All values are JSON tables. A service ends when it is stopped or when its coordinator is gone.

    start(name, service, settings)   begin a child
    send(name, message)              give it work; it works through its messages one after another
    finish(name)                     have it bring the work in hand to a good end soon, and begin nothing new
    poll(timeout_seconds)            what came from all children since the last call
    is_ready(name)                   whether it could begin at once: a cluster may have no room for it yet
    stop(name)                       end a child; nothing of it is left when this returns

Three fields of these tables tell an engine which files a service needs, so that it can run on a machine that does not
see the run's folder (`staging.py`):

    "out"    in settings: the one folder that the service writes to; one without may write anywhere, and stays here
    "reads"  in settings and messages: paths of the files that it opens, as they stand elsewhere in the table
    "file"   in an answer: name of a file that is finished in `out` now

A fourth, "polite" in settings, says that the child works beside one that is more urgent, and shall leave it the cores.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from selfplay.errors import DiskFullError, ModelDamaged, SelfplayError

Message = dict[str, Any]
ALIVE = "alive"  # the event by which a child's process says that it runs
FINISH = b'"finish"'  # the line that stands for `finish`


class Service(Protocol):
    """A child's work. Answers are yielded as they come; None = still at work, a good moment to be stopped."""

    def handle(self, message: Message) -> Iterator[Message | None]: ...

    def finish(self) -> None:
        """Begin nothing new within the message in hand; may be called again and again."""
        ...


@dataclass(frozen=True)
class Answer:
    """A message from a child."""

    child: str
    message: Message
    cpu_seconds: float | None = field(default=None, compare=False)  # that its process has used by then, if it says


@dataclass(frozen=True)
class Ended:
    """A child that ended without being asked to, or was ended because it hung."""

    child: str
    code: int  # exit code; below zero = killed by that signal
    reason: str = ""  # why the engine ended it; empty = it ended by itself


class Engine(Protocol):
    """Runs services; see the head of this file."""

    def start(self, name: str, service: str, settings: Message) -> None: ...

    def send(self, name: str, message: Message) -> None: ...

    def finish(self, name: str) -> None: ...

    def is_ready(self, name: str) -> bool: ...

    def poll(self, timeout_seconds: float) -> list[Answer | Ended]: ...

    def stop(self, name: str) -> None: ...

    def stop_all(self) -> None: ...


def failure(error: SelfplayError) -> Message:
    """What a child says that met a failure in plain words; with what can be helped, if it can."""
    message: Message = {"event": "failed", "reason": str(error), "exit_code": error.exit_code}
    if isinstance(error, DiskFullError):
        message["no_room"] = True
    if isinstance(error, ModelDamaged):
        message["damaged"] = str(error.path)
    return message


def obstacle(message: Message) -> DiskFullError | ModelDamaged | None:
    """The failure again, from such a message, if it is one of those that can be helped."""
    if message.get("no_room"):
        return DiskFullError(message["reason"])
    return ModelDamaged(Path(message["damaged"]), message["reason"]) if "damaged" in message else None


def make_service(dotted_name: str, settings: Message) -> Service:
    """The service that `package.module:function` makes of its settings."""
    module_name, _, attribute = dotted_name.partition(":")
    maker: Callable[[Message], Service] = getattr(importlib.import_module(module_name), attribute)
    return maker(settings)
