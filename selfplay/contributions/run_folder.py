"""The run that contributions are for, as its folder shows it: which round is open, what it lacks, what plays it.

Writes games into the folders of contributors, as a worker here would have. Knows no contributors but their numbers.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from selfplay import __version__
from selfplay.config import settings_of_run
from selfplay.contributions.protocol import PROTOCOL, RunCard
from selfplay.errors import RunError
from selfplay.files import ensure_directory, read_file, write_atomically
from selfplay.games.registry import load_rules, rules_files
from selfplay.rundir.facts import ModelsOnDisk
from selfplay.rundir.gates import PlayingModels
from selfplay.rundir.layout import RunLayout, inference_twin
from selfplay.rundir.listing import NewBatches
from selfplay.rundir.lock import holder
from selfplay.samples.batch_file import GAMES_PER_FILE, Batch, BatchHeader, GameRecord, encode_batch
from selfplay.samples.collector import BatchCollector, CheckedGame, RunIdentity
from selfplay.samples.index import known_files
from selfplay.samples.writer import batch_name

FIRST_FOLDER = 10_000  # worker folders from this number on are contributors'
MOST_SOURCE_BYTES = 1 << 20


class RunFolder:
    """One run; `look` brings it up to date.

    Raises `RunError` where the folder holds no run.
    """

    def __init__(self, layout: RunLayout) -> None:
        if not layout.settings.exists():
            raise RunError(
                f"{layout.root} holds no run: it has no {layout.settings.name}; begin one with selfplay train"
            )
        self.layout = layout
        self.settings = settings_of_run(layout.settings)
        self.round = 0  # the open one; 0 = nothing is to be played
        self._rules = load_rules(self.settings.game.name)
        self._playing = PlayingModels(layout, ModelsOnDisk(layout), self.settings.selfplay)
        identity = RunIdentity.of(self.settings, self._rules, self._playing.plays)
        known = known_files(layout.indexes(), layout.root)
        self._collector = BatchCollector(NewBatches(layout), identity, known=known)

    def look(self) -> bool:
        """Note what landed; whether another round is open now. What is of no use the coordinator puts aside."""
        for _ in self._collector.sweeps():
            pass
        rounds = set(self.layout.rounds_with_models())
        before, self.round = self.round, self._first_open(rounds) if rounds else 0
        return before != self.round

    def _first_open(self, rounds: set[int]) -> int:
        """The first round of which games are missing, if the model that plays it is there; else 0."""
        number = 1
        while number <= max(rounds) + 1 and self._collector.is_complete(number):
            number += 1
        return number if self._playing.player(number) in rounds else 0

    @property
    def is_worked_on(self) -> bool:
        """Whether a coordinator will train on what is played."""
        return holder(self.layout.lock) is not None

    @property
    def fingerprint(self) -> str:
        """Of the model that plays the open round; empty where there is none."""
        return (self._playing.plays(self.round) or "") if self.round else ""

    @property
    def twin(self) -> Path:
        """The inference file that plays the open round."""
        player = self._playing.player(self.round)
        assert player is not None, "else the round is not open"
        return inference_twin(self.layout.model(player))

    def missing(self) -> list[int]:
        """Numbers of the open round's games that are not there, rising."""
        return self._collector.missing(self.round)

    def judge(self, batch: Batch) -> list[CheckedGame] | None:
        """As `BatchCollector.judge`."""
        return self._collector.judge(batch)

    def write(self, folder: int, records: list[GameRecord]) -> None:
        """Batch files of the open round's games in the worker's folder of this number."""
        place = ensure_directory(self.layout.worker(folder))
        header = BatchHeader(
            game=self._rules.info.name,
            rules=self._rules.info.rules_hash,
            model=self.fingerprint,
            round=self.round,
            search=msgspec.to_builtins(self.settings.search),
        )
        for first in range(0, len(records), GAMES_PER_FILE):
            games = records[first : first + GAMES_PER_FILE]
            write_atomically(place / batch_name(self.round, games[0].number), encode_batch(header, games))

    def first_free_folder(self) -> int:
        """The lowest number of a contributor's folder that no one before had, nor one above it."""
        numbers = (int(folder.name.removeprefix("worker_")) for folder in self.layout.worker_folders())
        return max(FIRST_FOLDER - 1, *numbers, FIRST_FOLDER - 1) + 1

    def card(self) -> RunCard:
        """What a contributor has to know."""
        spec, source = self.settings.game.name, ""
        for path in rules_files(spec):
            source = read_file(Path(path), what="game", error=RunError, most_bytes=MOST_SOURCE_BYTES).decode()
            spec = spec.replace(path, Path(path).name)
        return RunCard(
            protocol=PROTOCOL,
            version=__version__,
            game=spec,
            rules=self._rules.info.rules_hash,
            source=source,
            seed=self.settings.selfplay.seed,
            search=self.settings.search,
        )
