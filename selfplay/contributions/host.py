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
from pathlib import Path

import msgspec

from selfplay import __version__
from selfplay.config import settings_of_run
from selfplay.contributions.checks import Checker, Suspect, Verdict
from selfplay.contributions.ledger import Contributor, Ledger
from selfplay.contributions.protocol import (
    MOST_BATCH_BYTES,
    PROTOCOL,
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
from selfplay.errors import BatchError, RunError
from selfplay.files import ensure_directory, read_file, write_atomically
from selfplay.games.registry import load_rules, rules_files
from selfplay.rundir.facts import ModelsOnDisk
from selfplay.rundir.gates import PlayingModels
from selfplay.rundir.layout import RunLayout, inference_twin
from selfplay.rundir.listing import NewBatches
from selfplay.rundir.lock import holder
from selfplay.samples.batch_file import GAMES_PER_FILE, BatchHeader, GameRecord, decode_batch, encode_batch
from selfplay.samples.collector import BatchCollector, RunIdentity
from selfplay.samples.index import known_files
from selfplay.samples.writer import batch_name
from selfplay.worker.process import WorkerSetup

FIRST_FOLDER = 10_000  # worker folders from this number on are contributors'
PROBATION_BATCHES = 10  # of which one game each is played again
MOST_MALFORMED = 5
WAIT_SECONDS = 1.0  # before a contributor asks again
LOOK_SECONDS = 0.5  # between two listings of the run's folder
MOST_SOURCE_BYTES = 1 << 20


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
        if not layout.settings.exists():
            raise RunError(
                f"{layout.root} holds no run: it has no {layout.settings.name}; begin one with selfplay train"
            )
        self._layout, self._care, self._clock, self._say = layout, care, clock, say
        self._draw = draw or random.SystemRandom()
        self._settings = settings_of_run(layout.settings)
        self._rules = load_rules(self._settings.game.name)
        self._models = ModelsOnDisk(layout)
        self._playing = PlayingModels(layout, self._models, self._settings.selfplay)
        identity = RunIdentity.of(self._settings, self._rules, self._playing.plays)
        known = known_files(layout.indexes(), layout.root)
        self._collector = BatchCollector(NewBatches(layout), identity, known=known)
        self._ledger = Ledger(care.patience_seconds)
        self._checker = Checker(WorkerSetup.of(self._settings, layout.root), layout.logs)
        self._round = 0  # the open one; 0 = nothing is to be played
        self._held: dict[str, _Held] = {}  # by contributor
        self._others: Counter[str] = Counter()  # machines with other arithmetic, by digest
        self._looked = float("-inf")
        self._folders = self._highest_folder() + 1
        self.look()

    # --- what contributors ask -------------------------------------------------------------------------------

    def card(self) -> RunCard:
        """What is played."""
        spec, source = self._settings.game.name, ""
        for path in rules_files(spec):
            source = read_file(Path(path), what="game", error=RunError, most_bytes=MOST_SOURCE_BYTES).decode()
            spec = spec.replace(path, Path(path).name)
        return RunCard(
            protocol=PROTOCOL,
            version=__version__,
            game=spec,
            rules=self._rules.info.rules_hash,
            source=source,
            seed=self._settings.selfplay.seed,
            search=self._settings.search,
        )

    def newest(self) -> Newest:
        """The model that plays now."""
        fingerprint = self._playing.plays(self._round) if self._round else None
        return Newest(round=self._round if fingerprint else 0, fingerprint=fingerprint or "")

    def model(self, fingerprint: str) -> bytes:
        """The inference twin with this fingerprint, of the open round."""
        newest = self.newest()
        if not newest.round or fingerprint != newest.fingerprint:
            raise Refused(409, "that model does not play any more: ask for the newest one")
        return self._twin(newest.round).read_bytes()

    def join(self, joining: Joining) -> Joined:
        """Let somebody in whose arithmetic gives this machine's bits."""
        if joining.version != __version__:
            raise Refused(
                409, f"this run is made by selfplay {__version__}, you have {joining.version}: install that one"
            )
        newest = self.newest()
        if not newest.round or joining.fingerprint != newest.fingerprint:
            raise Refused(409, "that model does not play any more: test with the newest one")
        own = self._checker.digest(self._twin(newest.round), newest.fingerprint)
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
        if newest.round and holder(self._layout.lock):  # else nobody would train on them
            games = self._ledger.lease(
                wish.contributor, self._round, self._wanted(), wish=wish.games, now=self._clock()
            )
        if games is None:
            return Job(round=0, fingerprint="", first_game=0, num_games=0, wait_seconds=WAIT_SECONDS)
        return Job(
            round=self._round,
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
        if numbers & held.games.keys() or not self._ledger.has_leased(id, self._round, numbers):
            raise Refused(409, "these games are not yours to play (any more)")
        contributor.batches += 1
        self._ledger.settle(id, numbers)
        held.games |= {record.number: record for record in records}
        for record in self._chosen(contributor, records):
            held.suspected.add(record.number)
            suspect = Suspect(id, self._round, record)
            self._checker.check(suspect, self._twin(self._round), self.newest().fingerprint)
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
        for sweep in self._collector.sweeps():
            del sweep  # what is wrong is the coordinator's to put aside
        rounds = set(self._layout.rounds_with_models())
        number = self._first_open(rounds) if rounds else 0
        if number != self._round:
            self._round = number
            self._held.clear()
        if newest := self.newest().fingerprint:
            self._checker.digest(self._twin(number), newest)  # so that it is known when somebody wants to join

    def _first_open(self, rounds: set[int]) -> int:
        """The first round of which games are missing, if its model is there; else 0."""
        number = 1
        while number <= max(rounds) + 1 and self._collector.is_complete(number):
            number += 1
        return number if self._playing.player(number) in rounds else 0

    def _wanted(self) -> list[int]:
        """Games of the open round that nobody has sent."""
        there = {number for held in self._held.values() for number in held.games}
        return [number for number in self._collector.missing(self._round) if number not in there]

    def _note_verdict(self, verdict: Verdict) -> None:
        suspect = verdict.suspect
        contributor, number = self._ledger.contributors[suspect.owner], suspect.record.number
        if verdict.difference:
            self._drop(contributor, f"its game {number} of round {suspect.round} {verdict.difference}")
            return
        contributor.checked += 1
        if suspect.round == self._round and suspect.owner in self._held:
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
                f"`selfplay verify {self._layout.root} --replay 1` plays all games again"
            )
        self._say(f"{contributor.name} (worker_{contributor.number}) is dropped: {reason}{then}")

    def _complete_round(self) -> None:
        """Write what is held back, once that completes the round and nothing of it is under suspicion."""
        if not self._round or not self.held or any(held.suspected for held in self._held.values()):
            return
        missing = set(self._collector.missing(self._round))
        there = {number for held in self._held.values() for number in held.games}
        if not missing <= there:
            return
        for id, held in self._held.items():
            wanted = sorted(missing & held.games.keys())
            self._write(self._ledger.contributors[id], [held.games[number] for number in wanted])
            missing.difference_update(wanted)
        self._held.clear()

    def _write(self, contributor: Contributor, records: list[GameRecord]) -> None:
        """Batch files as a worker here would have written them."""
        folder = ensure_directory(self._layout.worker(contributor.number))
        header = BatchHeader(
            game=self._rules.info.name,
            rules=self._rules.info.rules_hash,
            model=self.newest().fingerprint,
            round=self._round,
            search=msgspec.to_builtins(self._settings.search),
        )
        for first in range(0, len(records), GAMES_PER_FILE):
            games = records[first : first + GAMES_PER_FILE]
            write_atomically(folder / batch_name(self._round, games[0].number), encode_batch(header, games))
        contributor.games += len(records)

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
            if batch.round != self._round:
                raise Refused(409, f"round {batch.round} is not open (any more)")
            games = self._collector.judge(batch)
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

    def _twin(self, number: int) -> Path:
        """The inference file that plays a round."""
        player = self._playing.player(number)
        assert player is not None, "else the round is not open"
        return inference_twin(self._layout.model(player))

    def _highest_folder(self) -> int:
        names = (int(folder.name.removeprefix("worker_")) for folder in self._layout.worker_folders())
        return max([FIRST_FOLDER - 1, *names])
