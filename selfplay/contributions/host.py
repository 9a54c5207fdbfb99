"""One run that takes contributions: hands out its missing games, checks what comes back, writes what is good.

Works beside the coordinator of the run, by its folder alone: batches of a contributor go to a worker's folder of its
own, where the coordinator finds them like any other's. Nothing a stranger sends is believed:

    what is said of a game   must agree with itself, the rules, the settings, the seeds (`samples/collector.py`)
    who says it              must have been given that game
    whether it was played    a share of everybody's games, drawn here, is played again and compared bit by bit; of the
                             first batches one game each

A round's games are held back until they complete it, so that of somebody who is found out nothing has got into it. A
machine whose arithmetic gives other bits is told so when it wants to join: its games would be honest and not equal.
"""

from __future__ import annotations

import random
import secrets
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from selfplay import __version__
from selfplay.contributions.checks import Checker, Suspect, Verdict
from selfplay.contributions.ledger import Contributor, Ledger
from selfplay.contributions.protocol import (
    MOST_BATCH_BYTES,
    Alive,
    Job,
    Joined,
    Joining,
    Newest,
    Receipt,
    Refused,
    RunCard,
    Wish,
)
from selfplay.contributions.run_folder import RunFolder
from selfplay.errors import BatchError, SelfplayError
from selfplay.rundir.layout import RunLayout
from selfplay.samples.batch_file import GameRecord, decode_batch
from selfplay.worker.process import WorkerSetup

PROBATION_BATCHES = 10  # of which one game each is played again
MOST_MALFORMED = 5
WAIT_SECONDS = 1.0  # before a contributor asks again
LOOK_SECONDS = 0.5  # between two listings of the run's folder


@dataclass
class _Held:
    """A contributor's games of the open round."""

    games: dict[int, GameRecord] = field(default_factory=dict)
    suspected: set[int] = field(default_factory=set)  # that are being played again


@dataclass(frozen=True)
class Care:
    """How much is checked, and how long is waited.

    Attributes:
        share: of the games of every contributor, that are played again.
        patience_seconds: how long somebody may be silent before its games are given to others.
    """

    share: float = 0.1
    patience_seconds: float = 60.0


class Host:
    """See the head of this file; not for several threads.

    Args:
        layout: the run's.
        care: how much is checked.
        clock: seconds, rising.
        say: gets a line when something happened that people want to read.
        draw: which games are checked; nobody else may know.

    Raises `RunError` where the folder holds no run.
    """

    def __init__(
        self,
        layout: RunLayout,
        care: Care,
        *,
        clock: Callable[[], float],
        say: Callable[[str], None],
        draw: random.Random | None = None,
    ) -> None:
        self._care, self._clock, self._say = care, clock, say
        self._draw = draw or random.SystemRandom()
        self._run = RunFolder(layout)
        self._ledger = Ledger(care.patience_seconds)
        self._checker = Checker(WorkerSetup.of(self._run.settings, layout.root), layout.logs)
        self._held: dict[str, _Held] = {}  # by contributor
        self._others: Counter[str] = Counter()  # machines with other arithmetic, by digest
        self._looked = float("-inf")
        self.failure: SelfplayError | None = None  # what ended it, for whoever serves it
        self._folders = self._run.first_free_folder()
        self.look()

    # --- what contributors ask -------------------------------------------------------------------------------

    def card(self) -> RunCard:
        """What is played."""
        return self._run.card()

    def newest(self) -> Newest:
        """The model that plays now."""
        fingerprint = self._run.fingerprint
        return Newest(round=self._run.round if fingerprint else 0, fingerprint=fingerprint)

    def model(self, fingerprint: str) -> bytes:
        """The inference twin with this fingerprint, of the open round."""
        newest = self.newest()
        if not newest.round or fingerprint != newest.fingerprint:
            raise Refused(409, "that model does not play any more: ask for the newest one")
        return self._run.twin.read_bytes()

    def join(self, joining: Joining) -> Joined:
        """Let somebody in whose arithmetic gives this machine's bits."""
        if joining.version != __version__:
            raise Refused(
                409, f"this run is made by selfplay {__version__}, you have {joining.version}: install that one"
            )
        newest = self.newest()
        if not newest.round or joining.fingerprint != newest.fingerprint:
            raise Refused(409, "that model does not play any more: test with the newest one")
        own = self._checker.digest(self._run.twin, newest.fingerprint)
        if own is None:
            raise Refused(429, "this machine is still finding out what it computes itself")
        if joining.digest != own:
            self._others[joining.digest] += 1
            raise Refused(
                409,
                f"your machine computes other bits than this run's (group {joining.digest[:8]}, here {own[:8]}): "
                "another instruction set, or other versions of the packages. Nothing is wrong with it, but its games "
                "could not be told from forged ones; it can take part in a run whose host is of its kind",
            )
        found = self._ledger.join(secrets.token_hex(16), joining.name, number=self._folders, now=self._clock())
        self._folders += 1
        self._say(f"{found.name} joined, as worker_{found.number}")
        return Joined(contributor=found.id)

    def job(self, wish: Wish) -> Job:
        """Games to play."""
        self._known(wish.contributor)
        newest = self.newest()
        games = None
        if newest.round and self._run.is_worked_on:  # else nobody would train on them
            games = self._ledger.lease(
                wish.contributor, self._run.round, self._wanted(), wish=wish.games, now=self._clock()
            )
        if games is None:
            return Job(round=0, fingerprint="", first_game=0, num_games=0, wait_seconds=WAIT_SECONDS)
        return Job(
            round=self._run.round,
            fingerprint=newest.fingerprint,
            first_game=games.start,
            num_games=len(games),
            wait_seconds=0.0,
        )

    def alive(self, alive: Alive) -> Alive:
        """Somebody is still there."""
        self._known(alive.contributor)
        return alive

    def take(self, id: str, content: bytes) -> Receipt:
        """A batch of somebody's: judged at once by what it says, and held back. Raises `Refused`."""
        contributor = self._known(id)
        if len(content) > MOST_BATCH_BYTES:
            raise Refused(413, f"a batch has {MOST_BATCH_BYTES:,} bytes at most")
        records = self._judged(contributor, content)
        held = self._held.setdefault(id, _Held())
        numbers = {record.number for record in records}
        if len(numbers) < len(records):  # one to be checked, one to be learnt from
            raise Refused(400, "a game is in it twice")
        if numbers & held.games.keys() or not self._ledger.has_leased(id, self._run.round, numbers):
            raise Refused(409, "these games are not yours to play (any more)")
        contributor.batches += 1
        self._ledger.settle(id, numbers)
        held.games |= {record.number: record for record in records}
        for record in self._chosen(contributor, records):
            held.suspected.add(record.number)
            suspect = Suspect(id, self._run.round, record)
            self._checker.check(suspect, self._run.twin, self._run.fingerprint)
        self._complete_round()
        return Receipt(games=len(records))

    # --- what happens meanwhile ------------------------------------------------------------------------------

    def look(self) -> None:
        """Note what changed; to be called again and again. Raises `ProcessError` where games cannot be checked."""
        for verdict in self._checker.look():
            self._note_verdict(verdict)
        now = self._clock()
        for silent in self._ledger.forget_silent(now):
            self._say(f"{silent.name} (worker_{silent.number}) has fallen silent: its games are given to others")
        if now - self._looked >= LOOK_SECONDS:
            self._looked = now
            self._look_at_run()
        self._complete_round()

    @property
    def contributors(self) -> list[Contributor]:
        """Who contributed, in order of their folders."""
        return list(self._ledger.contributors.values())

    @property
    def other_groups(self) -> dict[str, int]:
        """How often machines of other arithmetic wanted to join, by the first digits of what they compute."""
        return {digest[:8]: count for digest, count in self._others.items()}

    @property
    def held(self) -> int:
        """Games that are held back until the round is complete."""
        return sum(len(held.games) for held in self._held.values())

    def stop(self) -> None:
        """End the process that checks."""
        self._checker.stop()

    def _look_at_run(self) -> None:
        """Which round is open, and what is there of it."""
        if self._run.look():
            self._held.clear()
        if self._run.fingerprint:
            self._checker.digest(self._run.twin, self._run.fingerprint)  # so that it is known when somebody joins

    def _wanted(self) -> list[int]:
        """Games of the open round that nobody has sent."""
        there = {number for held in self._held.values() for number in held.games}
        return [number for number in self._run.missing() if number not in there]

    def _note_verdict(self, verdict: Verdict) -> None:
        suspect = verdict.suspect
        contributor, number = self._ledger.contributors[suspect.owner], suspect.record.number
        if verdict.difference:
            self._drop(contributor, f"its game {number} of round {suspect.round} {verdict.difference}")
            return
        contributor.checked += 1
        if suspect.round == self._run.round and suspect.owner in self._held:
            self._held[suspect.owner].suspected.discard(number)

    def _drop(self, contributor: Contributor, reason: str) -> None:
        """Take nothing more from somebody, and nothing of what is held back."""
        if contributor.dropped:
            return
        contributor.dropped = reason
        held = self._held.pop(contributor.id, _Held())
        self._ledger.release(contributor.id)
        then = f"; {len(held.games)} games of it were held back and are played again"
        if contributor.games:
            then += (
                f". {contributor.games} games of earlier rounds are its own, in worker_{contributor.number}: "
                f"`selfplay verify {self._run.layout.root} --replay 1` plays all games again"
            )
        self._say(f"{contributor.name} (worker_{contributor.number}) is dropped: {reason}{then}")

    def _complete_round(self) -> None:
        """Write what is held back, once that completes the round and nothing of it is under suspicion."""
        if not self._run.round or not self.held or any(held.suspected for held in self._held.values()):
            return
        missing = set(self._run.missing())
        there = {number for held in self._held.values() for number in held.games}
        if not missing <= there:
            return
        for id, held in self._held.items():
            wanted = sorted(missing & held.games.keys())
            contributor = self._ledger.contributors[id]
            self._run.write(contributor.number, [held.games[number] for number in wanted])
            contributor.games += len(wanted)
            missing.difference_update(wanted)
        self._held.clear()
        self._look_at_run()

    def _known(self, id: str) -> Contributor:
        found = self._ledger.hear(id, self._clock())
        if found is None:
            raise Refused(403, "nobody of that name has joined: join again")
        if found.dropped:
            raise Refused(403, f"nothing more is taken from you: {found.dropped}")
        return found

    def _judged(self, contributor: Contributor, content: bytes) -> list[GameRecord]:
        """The games of a batch that agree with themselves and the run. Raises `Refused`."""
        try:
            batch = decode_batch(content)
            if batch.round != self._run.round:
                raise Refused(409, f"round {batch.round} is not open (any more)")
            games = self._run.judge(batch)
        except BatchError as error:
            contributor.malformed += 1
            if contributor.malformed >= MOST_MALFORMED:
                self._drop(contributor, f"{MOST_MALFORMED} of its batches could not be used, the last one: {error}")
            raise Refused(400, str(error)) from None
        if games is None:
            raise Refused(409, "the model of that round is not here")
        return [game.record for game in games]

    def _chosen(self, contributor: Contributor, records: list[GameRecord]) -> list[GameRecord]:
        """Games of a batch to be played again."""
        chosen = [record for record in records if self._draw.random() < self._care.share]
        if not chosen and self._care.share > 0 and contributor.batches <= PROBATION_BATCHES:
            chosen = [self._draw.choice(records)]
        return chosen
