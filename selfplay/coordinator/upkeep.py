"""Keeps a run's folder usable: half-written files, damaged models, a full disk. Knows no children and no plan."""

from __future__ import annotations

import glob
import time
from collections import Counter
from pathlib import Path

from selfplay.coordinator.telling import Telling
from selfplay.errors import ModelDamaged
from selfplay.files import has_room, sweep_leftovers
from selfplay.rundir import event_types
from selfplay.rundir.facts import ModelsOnDisk
from selfplay.rundir.layout import RunLayout, inference_twin
from selfplay.samples.collector import Rejected, quarantine

MOST_DAMAGES = 3  # of a round's model in one session: then the disk is not to be trusted
ROOM_SECONDS = 2.0  # between two looks whether a full disk has room again
ROOM_BYTES = 16 << 20  # that it must have then


class Upkeep:
    """Of one run, under its lock.

    Args:
        layout: the run's.
        model: where the newest round is published.
        telling: hears what is done.
    """

    def __init__(self, layout: RunLayout, model: Path, telling: Telling) -> None:
        self._layout, self._model, self._telling = layout, model, telling
        self._damages: Counter[int] = Counter()  # how often a round's model was damaged in this session

    def sweep_leftovers(self) -> None:
        """Half-written files of processes that died: under the run's lock, without children, nobody is at them."""
        layout, model = self._layout, self._model
        sweep_leftovers(layout.root, of=layout.settings.name)
        sweep_leftovers(layout.models, of="round_*")
        sweep_leftovers(layout.evaluations, of="round_*")
        sweep_leftovers(layout.gates, of="round_*")
        sweep_leftovers(layout.index(0).parent, of="round_*")
        sweep_leftovers(layout.quarantine, of="*.reason.txt")
        for folder in layout.worker_folders():
            sweep_leftovers(folder, of="batch_*")
        for path in (model, inference_twin(model)):
            sweep_leftovers(path.parent, of=glob.escape(path.name))

    def put_aside(self, error: ModelDamaged, models: ModelsOnDisk) -> None:
        """Quarantine the files of a round, which can be trained again, to the same bytes.

        Raises the error where it is about another file, a second round, or the same one again and again.
        """
        if not error.path.exists():
            return  # another child said so before
        number = next((n for n in self._layout.rounds_with_models() if error.path in self._files_of(n)), 0)
        self._damages[number] += 1
        is_alone = len(self._damages) == 1  # more than one round: no accident, and nothing to go on from
        if number == 0 or not is_alone or self._damages[number] > MOST_DAMAGES:
            raise error
        for path in self._files_of(number):
            place = quarantine(Rejected(path, str(error)), self._layout.quarantine)
            self._telling.log(event_types.Rejected(file=str(path), reason=str(error)))
        models.forget(number)
        self._telling.say(f"{error}; moved to {place.parent}, round {number} is trained again")

    def _files_of(self, number: int) -> tuple[Path, Path]:
        """A round's checkpoint and inference twin."""
        return self._layout.model(number), inference_twin(self._layout.model(number))

    def wait_for_room(self, reason: str) -> None:
        """Until there is room on the disk again. Children have nothing to do meanwhile, or run into the same."""
        self._telling.say(f"{reason}; waiting until there is room again, Ctrl-C stops the run")
        self._telling.log(event_types.Waiting(reason=reason))
        while not has_room(self._layout.root, ROOM_BYTES):
            time.sleep(ROOM_SECONDS)
        self._telling.say("there is room again: going on")
