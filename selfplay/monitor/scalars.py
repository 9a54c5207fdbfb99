"""A snapshot's figures as TensorBoard scalars. Needs tensorboardX, which writes the files without torch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from selfplay.arena.ratings import ROUND
from selfplay.errors import UsageError
from selfplay.monitor.snapshot import Snapshot

Scalar = tuple[str, float, int, float]  # name, value, round, seconds since 1970


def scalars(snapshot: Snapshot) -> Iterator[Scalar]:
    """Every figure that belongs to a round, as TensorBoard calls it."""
    for event in snapshot.trained:
        for name in ("policy", "policy_floor", "value"):
            yield f"loss/{name}", getattr(event, name), event.round, event.time
        if event.future:
            yield "loss/future", event.future, event.round, event.time
        yield "training/seconds", event.seconds, event.round, event.time
        yield "training/samples_per_second", event.samples_per_second, event.round, event.time
        yield "training/window_positions", event.window, event.round, event.time
    for played in snapshot.played:
        if played.games:
            yield "games/plies", played.plies / played.games, played.round, played.time
            for name in ("first_won", "drawn", "second_won"):
                yield f"games/{name}", getattr(played, name) / played.games, played.round, played.time
        yield "play/seconds", played.seconds, played.round, played.time
        yield "play/games_per_second", played.games_per_second, played.round, played.time
        yield "play/simulations_per_second", played.simulations_per_second, played.round, played.time
        yield "play/cache_hits", played.hit_share, played.round, played.time
    for match in snapshot.matches:
        yield f"match/{match.against}", match.score, match.round, match.time
    elo = {rating.name: rating.elo for rating in snapshot.ratings}
    for number, seconds in {match.round: match.time for match in snapshot.matches}.items():
        if (name := f"{ROUND}{number}") in elo:
            yield "rating/elo", elo[name], number, seconds
    for found in snapshot.mistakes:
        yield f"mistakes/{found.positions}", found.share, found.round, found.time


def write_scalars(snapshot: Snapshot, folder: Path) -> int:
    """Write them to a file in the folder; how many. Raises `UsageError` where tensorboardX is not installed."""
    try:
        from tensorboardX import SummaryWriter
    except ImportError:
        raise UsageError("--tensorboard needs tensorboardX: pip install 'selfplay[tensorboard]'") from None
    count = 0
    with SummaryWriter(str(folder)) as writer:
        for name, value, number, seconds in scalars(snapshot):
            writer.add_scalar(name, value, global_step=number, walltime=seconds)
            count += 1
    return count
