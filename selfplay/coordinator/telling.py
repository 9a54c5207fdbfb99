"""What a coordinator tells: the run's log, lines for people, and its status a few times a second. Decides nothing."""

from __future__ import annotations

import time
from collections.abc import Callable

from selfplay.coordinator.status import Status
from selfplay.rundir.event_types import AnyEvent
from selfplay.rundir.events import EventLog

EVENT_SECONDS = 2.0  # between two progress events
FEW_WORKERS = 200  # with more, progress events are rarer, since each tells of every worker


class Telling:
    """The one place that all parts of a coordinator tell things to.

    Args:
        events: the run's log.
        status: what is known of the run; its parts note things there.
        workers: how many it works with.
        show: gets the status a few times a second.
        say: gets a line when something happened that people want to read.
    """

    def __init__(
        self,
        events: EventLog,
        status: Status,
        *,
        workers: int,
        show: Callable[[Status], None],
        say: Callable[[str], None],
    ) -> None:
        self.status = status
        self.say = say
        self.log: Callable[[AnyEvent], None] = events.add  # what happened, for monitors and reports
        self._show = show
        self._event_seconds = EVENT_SECONDS * max(1.0, workers / FEW_WORKERS)
        self._began, self._last_event = time.monotonic(), 0.0

    def report(self) -> None:
        """Show where the run stands; now and then the log says so too."""
        now = time.monotonic()
        self.status.seconds_left = self.status.estimate_seconds_left(now - self._began)
        self._show(self.status)
        if now - self._last_event >= self._event_seconds:
            self._last_event = now
            self.log(self.status.as_event())

    def lap(self) -> dict[str, float]:
        """CPU and wall time since a round was last played or trained, for events."""
        self.status.cpu.note("coordinator", time.process_time())
        return self.status.cpu.lap(time.monotonic())
