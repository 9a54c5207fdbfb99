"""What is known of a round's batch files, so that they need not be read again: `selfplay-index`, version 1, JSON.

    field     type    meaning
    format    text    "selfplay-index"
    version   int     1
    round     int     the round
    model     text    fingerprint of the model that played it
    files     list    one list per batch file that was read and found good:
      name      text    folder and name, as in the run's folder
      size      int     bytes
      changed   int     its time of change, nanoseconds since 1970
      games     list    one list per game: number, positions to learn from, digest of its record (32 hexadecimal digits)

A file whose size or time differs is read again. An index only saves time: one that cannot be used is as good as none,
and all may be deleted. `selfplay verify` does not believe them.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from selfplay.errors import SelfplayError
from selfplay.files import read_file, write_atomically

FORMAT, VERSION = "selfplay-index", 1
MOST_BYTES = 1 << 30

Count = Annotated[int, Meta(ge=0, le=2**53 - 1)]


class KnownGame(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A game of a file."""

    number: Count
    positions: Count  # to learn from
    digest: Annotated[str, Meta(pattern="^[0-9a-f]{32}$")]


class KnownFile(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A batch file that was read and found good."""

    name: str
    size: Count
    changed: Annotated[int, Meta(ge=0, le=2**63 - 1)]
    games: list[KnownGame]


class RoundIndex(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What is known of a round."""

    format: str = FORMAT
    version: int = VERSION
    round: Annotated[int, Meta(ge=1)]
    model: str
    files: list[KnownFile]


class Known(msgspec.Struct, frozen=True, gc=False):
    """A file, and what its round's index says of the round."""

    file: KnownFile
    round: int
    model: str

    def still_holds(self, path: Path) -> bool:
        """Whether the file has not been changed since."""
        status = path.stat()
        return (status.st_size, status.st_mtime_ns) == (self.file.size, self.file.changed)


def read_index(path: Path) -> RoundIndex | None:
    """The index in a file; None where there is none that can be used."""
    try:
        found = msgspec.json.decode(
            read_file(path, what="index", error=SelfplayError, most_bytes=MOST_BYTES), type=RoundIndex
        )
    except (SelfplayError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return found if (found.format, found.version) == (FORMAT, VERSION) else None


def write_index(path: Path, index: RoundIndex) -> None:
    """Keep an index."""
    write_atomically(path, msgspec.json.encode(index))


def known_files(indexes: Iterable[Path], root: Path) -> dict[Path, Known]:
    """What these indexes say of the files below the run's folder."""
    found = filter(None, map(read_index, indexes))
    return {root / file.name: Known(file, index.round, index.model) for index in found for file in index.files}
