"""Gathers batch files as they land: lists, reads, checks, and knows which games are there.

The listing decides what is there; `bell.py` may say when to look. Files that cannot be used are reported, and the
caller says what becomes of them. Letters: none.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgspec

from selfplay.config import OLDER
from selfplay.errors import BatchError
from selfplay.files import write_atomically
from selfplay.games.game import Advanced, Rules, States
from selfplay.samples.batch_file import (
    Batch,
    GameRecord,
    check_game_record,
    game_seed,
    plies_to_learn,
    read_batch,
)
from selfplay.samples.index import Known, KnownFile, KnownGame
from selfplay.settings import SearchSettings, Settings

GameId = tuple[int, int]  # (round, number)
FILES_AT_ONCE = 100  # in one sweep


@dataclass(frozen=True)
class RunIdentity:
    """What every batch of a run must agree with."""

    rules: Rules
    search: SearchSettings
    seed: int
    games_per_round: int
    player_of_round: Callable[[int], str | None]  # round -> fingerprint of the model that plays it, None = not there

    @classmethod
    def of(cls, settings: Settings, rules: Rules, player_of_round: Callable[[int], str | None]) -> RunIdentity:
        """The identity that a run's settings give."""
        return cls(
            rules=rules,
            search=settings.search,
            seed=settings.selfplay.seed,
            games_per_round=settings.selfplay.games_per_round,
            player_of_round=player_of_round,
        )


@dataclass(frozen=True)
class CheckedGame:
    """A game that agrees with itself, the rules and the run."""

    id: GameId
    record: GameRecord
    digest: bytes  # of the record
    states: States  # [plies] before each move
    known: Advanced  # [plies] what the rules say of them

    def as_known(self) -> KnownGame:
        """What an index says of it."""
        return KnownGame(self.id[1], len(plies_to_learn(self.record)), self.digest.hex())


@dataclass(frozen=True)
class Rejected:
    """A batch file that cannot be used."""

    path: Path
    reason: str


@dataclass
class Sweep:
    """What a look into some files brought."""

    games: list[CheckedGame] = field(default_factory=list)  # new ones, in order of file and place
    accepted: list[Path] = field(default_factory=list)
    copies: list[Path] = field(default_factory=list)  # all of whose games were there already, in other files
    waiting: list[tuple[Path, int]] = field(default_factory=list)  # of that round, for the model that plays it
    rejected: list[Rejected] = field(default_factory=list)
    games_copied: int = 0  # games that were there already, in another file
    known: dict[GameId, tuple[Path, int]] = field(default_factory=dict)  # new ones that were not read: file, positions
    entries: list[Known] = field(default_factory=list)  # of files that were read, all of whose games are new


class BatchCollector:
    """Reads each batch file once.

    Args:
        list_files: names batch files, in a fixed order; over its calls each one that there is, once or more often, and
            again one that took another's place.
        identity: what they must agree with.
        known: files that need not be read again, as long as they are as they were.
    """

    def __init__(
        self,
        list_files: Callable[[], list[Path]],
        identity: RunIdentity,
        *,
        known: Mapping[Path, Known] = MappingProxyType({}),
    ) -> None:
        self._known = dict(known)
        self.games: dict[GameId, bytes] = {}  # every game that is there, with a digest of its record
        self._list_files = list_files
        self._identity = identity
        self._found: Counter[int] = Counter()  # games that are there, by round
        self._seen: set[Path] = set()
        self._coming: dict[Path, None] = {}  # to be looked into
        self._again: list[Path] = []  # files that could not be used: where nobody moves them, they may be whole now
        self._waiting: dict[Path, int] = {}  # files that came without the model they were played with -> their round

    def sweep(self) -> Sweep:
        """Take in what is new. Files that were rejected are looked into again, as long as they are there; those whose
        model is not there wait for it, since a lost model is trained again to the same bytes.

        Raises what `player_of_round` raises; nothing counts as taken in then.
        """
        self._look_for_new()
        return self._sweep([*self._coming])

    def sweeps(self, files_at_once: int = FILES_AT_ONCE) -> Iterator[Sweep]:
        """As `sweep`, some files at a time, in the order of their list: a run with a million positions has more games
        than one wants to hold as they stand in the files."""
        self._look_for_new()
        while self._coming:
            yield self._sweep([*islice(self._coming, files_at_once)])

    def _sweep(self, paths: list[Path]) -> Sweep:
        sweep = Sweep()
        try:
            for path in paths:
                self._take_in(path, sweep)
        except BaseException:
            self._seen.difference_update(sweep.accepted, sweep.copies, (path for path, _ in sweep.known.values()))
            for id in [*(game.id for game in sweep.games), *sweep.known]:
                del self.games[id]
                self._found[id[0]] -= 1
            raise
        for path in paths:
            del self._coming[path]
        return sweep

    def _look_for_new(self) -> None:
        """Note files to look into: unseen ones, and those that waited for a model that is there now."""
        there = {number for number in set(self._waiting.values()) if self._identity.player_of_round(number) is not None}
        self._coming |= {path: None for path, number in self._waiting.items() if number in there}
        listed = (*self._again, *self._list_files())
        self._coming |= dict.fromkeys(path for path in listed if path not in self._seen and path not in self._waiting)
        self._again = []

    def _take_in(self, path: Path, sweep: Sweep) -> None:
        self._waiting.pop(path, None)
        if self._take_in_known(path, sweep):
            return
        try:
            status = path.stat()
            batch = read_batch(path)
            games = self.judge(batch)
            if games is None:
                self._waiting[path] = batch.round
                sweep.waiting.append((path, batch.round))
                return
        except FileNotFoundError:
            return
        except BatchError as error:
            sweep.rejected.append(Rejected(path, str(error).removeprefix(f"{path}: ")))
            self._again.append(path)
            return
        self._seen.add(path)
        new = [game for game in games if self._is_new(game)]
        (sweep.accepted if new else sweep.copies).append(path)
        sweep.games += new
        sweep.games_copied += len(games) - len(new)
        if len(new) == len(games):
            name, number = f"{path.parent.name}/{path.name}", batch.round
            entry = KnownFile(name, status.st_size, status.st_mtime_ns, [game.as_known() for game in games])
            sweep.entries.append(Known(entry, number, batch.model))

    def _take_in_known(self, path: Path, sweep: Sweep) -> bool:
        """Take in the games of a file without reading it, if it is known and as it was; whether that was so."""
        known = self._known.pop(path, None)
        if known is None or known.model != self._identity.player_of_round(known.round):
            return False
        games = {(known.round, game.number): game for game in known.file.games}
        try:
            if not known.still_holds(path) or any(id in self.games for id in games):  # copies are looked into
                return False
        except OSError:
            return False
        self.games |= {id: bytes.fromhex(game.digest) for id, game in games.items()}
        self._found[known.round] += len(games)
        self._seen.add(path)
        sweep.known |= {id: (path, game.positions) for id, game in games.items()}
        return True

    def found(self, round_number: int) -> int:
        """How many games of a round are there."""
        return self._found[round_number]

    def is_complete(self, round_number: int) -> bool:
        """Whether all games of a round are there."""
        return self._found[round_number] == self._identity.games_per_round

    def missing(self, round_number: int) -> list[int]:
        """Numbers of the games of a round that are not there yet."""
        return [n for n in range(self._identity.games_per_round) if (round_number, n) not in self.games]

    def judge(self, batch: Batch) -> list[CheckedGame] | None:
        """The games of a batch, each of which agrees with itself, the rules, the run and the games that are there; None
        where its round's model is not there to judge it by. Raises `BatchError`. Nothing is taken in."""
        return self._check_games(batch) if self._check_header(batch) else None

    def _check_games(self, batch: Batch) -> list[CheckedGame]:
        games = [self._check_game(batch.round, record) for record in batch.games]
        if not games:
            raise BatchError("it holds no games")
        for game in games:
            if self.games.get(game.id, game.digest) != game.digest:
                raise BatchError(
                    f"game {game.record.number} of round {batch.round} differs from the same game in another file"
                )
        return games

    def _check_header(self, batch: Batch) -> bool:
        """Whether all can be judged: whether the model is there. Raises `BatchError` for what is not of this run."""
        identity, info = self._identity, self._identity.rules.info
        model = identity.player_of_round(batch.round)
        expected = {
            "game": (batch.game, info.name),
            "rules": (batch.rules, info.rules_hash),
            "search": (_with_defaults(batch.search), msgspec.to_builtins(identity.search)),
            "model": (batch.model, model or batch.model),
        }
        for name, (found, wanted) in expected.items():
            if found != wanted:
                raise BatchError(f"its {name} is {found}, this run's round {batch.round} is played with {wanted}")
        return model is not None

    def _check_game(self, round_number: int, record: GameRecord) -> CheckedGame:
        identity = self._identity
        if record.number >= identity.games_per_round:
            raise BatchError(f"it holds game {record.number}, a round has {identity.games_per_round}")
        if record.seed != game_seed(identity.seed, round_number, record.number):
            raise BatchError(f"game {record.number} has seed {record.seed}, which is not this run's")
        states, known = check_game_record(record, identity.rules, has_short_searches=identity.search.has_quick_moves)
        return CheckedGame((round_number, record.number), record, _digest(record), states, known)

    def _is_new(self, game: CheckedGame) -> bool:
        """Whether the game was not there yet; a second, equal copy is dropped."""
        if game.id in self.games:
            return False
        self.games[game.id] = game.digest
        self._found[game.id[0]] += 1
        return True


def quarantine(rejected: Rejected, folder: Path) -> Path:
    """Move a file out of the way, with the reason beside it; where it lies now."""
    folder.mkdir(exist_ok=True)
    target = folder / f"{rejected.path.parent.name}_{rejected.path.name}"
    attempt = 1
    while target.exists():
        attempt += 1
        target = folder / f"{rejected.path.parent.name}_{rejected.path.stem}.{attempt}{rejected.path.suffix}"
    rejected.path.rename(target)
    write_atomically(target.with_suffix(".reason.txt"), f"{rejected.path}: {rejected.reason}\n".encode())
    return target


def _with_defaults(search: dict[str, Any]) -> dict[str, Any]:
    """The search settings of a file that may be older than some of them."""
    try:
        known = msgspec.convert(OLDER["search"] | search, SearchSettings)
    except msgspec.ValidationError:  # an unknown setting, or one out of range: not this run's
        return search
    return dict(msgspec.to_builtins(known))


def _digest(record: GameRecord) -> bytes:
    return hashlib.sha256(msgspec.json.encode(record)).digest()[:16]
