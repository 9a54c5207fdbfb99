"""Everything that can go wrong for a user, as one tree of exceptions.

    SelfplayError            one clear line for the user, no traceback; exit code 1
    ├── UsageError           the command or a setting is wrong; exit code 2
    ├── GameError            a game is unknown, cannot be loaded, or its rules do not compile
    │   └── LawBroken        a game's rules break a law of the contract
    ├── ModelError           a model file is missing, foreign, or of another game
    │   └── ModelDamaged     a model file is torn, or does not match its checksum
    ├── BatchError           a batch file is torn, foreign, or disagrees with itself
    ├── RunError             a run folder cannot be used as asked
    │   └── DiskFullError    there is no room to write; trying again later may work
    ├── TrainingError        training cannot be done, whatever is tried
    └── ProcessError         a worker or the trainer died too often

A message says what was found, what was expected, where, and what to do.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path


class SelfplayError(Exception):
    """A failure that the user can understand and act on."""

    exit_code = 1

    def __init__(self, message: str) -> None:
        super().__init__(printable(message))


class UsageError(SelfplayError):
    """The command line or a setting asks for something that does not exist or cannot be."""

    exit_code = 2


class GameError(SelfplayError):
    """A game that is unknown, cannot be loaded or cannot be compiled."""


class LawBroken(GameError):
    """Rules that break a law of the game contract; `law` is its name."""

    def __init__(self, law: str, message: str) -> None:
        super().__init__(message)
        self.law = law


class ModelError(SelfplayError):
    """A model file that cannot be used."""


class ModelDamaged(ModelError):
    """A model file that was written by this program and is not as it was written, or is no model at all."""

    def __init__(self, path: Path, message: str) -> None:
        super().__init__(message)
        self.path = path


class BatchError(SelfplayError):
    """A batch file that cannot be used."""


class RunError(SelfplayError):
    """A run folder that cannot be used as asked."""


class DiskFullError(RunError):
    """A file that could not be written for lack of room; nothing torn is left of it."""


class TrainingError(SelfplayError):
    """Training cannot be done: no batch can be processed, or ranks fail whatever is tried."""


class ProcessError(SelfplayError):
    """A child process that failed too often, with the last lines of its log."""


_LONGEST_MESSAGE = 4000  # characters


def printable(text: str) -> str:
    """Text for a terminal, whatever file it quotes: nothing that moves the cursor or changes colours, of bearable
    length. Line breaks and tabs stay."""
    shown = "".join(sign if sign.isprintable() or sign in "\n\t" else repr(sign)[1:-1] for sign in text)
    return shown if len(shown) <= _LONGEST_MESSAGE else f"{shown[:_LONGEST_MESSAGE]} … ({len(shown):,} characters)"


def nearest(name: str, known: Iterable[str]) -> str:
    """The phrase ` (did you mean "X"?)` for a mistyped name, or nothing when no known name is near."""
    matches = difflib.get_close_matches(name, list(known), n=1)
    return f' (did you mean "{matches[0]}"?)' if matches else ""
