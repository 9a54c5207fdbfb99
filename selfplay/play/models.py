"""Which models one can play against, and which of them is the newest: a run's rounds, or one file. Only reads."""

from __future__ import annotations

import threading
from collections import OrderedDict
from pathlib import Path
from typing import Protocol

from selfplay.errors import ModelError
from selfplay.play.agent import Agent, load_agent
from selfplay.rundir.layout import RunLayout, inference_twin

NEWEST = "newest"  # whatever is the newest at each move
_AGENTS_KEPT = 4
_WARM_UP_SIMULATIONS = 2

Stamp = tuple[int, int, int]  # of a file: when it changed, its number, its bytes


class Models(Protocol):
    """Models by name."""

    def names(self) -> list[str]:
        """What one can choose, the newest first; empty while there is none."""
        ...

    def path(self, name: str) -> Path:
        """The file of a model; `NEWEST` is one too. Raises `ModelError` where there is none of that name."""
        ...


class ModelsOfRun:
    """The rounds of a run that have a model.

    Args:
        folder: of the run.
    """

    def __init__(self, folder: Path) -> None:
        self._layout = RunLayout(folder)

    def names(self) -> list[str]:
        rounds = self._layout.rounds_with_models()
        return [NEWEST, *(f"round {number}" for number in reversed(rounds))] if rounds else []

    def path(self, name: str) -> Path:
        newest, rounds = self._layout.newest_round(), self._layout.rounds_with_models()
        by_name = {NEWEST: newest} | {f"round {number}": number for number in rounds}
        if name not in by_name:
            raise ModelError(f"there is no model {name!r}; there are rounds {rounds[0]} to {rounds[-1]}")
        return self._layout.model(by_name[name])


class ModelFile:
    """One model file, which training may replace."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def names(self) -> list[str]:
        return [NEWEST]

    def path(self, name: str) -> Path:
        if name != NEWEST:
            raise ModelError(f"there is no model {name!r}, only {self._path}")
        return self._path


class Agents:
    """Loads agents, keeps the last few, and loads anew what was replaced. Any thread may ask.

    Args:
        models: to choose from.
        game: where the game's file lies now, if it was moved: `path/to/file.py:Class`.
    """

    def __init__(self, models: Models, *, game: str | None = None) -> None:
        self.models = models
        self._game = game
        self._kept: OrderedDict[tuple[Path, Stamp], Agent] = OrderedDict()
        self._turn = threading.Lock()

    def get(self, name: str) -> Agent:
        """The agent of a model, ready to answer at once. Raises `ModelError` or `GameError`."""
        with self._turn:
            path = self.models.path(name)
            key = path, _stamp(path)
            if key not in self._kept:
                self._kept[key] = load_agent(path, game=self._game)
                self._kept[key].search(simulations=_WARM_UP_SIMULATIONS)  # loads compiled loops
            self._kept.move_to_end(key)
            while len(self._kept) > _AGENTS_KEPT:
                self._kept.popitem(last=False)
            return self._kept[key]


def _stamp(path: Path) -> Stamp:
    twin = inference_twin(path)
    try:
        status = twin.stat()
    except OSError as error:
        raise ModelError(f"{twin} cannot be read ({error.strerror}); it lies beside the .pt file of a model") from None
    return status.st_mtime_ns, status.st_ino, status.st_size
