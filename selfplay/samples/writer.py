"""`WorkerDataWriter`: finished games go in, batch files of up to ten games come out, in one worker's own folder."""

from __future__ import annotations

import re
from pathlib import Path

from selfplay.files import ensure_directory, sweep_leftovers, write_atomically
from selfplay.samples.batch_file import GAMES_PER_FILE, BatchHeader, GameRecord, encode_batch

_NAME = re.compile(r"batch_r(\d{4,9})_g(\d{6,15})\.json")


def batch_name(round_number: int, first_game: int) -> str:
    """`batch_r0007_g000120.json`: the games of round 7 from number 120 on."""
    return f"batch_r{round_number:04d}_g{first_game:06d}.json"


def parse_batch_name(name: str) -> tuple[int, int] | None:
    """Round and first game of a batch file's name, None for any other name."""
    match = _NAME.fullmatch(name)
    return (int(match.group(1)), int(match.group(2))) if match else None


class WorkerDataWriter:
    """Writes the games first_game … first_game + num_games - 1 of one round.

    A file holds ten games that follow each other, counted from `first_game`, and is written when the last of them
    is finished; games may come in any order. `write_rest` writes those that still wait for others. Nothing is ever
    changed once written.

    Raises `RunError` where the folder cannot be made or written.
    """

    def __init__(self, folder: Path, header: BatchHeader, *, first_game: int, num_games: int) -> None:
        self._folder = ensure_directory(folder)
        self._header = header
        self._first = first_game
        self._end = first_game + num_games
        self._waiting: dict[int, GameRecord] = {}
        sweep_leftovers(self._folder, of="batch_*")  # of a dead predecessor: the folder is this worker's alone

    def add(self, game: GameRecord) -> Path | None:
        """Take a finished game; the path of the file that it completed, if it did."""
        if not self._first <= game.number < self._end:
            raise ValueError(f"game {game.number} is not one of {self._first} … {self._end - 1}")
        self._waiting[game.number] = game
        start = self._first + (game.number - self._first) // GAMES_PER_FILE * GAMES_PER_FILE
        numbers = range(start, min(start + GAMES_PER_FILE, self._end))
        if not all(number in self._waiting for number in numbers):
            return None
        return self._write(list(numbers))

    def write_rest(self) -> list[Path]:
        """Write what is finished, since no more games come; the files."""
        numbers = sorted(self._waiting)
        return [self._write(numbers[at : at + GAMES_PER_FILE]) for at in range(0, len(numbers), GAMES_PER_FILE)]

    def _write(self, numbers: list[int]) -> Path:
        """The file is named after its first game, which is in no other file then."""
        games = [self._waiting.pop(number) for number in numbers]
        path = self._folder / batch_name(self._header.round, numbers[0])
        write_atomically(path, encode_batch(self._header, games))
        return path
