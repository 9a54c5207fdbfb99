"""The process that computes on a GPU for all workers of a machine: it gathers what they ask into full passes.

Workers then need no torch, their trees stay small enough for a core's own cache, and the GPU works through thousands of
positions at once while other workers search. The first worker that finds no such process starts it (`gpu_client.py`);
it ends when the last one is gone. What is said and which memory is shared: `gpu_messages.py`. Rows of a pass do not
touch each other, so that who else asks makes no difference to what a worker is told.

    python -m selfplay.evaluation.gpu_service SOCKET LOCK DEVICE
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import selectors
import signal
import socket
import sys
from collections import deque
from pathlib import Path
from typing import NamedTuple

from selfplay.errors import SelfplayError
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
from selfplay.evaluation.torch_evaluator import Lane, Outputs, TorchNetwork

LANES = 3  # of a model: one that is being filled, one that computes, one that is copied or told of
LINGER_SECONDS = 5.0  # without anybody to compute for, until the end
HANDSHAKE_SECONDS = 10.0  # for what a worker says when it connects; all others wait meanwhile
_NOBODY = -1


class Client:
    """A worker."""

    def __init__(self, connection: socket.socket, model: Model, shared: Shared) -> None:
        self.connection, self.model, self.shared = connection, model, shared
        self.rows_left = 0  # of its request, that are not answered yet

    def ask(self, rows: int) -> None:
        """So many rows are to be judged."""
        self.rows_left = rows
        self.model.take(Part(self, 0, rows))

    def tell(self, part: Part, outputs: Outputs, place: int) -> None:
        """Rows from `place` on of what a pass gave are this worker's."""
        rows, found = slice(part.first, part.first + part.rows), slice(place, place + part.rows)
        self.shared.logits[rows], self.shared.outcomes[rows] = (output[found] for output in outputs)
        self.rows_left -= part.rows
        if self.rows_left == 0:
            with contextlib.suppress(OSError):  # it is gone: that is noticed where messages are read
                self.connection.sendall(DONE)


class Part(NamedTuple):
    """Rows of a worker's request."""

    client: Client
    first: int
    rows: int


class Pass:
    """A pass that is filled, under way, or done, and whose rows it has, in order."""

    def __init__(self, model: Model, lane: Lane) -> None:
        self.model, self.lane = model, lane
        self.parts: list[Part] = []
        self.rows = 0

    def add(self, part: Part) -> Part | None:
        """Copy a part's planes, as far as there is room; what is left of it."""
        rows = min(part.rows, self.model.rows - self.rows)
        self.lane.planes[self.rows : self.rows + rows] = part.client.shared.planes[part.first : part.first + rows]
        self.parts.append(Part(part.client, part.first, rows))
        self.rows += rows
        return Part(part.client, part.first + rows, part.rows - rows) if rows < part.rows else None

    def deliver(self) -> None:
        """Tell whose rows it had."""
        outputs, place = self.lane.finish(), 0
        for part in self.parts:
            part.client.tell(part, outputs, place)
            place += part.rows


class Model:
    """A network, the passes that it has under way, and what waits for it."""

    def __init__(self, network: TorchNetwork) -> None:
        self.card = network.card
        self.rows = network.rows
        self._lanes = [network.lane() for _ in range(LANES)]  # that are free
        self._next: Pass | None = None  # is being filled
        self._under_way = 0
        self._waiting: deque[Part] = deque()

    def take(self, part: Part) -> None:
        """A request, or what is left of one."""
        self._waiting.append(part)
        self._fill()

    def begin(self) -> Pass | None:
        """Begin the next pass, if it is full or the GPU has nothing else to do for this network."""
        ready = self._next
        if ready is None or (ready.rows < self.rows and self._under_way):
            return None
        ready.lane.begin()
        self._under_way += 1
        self._next = None
        self._fill()
        return ready

    def end(self) -> None:
        """A pass is done: the GPU could begin the next one."""
        self._under_way -= 1

    def free(self, over: Pass) -> None:
        """A pass was delivered: its lane can be filled again."""
        self._lanes.append(over.lane)
        self._fill()

    def _fill(self) -> None:
        """Copy what waits into the next pass, as far as there is room."""
        while self._waiting and (self._next is not None or self._lanes):
            if self._next is None:
                self._next = Pass(self, self._lanes.pop())
            if self._next.rows == self.rows:
                return
            left = self._next.add(self._waiting.popleft())
            if left is not None:
                self._waiting.appendleft(left)


class GpuService:
    """Serves whoever connects.

    Args:
        listener: where workers connect.
        device: "cuda", or "cpu" for tests.
    """

    def __init__(self, listener: socket.socket, device: str) -> None:
        self._listener, self._device = listener, device
        self._models: dict[tuple[str, int, int], Model] = {}  # by path, time and size of the file
        self._clients: dict[int, Client] = {}  # by descriptor
        self._passes: deque[Pass] = deque()  # under way, in the order in which they were begun
        self._poll = selectors.EpollSelector()
        self._poll.register(listener, selectors.EVENT_READ, _NOBODY)

    def serve(self) -> None:
        """Work until nobody has been there for a while."""
        while self._listen() or self._clients or self._passes:
            self._begin()
            if self._passes and self._passes[0].lane.is_done():
                over = self._passes.popleft()
                over.model.end()
                self._begin()  # first: what is told can be told while the GPU computes
                over.deliver()
                over.model.free(over)

    def is_wanted(self) -> bool:
        """Whether somebody is about to connect."""
        return bool(self._poll.select(0.0))

    def _listen(self) -> bool:
        """Take in what there is to hear, waiting for it where there is nothing to do; whether there was anything."""
        patience = 0.0 if self._passes else None if self._clients else LINGER_SECONDS
        heard = self._poll.select(patience)
        for key, _ in heard:
            if key.data == _NOBODY:
                self._welcome()
            else:
                self._hear(self._clients[key.data])
        return bool(heard)

    def _welcome(self) -> None:
        """Somebody connects: load the network it wants, map its memory."""
        connection, _ = self._listener.accept()
        connection.settimeout(HANDSHAKE_SECONDS)
        try:
            model = self._model(Path(receive_frame(connection, Ask).model))
            send_frame(connection, Reply(card=model.card))
            _, descriptors, _, _ = socket.recv_fds(connection, 1, 1)
            shared = Shared(model.card, descriptors[0])
            os.close(descriptors[0])
        except SelfplayError as error:
            with contextlib.suppress(OSError):
                send_frame(connection, Reply(error=str(error)))
            connection.close()
            return
        except (OSError, ValueError, IndexError):  # it went, or is none of ours
            connection.close()
            return
        self._clients[connection.fileno()] = Client(connection, model, shared)
        self._poll.register(connection, selectors.EVENT_READ, connection.fileno())

    def _model(self, path: Path) -> Model:
        """The network in a file, loaded once. Those that nobody uses any more go first."""
        used = {id(client.model) for client in self._clients.values()}
        self._models = {key: model for key, model in self._models.items() if id(model) in used}
        status = path.stat() if path.exists() else None  # else the loader says what is wrong
        key = str(path), status.st_mtime_ns if status else 0, status.st_size if status else 0
        if key not in self._models:
            self._models[key] = Model(TorchNetwork(path, device=self._device))
        return self._models[key]

    def _hear(self, client: Client) -> None:
        """A request, or the end of a worker."""
        try:
            count = int.from_bytes(receive(client.connection, COUNT_BYTES), "little")
            if not 0 < count <= ROWS or client.rows_left:
                raise ConnectionError(f"{count} positions, while {client.rows_left} are not answered")
        except OSError:
            self._poll.unregister(client.connection)
            del self._clients[client.connection.fileno()]
            client.connection.close()
            return
        client.ask(count)

    def _begin(self) -> None:
        """Begin every pass that should be."""
        for model in self._models.values():
            while (begun := model.begin()) is not None:
                self._passes.append(begun)


def main() -> None:
    """Serve at a socket; the lock keeps whoever is about to connect from meeting one that is about to end."""
    path, lock_path, device = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the coordinator: with its workers this ends too
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener, lock_path.open("w") as lock:
        path.unlink(missing_ok=True)  # of one that was killed: who starts this holds the lock
        listener.bind(str(path))
        listener.listen(4096)
        service = GpuService(listener, device)
        while True:
            service.serve()
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if not service.is_wanted():
                    path.unlink(missing_ok=True)
                    return
            fcntl.flock(lock, fcntl.LOCK_UN)


if __name__ == "__main__":
    main()
