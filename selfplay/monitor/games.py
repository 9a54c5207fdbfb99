"""The games that a run recorded, to be looked at one by one: which there are, and one game ply by ply. Only reads."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from selfplay.config import settings_of_run
from selfplay.errors import BatchError, UsageError
from selfplay.games.board import Board, Cell, column_names
from selfplay.games.game import Rules
from selfplay.games.records import Played, formats, write_record
from selfplay.games.registry import load_rules
from selfplay.rundir.layout import RunLayout
from selfplay.samples.batch_file import Batch, GameRecord, check_game_record, read_batch
from selfplay.samples.writer import parse_batch_name

BLUNDER = 0.5  # of the two that lie between a won and a lost game: how much a move must throw away
_FILES_LOOKED_INTO = 20


@dataclass(frozen=True)
class Ply:
    """A position of a game, and the move that was played there."""

    drawing: str
    board: Board | None
    to_move: int  # player 0 or 1
    value: float  # of the search, for the first player, -1 to 1; of the last position, the outcome
    action: int | None  # None = the game is over here
    move: str  # what people call it
    visits: Mapping[int, float]  # action -> share of the visits
    names: Mapping[int, str]  # of these actions
    loss: float  # how much worse the mover stood after it, 0 to 2

    @property
    def is_blunder(self) -> bool:
        """Whether the move threw much away, by the eyes of the agent itself."""
        return self.loss >= BLUNDER

    @property
    def heat(self) -> dict[Cell, float]:
        """Shares of visits by the cell where each action ends."""
        return self.board.heat(self.visits) if self.board else {}


@dataclass(frozen=True)
class Game:
    """One recorded game."""

    round: int
    number: int
    outcome: int  # 1, 0 or -1 as the first player won, drew or lost
    worker: str
    plies: tuple[Ply, ...]  # one more than moves
    records: Mapping[str, str]  # format (`games/records.py`) -> the game as text, as far as the libraries are there

    @property
    def blunders(self) -> list[int]:
        """Plies whose move threw much away."""
        return [ply for ply, played in enumerate(self.plies) if played.is_blunder]

    @property
    def column_names(self) -> dict[int, str]:
        """Where stones fall: column -> name of the move."""
        names = {action: name for ply in self.plies for action, name in ply.names.items()}
        return column_names((ply.board for ply in self.plies if ply.board), lambda action: names[action])


@dataclass(frozen=True)
class Opened:
    """A game, and where one may go from it."""

    rounds: tuple[int, ...]  # of which there are games, rising
    files: tuple[int, ...]  # first game of each file of the round, rising
    first: int  # game of the file it stands in
    games: list[GameRecord]  # of that file
    game: Game


class GameShelf:
    """The games of a run.

    Args:
        folder: of the run.
        game: where the game's file lies now, if it was moved: `path/to/file.py:Class`.
    """

    def __init__(self, folder: Path, *, game: str | None = None) -> None:
        self._layout = RunLayout(folder)
        self._spec = game

    def open(self, round_number: int | None = None, number: int | None = None) -> Opened:
        """A game, with what lies around it; None = the newest round, its first game.

        Raises `BatchError` where it is not there or cannot be read, `GameError` where its rules cannot be loaded.
        """
        rounds: dict[int, dict[int, Path]] = {}
        for found, first, path in sorted(self._files()):
            rounds.setdefault(found, {})[first] = path
        if not rounds:
            raise BatchError("there are no games yet: they come as the first batch files are written")
        wanted = max(rounds) if round_number is None else round_number
        if wanted not in rounds:
            raise BatchError(f"round {wanted} has no games; there are rounds {min(rounds)} to {max(rounds)}")
        files = rounds[wanted]
        shown = min(files) if number is None else number
        # Games that were finished out of turn when a run was stopped stand in a file that begins before others.
        before = [first for first in reversed(files) if first <= shown][:_FILES_LOOKED_INTO]
        for first in before:
            batch = read_batch(files[first])
            record = next((record for record in batch.games if record.number == shown), None)
            if record is not None:
                game = self._studied(batch, record, files[first].parent.name)
                return Opened(tuple(rounds), tuple(files), first, batch.games, game)
        raise BatchError(f"round {wanted} has no game {shown}; its last file begins with game {max(files)}")

    def _files(self) -> Iterator[tuple[int, int, Path]]:
        """Round, first game and path of every batch file, by names alone."""
        for path in self._layout.batch_files():
            if (parsed := parse_batch_name(path.name)) is not None:
                yield *parsed, path

    def _studied(self, batch: Batch, record: GameRecord, worker: str) -> Game:
        settings = settings_of_run(self._layout.settings)
        rules = load_rules(self._spec or settings.game.name)
        if batch.rules != rules.info.rules_hash:
            raise BatchError(
                f"game {record.number} was played by other rules ({batch.rules[:12]}) than {rules.info.spec} has now "
                f"({rules.info.rules_hash[:12]})"
            )
        check_game_record(record, rules, has_short_searches=settings.search.has_quick_moves)
        records = _records(rules, record, event=f"self-play, round {batch.round}, game {record.number}")
        return Game(batch.round, record.number, record.outcome, worker, tuple(_plies(record, rules)), records)


def _records(rules: Rules, record: GameRecord, *, event: str) -> dict[str, str]:
    """The game in every format whose library is there."""
    played, found = Played(record.moves, record.outcome, event=event), {}
    for form in formats(rules):
        with contextlib.suppress(UsageError):
            found[form] = write_record(rules, played, form)
    return found


def _plies(record: GameRecord, rules: Rules) -> Iterator[Ply]:
    states, known = rules.replay(record.moves)
    sides = [1 if mover == 0 else -1 for mover in known.to_move.tolist()]
    values = [value * side for value, side in zip(record.values, sides, strict=False)] + [float(record.outcome)]
    for ply, action in enumerate(record.moves):
        pairs = record.policies[ply]
        total = sum(pairs[1::2])
        visits = {action: count / total for action, count in zip(pairs[::2], pairs[1::2], strict=True)}
        yield Ply(
            drawing=rules.draw(states[ply]),
            board=rules.board(states[ply], {*visits, action}),
            to_move=int(known.to_move[ply]),
            value=values[ply],
            action=action,
            move=rules.action_name(action),
            visits=visits,
            names={number: rules.action_name(number) for number in {*visits, action}},
            loss=max(0.0, (values[ply] - values[ply + 1]) * sides[ply]) if visits else 0.0,
        )
    yield Ply(
        drawing=rules.draw(states[-1]),
        board=rules.board(states[-1], ()),
        to_move=int(known.to_move[-1]),
        value=values[-1],
        action=None,
        move="",
        visits={},
        names={},
        loss=0.0,
    )
