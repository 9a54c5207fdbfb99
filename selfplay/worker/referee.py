"""The referee: has items of a contest played (`arena/contest.py`). A service, and what a worker does with such tasks.

It answers with

    results    results: pairs of item and result    some are known
    done       games, …                             the task is finished
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import msgspec
from msgspec import Meta

from selfplay.arena.contest import Contest, Table
from selfplay.engines.engine import Message
from selfplay.games.game import Rules
from selfplay.games.registry import load_rules
from selfplay.machine import resident_megabytes


class ContestTask(msgspec.Struct, frozen=True, kw_only=True):
    """Items of a contest."""

    contest: Contest
    first_game: Annotated[int, Meta(ge=0)]  # the first item
    num_games: Annotated[int, Meta(ge=1)]  # items


def make_referee(settings: Message) -> Referee:
    """The service behind `python -m selfplay.engines.child selfplay.worker.referee:make_referee`."""
    return Referee(load_rules(settings["game"]))


class Referee:
    """Works through tasks; keeps the players of the last ones open."""

    def __init__(self, rules: Rules) -> None:
        self._table = Table(rules)
        self._finishing = False

    def finish(self) -> None:
        """What is not played by now stays so: its games cost little, and are played anew."""
        self._finishing = True

    def handle(self, message: Message) -> Iterator[Message | None]:
        """Work through one task, given as a table with the fields of `ContestTask`.

        Raises `UsageError` or `ModelError` where a player cannot be opened.
        """
        task, games = msgspec.convert(message, ContestTask), 0
        for found in self._table.work_through(task.contest, range(task.first_game, task.first_game + task.num_games)):
            if found:
                games += len(found)
                yield {"event": "results", "results": msgspec.to_builtins(list(found.items()))}
            if self._finishing:
                break
            yield None
        counts = {"games": games, "plies": 0, "simulations": 0, "lookups": 0, "hits": 0}
        yield {"event": "done", **counts, "memory": round(resident_megabytes())}
