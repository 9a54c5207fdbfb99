"""Has a contest worked through by worker processes, and replaces those that die. Knows no run and no files of one."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from pathlib import Path

import msgspec

from selfplay.arena.contest import SIDE_BY_SIDE, Contest, Result
from selfplay.coordinator.plan import next_task
from selfplay.coordinator.supervisor import Supervisor
from selfplay.engines.engine import Ended, Engine
from selfplay.errors import ProcessError

REFEREE_SERVICE = "selfplay.worker.referee:make_referee"
POLL_SECONDS = 0.2


def play_contest(
    contest: Contest, engine: Engine, *, game: str, workers: int, log_of: Callable[[str], Path]
) -> Generator[dict[int, Result], None, None]:
    """Results of all items so far, again and again until all are there; whoever has read enough stops reading.

    Args:
        contest: what is played.
        engine: runs the workers, which are gone when this ends.
        game: the game's spec.
        workers: how many.
        log_of: where a worker's output lies.

    Raises `ProcessError` where a worker cannot go on.
    """
    supervisor = Supervisor(engine, log_of, time.monotonic)
    names = [f"referee_{number}" for number in range(workers)]
    at_work: dict[str, range] = {}
    results: dict[int, Result] = {}
    try:
        for name in names:
            supervisor.start(name, REFEREE_SERVICE, {"game": game})
        while len(results) < contest.items:
            _hand_out(contest, engine, {name: supervisor.is_up(name) for name in names}, at_work, results)
            for item in engine.poll(POLL_SECONDS):
                if isinstance(item, Ended):
                    supervisor.note_death(item, supervisor.describe(item))
                    at_work.pop(item.child, None)
                elif item.message["event"] == "results":
                    supervisor.note_success(item.child)
                    results.update(msgspec.convert(item.message["results"], list[tuple[int, Result]]))
                elif item.message["event"] == "done":
                    del at_work[item.child]
                elif item.message["event"] == "failed":
                    raise ProcessError(f"{item.child}: {item.message['reason']}")
            supervisor.restart_due()
            yield results
    finally:
        engine.stop_all()


def _hand_out(
    contest: Contest, engine: Engine, workers: dict[str, bool], at_work: dict[str, range], results: dict[int, Result]
) -> None:
    """Give those of the workers who are up and idle the first items that nobody is at."""
    taken = {item for items in at_work.values() for item in items}
    pending = [item for item in range(contest.items) if item not in results and item not in taken]
    idle = [name for name, is_up in workers.items() if is_up and name not in at_work]
    for place, name in enumerate(idle):
        if not pending:
            return
        takers = len(idle) - place
        task = next_task(pending, workers=len(workers), idle=takers, games_in_parallel=SIDE_BY_SIDE // 2)
        del pending[: len(task)]
        at_work[name] = task
        engine.send(name, {"contest": msgspec.to_builtins(contest), "first_game": task.start, "num_games": len(task)})
