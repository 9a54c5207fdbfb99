"""Plays contributed games again in a process beside, and tells which differ. Knows no contributors."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import msgspec

from selfplay.engines.engine import Answer, Ended, Message
from selfplay.engines.local import LocalEngine
from selfplay.errors import ProcessError
from selfplay.samples.batch_file import GameRecord
from selfplay.worker.process import WorkerSetup
from selfplay.worker.replay import difference

SERVICE, CHECKER = "selfplay.worker.replay:make_replayer", "checker"
MOST_DEATHS = 5  # of the process, in a row
AT_ONCE = 64  # games that are played again side by side


@dataclass(frozen=True)
class Suspect:
    """A game that is to be played again."""

    owner: str  # whose it is
    round: int
    record: GameRecord


class Verdict(NamedTuple):
    """What came of it."""

    suspect: Suspect
    difference: str  # empty = the game is what it says


class Checker:
    """One process that plays games again.

    Args:
        setup: of the run's workers.
        logs: folder for the process's log.
    """

    def __init__(self, setup: WorkerSetup, logs: Path) -> None:
        self._settings: Message = msgspec.to_builtins(setup)
        self._engine = LocalEngine(logs)
        self._engine.start(CHECKER, SERVICE, self._settings)
        self._waiting: deque[tuple[Suspect, Message]] = deque()
        self._at_work: list[Suspect] = []
        self._asked: Message | None = None  # what the process is at
        self._deaths = 0
        self._digests: dict[str, str] = {}  # of this machine's arithmetic, by model

    def digest(self, model: Path, fingerprint: str) -> str | None:
        """What a test of this machine's arithmetic gives with a model; None = ask again, it is being found out."""
        if fingerprint not in self._digests and self._asked is None:
            self._ask({"model": str(model), "fingerprint": fingerprint})
        return self._digests.get(fingerprint)

    def check(self, suspect: Suspect, model: Path, fingerprint: str) -> None:
        """Have a game played again that this model is said to have played."""
        self._waiting.append((suspect, {"model": str(model), "fingerprint": fingerprint, "round": suspect.round}))

    @property
    def pending(self) -> int:
        """Games that are to be played again."""
        return len(self._waiting) + len(self._at_work)

    def look(self) -> list[Verdict]:
        """What is known by now. Raises `ProcessError` where the process fails again and again."""
        verdicts: list[Verdict] = []
        for item in self._engine.poll(0):
            if isinstance(item, Ended):
                self._begin_again(item)
            else:
                verdicts += self._hear(item)
        if self._asked is None and self._waiting:
            self._ask_for_next()
        return verdicts

    def stop(self) -> None:
        """End the process."""
        self._engine.stop_all()

    def _ask(self, message: Message) -> None:
        self._asked = message
        self._engine.send(CHECKER, message)

    def _ask_for_next(self) -> None:
        """The next games of one round, some at once."""
        task = self._waiting[0][1]
        while self._waiting and self._waiting[0][1] == task and len(self._at_work) < AT_ONCE:
            self._at_work.append(self._waiting.popleft()[0])
        self._ask({**task, "games": sorted({suspect.record.number for suspect in self._at_work})})

    def _hear(self, answer: Answer) -> list[Verdict]:
        message, asked = answer.message, self._asked
        if message["event"] == "failed":
            raise ProcessError(f"contributed games cannot be checked: {message['reason']}")
        self._asked, self._deaths = None, 0
        if message["event"] == "tested":
            assert asked is not None
            self._digests[asked["fingerprint"]] = message["digest"]
            return []
        played = {record.number: record for record in msgspec.convert(message["records"], list[GameRecord])}
        suspects, self._at_work = self._at_work, []
        return [Verdict(suspect, difference(suspect.record, played[suspect.record.number])) for suspect in suspects]

    def _begin_again(self, ended: Ended) -> None:
        self._deaths += 1
        if self._deaths >= MOST_DEATHS:
            raise ProcessError(f"the process that checks games died {self._deaths} times in a row: {ended}")
        self._engine.stop(CHECKER)
        self._engine.start(CHECKER, SERVICE, self._settings)
        if self._asked is not None:
            self._engine.send(CHECKER, self._asked)
