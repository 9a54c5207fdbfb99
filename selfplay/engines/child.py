"""The other end of `engines/local.py`: a process that serves one service over standard input and output.

Ends when standard input closes (its coordinator wants it to end, or is gone; on Linux the system kills it then, at
once), between two steps of its work. On SIGTERM, which a batch system sends to all processes of a job, it brings what
is in hand to an end first and begins nothing new; on a second one it ends at once. SIGINT is left to the coordinator:
Ctrl-C in a terminal reaches every process of the group.

Once a second a thread says {"event": "alive", "busy": …, "signs": …}: that the process runs, whether it works on a
message, and how often that work gave a sign so far. The engine keeps these to itself.
"""

from __future__ import annotations

import os
import queue
import signal
import stat
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator

import msgspec

from selfplay.engines.engine import ALIVE, FINISH, Message, Service, failure, make_service
from selfplay.errors import SelfplayError
from selfplay.machine import die_with_parent

GRACE_SECONDS = 0.5  # between the end of standard input and the end by force
BEAT_SECONDS = 1.0
POLITENESS = 10  # of those that work beside the trainer: its threads wait for each other, and one held up holds up all
STANDARD_OUTPUT = 1


class StopWatch:
    """Notices that this process shall end: now (standard input closed), or soon (SIGTERM)."""

    def __init__(self) -> None:
        self.lines: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()  # of standard input; None = closed
        self._stopped = threading.Event()
        self._finishing = threading.Event()
        self._leaving = threading.Event()

    def watch(self) -> None:
        """Begin. Signal handlers set a flag, no more."""
        signal.signal(signal.SIGTERM, lambda *_: self._note_stop() if self.leaving else self._leave())
        if _can_close(sys.stdin.fileno()):
            threading.Thread(target=self._read, daemon=True).start()

    @property
    def finishing(self) -> bool:
        """Whether to begin nothing new."""
        return self._finishing.is_set()

    @property
    def leaving(self) -> bool:
        """Whether to end once what is in hand is done."""
        return self._leaving.is_set()

    @property
    def stopped(self) -> bool:
        """Whether to end now."""
        return self._stopped.is_set()

    def _leave(self) -> None:
        self._leaving.set()
        self._finishing.set()
        self.lines.put(None)

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
                self._finishing.set() if line == FINISH else self.lines.put(line)
        self._note_stop()
        # Whatever the process is at (an import, a long step), it ends: files are whole at any moment.
        time.sleep(GRACE_SECONDS)
        os._exit(0)


def _can_close(descriptor: int) -> bool:
    """Whether the end of this input means anything: a pipe, a socket, a terminal; not /dev/null or a file."""
    mode = os.fstat(descriptor).st_mode
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or os.isatty(descriptor)


class Voice:
    """Writes messages as JSON lines, from more than one thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._signs, self._busy = 0, True

    def say(self, message: Message) -> None:
        """Write one message, to the descriptor itself: Python aborts at exit where a thread is inside `sys.stdout`.

        It also says what CPU time this process has used, in seconds.
        """
        rest = msgspec.json.encode({**message, "cpu": round(time.process_time(), 3)}) + b"\n"
        with self._lock:
            while rest:
                rest = rest[os.write(STANDARD_OUTPUT, rest) :]

    def say_until_stopped(
        self, messages: Iterable[Message | None], watch: StopWatch, *, finish: Callable[[], None] = lambda: None
    ) -> None:
        """Write messages until they or the time of this process end; where they shall end soon, `finish` is called."""
        self._busy = True
        for message in messages:
            self._signs += 1
            if message is not None:
                self.say(message)
            if watch.finishing:
                finish()
            if watch.stopped:
                return
        self.rest()

    def rest(self) -> None:
        """There is no work to give signs."""
        self._busy = False

    def beat(self) -> None:
        """Begin to say that this process lives."""
        threading.Thread(target=self._beat, daemon=True).start()

    def _beat(self) -> None:
        try:
            while True:
                self.say({"event": ALIVE, "busy": self._busy, "signs": self._signs})
                time.sleep(BEAT_SECONDS)
        except OSError:  # the coordinator is gone, and this process ends by another way
            return


def serve(make: Callable[[], Service], watch: StopWatch, voice: Voice) -> None:
    """Answer messages until told to end."""
    service = make()
    voice.rest()
    while (line := watch.lines.get()) is not None and not watch.stopped and not watch.leaving:
        voice.say_until_stopped(_answers(service, msgspec.json.decode(line)), watch, finish=service.finish)


def _answers(service: Service, message: Message) -> Iterator[Message | None]:
    """The service's answers; a failure that the user can act on travels as a message, in one line."""
    try:
        yield from service.handle(message)
    except SelfplayError as error:
        yield failure(error)


def main() -> None:
    """`python -m selfplay.engines.child package.module:function SETTINGS`."""
    die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    settings = msgspec.json.decode(sys.argv[2])
    if settings.get("polite"):
        os.nice(POLITENESS)
    watch, voice = StopWatch(), Voice()
    watch.watch()
    voice.beat()
    try:
        serve(lambda: make_service(sys.argv[1], settings), watch, voice)
    except SelfplayError as error:
        voice.say(failure(error))
        sys.exit(error.exit_code)
    except BrokenPipeError:
        os._exit(1)  # the coordinator is gone; nothing is left to say or to flush
    # All it wrote is on the disk. Python would take apart what torch built first, for a second or two.
    os._exit(0)


if __name__ == "__main__":
    main()
