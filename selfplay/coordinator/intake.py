"""Takes in what workers wrote: batch files that landed, those that cannot be used, and copies. Knows no children."""

from __future__ import annotations

from collections import Counter

from selfplay.coordinator.diagnostics import RoundOfGames
from selfplay.coordinator.telling import Telling
from selfplay.files import ensure_directory
from selfplay.rundir import event_types
from selfplay.rundir.layout import RunLayout
from selfplay.rundir.listing import NewBatches
from selfplay.samples.collector import BatchCollector, RunIdentity, Sweep, quarantine
from selfplay.samples.index import Known, RoundIndex, known_files, read_index, write_index


class Intake:
    """The games of a run, as they come.

    Args:
        layout: the run's.
        identity: what batch files must agree with.
        telling: hears what lands.
    """

    def __init__(self, layout: RunLayout, identity: RunIdentity, telling: Telling) -> None:
        known = known_files(layout.indexes(), layout.root)
        self.collector = BatchCollector(NewBatches(layout), identity, known=known)
        self._entries: dict[int, list[Known]] = {}  # of files that were read, by round; until the round is trained
        self._layout, self._telling = layout, telling
        self._games: dict[int, RoundOfGames] = {}  # that are there, by round; of rounds that are not trained yet

    def sweep(self) -> int:
        """Take in batch files that landed; those that cannot be used go to quarantine. The number of new games."""
        found = sum(self._take_in(sweep) for sweep in self.collector.sweeps())
        self._write_indexes()
        return found

    def games_of(self, number: int) -> RoundOfGames:
        """What is known of a round's games."""
        return self._games.get(number, RoundOfGames())

    def forget(self, number: int) -> None:
        """A round is trained: its games need not be known any more."""
        self._games.pop(number, None)
        self._write_indexes()

    def _write_indexes(self) -> None:
        """Note what is known of the files of rounds that are trained: they need not be read again."""
        trained = set(self._layout.rounds_with_models()) if self._entries else set()
        for number in [number for number in self._entries if number in trained and self.collector.is_complete(number)]:
            entries, path = self._entries.pop(number), self._layout.index(number)
            before = read_index(path)
            files = {file.name: file for file in before.files} if before else {}
            files |= {entry.file.name: entry.file for entry in entries}
            ensure_directory(path.parent)
            index = RoundIndex(round=number, model=entries[0].model, files=[file for _, file in sorted(files.items())])
            write_index(path, index)

    def _take_in(self, sweep: Sweep) -> int:
        """The number of new games in a sweep, of which everybody is told who has to know."""
        rounds_trained = set(self._layout.rounds_with_models())
        for rejected in sweep.rejected:
            place = quarantine(rejected, self._layout.quarantine)
            self._telling.log(event_types.Rejected(file=str(rejected.path), reason=rejected.reason))
            self._telling.say(f"{rejected.path}: {rejected.reason}; moved to {place}, its games will be played again")
        for number, files in Counter(number for _, number in sweep.waiting).items():
            self._telling.say(
                f"{files} batch files of round {number} wait for the model that played them, which is not there"
            )
        for game in sweep.games:
            if game.id[0] not in rounds_trained:
                self._games.setdefault(game.id[0], RoundOfGames()).count(game)
        for entry in sweep.entries:
            self._entries.setdefault(entry.round, []).append(entry)
        for path in sweep.accepted:
            self._telling.log(event_types.Batch(worker=path.parent.name, file=path.name))
        for path in sweep.copies:  # equal games of a straggler, or of a worker that outlived its coordinator
            path.unlink(missing_ok=True)
            self._telling.log(event_types.Copy(worker=path.parent.name, file=path.name))
        return len(sweep.games) + len(sweep.known)
