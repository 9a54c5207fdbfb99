"""The other end of `engines/local.py`: a process that serves one service over standard input and output.

Ends when standard input closes (its coordinator is gone or wants it to end) or on SIGTERM, between two steps of its
work. SIGINT is left to the coordinator: Ctrl-C in a terminal reaches every process of the group.
"""

from __future__ import annotations

import os
import queue
import signal
import stat
import sys
import threading
import time
from collections.abc import Iterable, Iterator

import msgspec

from selfplay.engines.engine import Message, Service, make_service
from selfplay.errors import SelfplayError

GRACE_SECONDS = 0.5  # between the end of standard input and the end by force


class StopWatch:
    """Notices that this process shall end: SIGTERM, or a closed standard input."""

    def __init__(self) -> None:
        self.lines: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()  # of standard input; None = closed
        self._stopped = threading.Event()

    def watch(self) -> None:
        """Begin. Signal handlers set a flag, no more."""
        signal.signal(signal.SIGTERM, lambda *_: self._note_stop())
        if _can_close(sys.stdin.fileno()):
            threading.Thread(target=self._read, daemon=True).start()

    @property
    def stopped(self) -> bool:
        """Whether to end now."""
        return self._stopped.is_set()

    def _note_stop(self) -> None:
        self._stopped.set()
        self.lines.put(None)

    def _read(self) -> None:
        """Runs in a thread. Reads the descriptor itself: a thread that waits inside `sys.stdin` holds its lock, and
        Python then aborts at exit."""
        rest = b""
        while block := os.read(sys.stdin.fileno(), 65_536):
            *lines, rest = (rest + block).split(b"\n")
            for line in lines:
                self.lines.put(line)
        self._note_stop()
        # Whatever the process is at (an import, a long step), it ends: files are whole at any moment.
        time.sleep(GRACE_SECONDS)
        os._exit(0)


def _can_close(descriptor: int) -> bool:
    """Whether the end of this input means anything: a pipe, a socket, a terminal; not /dev/null or a file."""
    mode = os.fstat(descriptor).st_mode
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or os.isatty(descriptor)


def write_until_stopped(messages: Iterable[Message | None], watch: StopWatch) -> None:
    """Write messages as JSON lines until they or the time of this process end."""
    for message in messages:
        if message is not None:
            sys.stdout.buffer.write(msgspec.json.encode(message) + b"\n")
            sys.stdout.buffer.flush()
        if watch.stopped:
            return


def serve(service: Service, watch: StopWatch) -> None:
    """Answer messages until told to end."""
    while (line := watch.lines.get()) is not None and not watch.stopped:
        write_until_stopped(_answers(service, msgspec.json.decode(line)), watch)


def _answers(service: Service, message: Message) -> Iterator[Message | None]:
    """The service's answers; a failure that the user can act on travels as a message, in one line."""
    try:
        yield from service.handle(message)
    except SelfplayError as error:
        yield {"event": "failed", "reason": str(error), "exit_code": error.exit_code}


def main() -> None:
    """`python -m selfplay.engines.child package.module:function SETTINGS`."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    watch = StopWatch()
    watch.watch()
    try:
        serve(make_service(sys.argv[1], msgspec.json.decode(sys.argv[2])), watch)
    except SelfplayError as error:
        write_until_stopped([{"event": "failed", "reason": str(error), "exit_code": error.exit_code}], watch)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        os._exit(1)  # the coordinator is gone; nothing is left to say or to flush


if __name__ == "__main__":
    main()
