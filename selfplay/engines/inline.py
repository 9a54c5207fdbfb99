"""Children inside this process, taking turns: for tests and for machines that allow one process only."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from selfplay.engines.engine import Answer, Ended, Message, Service, failure, make_service
from selfplay.errors import DiskFullError, ModelDamaged


class InlineEngine:
    """Every poll gives each child with work one turn; errors of a child surface here as they are,
    but for those that a coordinator can help."""

    def __init__(self) -> None:
        self._services: dict[str, Service] = {}
        self._waiting: dict[str, deque[Message]] = {}
        self._running: dict[str, Iterator[Message | None]] = {}

    def start(self, name: str, service: str, settings: Message) -> None:
        self._services[name] = make_service(service, settings)
        self._waiting[name] = deque()

    def send(self, name: str, message: Message) -> None:
        self._waiting[name].append(message)

    def finish(self, name: str) -> None:
        self._services[name].finish()

    def is_ready(self, name: str) -> bool:
        return True  # what is sent meanwhile waits for it

    def poll(self, timeout_seconds: float) -> list[Answer | Ended]:
        answers: list[Answer | Ended] = []
        for name, waiting in list(self._waiting.items()):
            if name not in self._running and waiting:
                self._running[name] = self._services[name].handle(waiting.popleft())
            if name in self._running:
                answers += self._turn(name)
        return answers

    def stop(self, name: str) -> None:
        self._services.pop(name, None)
        self._waiting.pop(name, None)
        self._running.pop(name, None)

    def stop_all(self) -> None:
        for name in list(self._services):
            self.stop(name)

    def _turn(self, name: str) -> list[Answer | Ended]:
        try:
            for message in self._running[name]:
                return [] if message is None else [Answer(name, message)]
        except (DiskFullError, ModelDamaged) as error:
            del self._running[name]
            return [Answer(name, failure(error))]
        del self._running[name]
        return []
