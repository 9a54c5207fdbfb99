"""A snapshot as plain text, 80 columns wide, for any terminal."""

from __future__ import annotations

from selfplay.errors import printable
from selfplay.monitor.snapshot import Snapshot, WorkerView
from selfplay.rundir.event_types import Trained

_ROUNDS_SHOWN = 5


def render(snapshot: Snapshot) -> str:
    """The whole screen as text."""
    lines = [*_head(snapshot), "", *_workers(snapshot), "", *_rounds(snapshot), *_matches(snapshot)]
    lines += [f"batch files {snapshot.batch_files:,} · quarantine {snapshot.quarantined} · {_disk(snapshot)}"]
    lines += [f"! {warning}" for warning in snapshot.warnings]
    return printable("\n".join(lines))


def _head(snapshot: Snapshot) -> list[str]:
    state = f"running, {snapshot.running}" if snapshot.running else "not running"
    goal = "?" if snapshot.rounds is None else str(snapshot.rounds)
    newest = "no model yet" if snapshot.newest_round is None else f"newest model: round {snapshot.newest_round}/{goal}"
    lines = [f"{snapshot.game} in {snapshot.folder} · {state}", newest]
    progress = snapshot.progress
    if progress is not None:
        left = progress.seconds_left
        ending = f" · about {left // 60} min {left % 60:02d} s left" if snapshot.running and left is not None else ""
        lines.append(
            f"round {progress.round} {progress.phase}: {progress.games}/{progress.games_total} games, "
            f"{progress.games_per_second:.1f} games/s{ending}"
        )
        lines.append(
            f"{progress.simulations_per_second:,} simulations/s, {progress.plies_per_game:.1f} plies per game, "
            f"{progress.hit_share:.0%} cache hits"
        )
    return lines


def _workers(snapshot: Snapshot) -> list[str]:
    if not snapshot.workers:
        return ["no worker has written yet"]
    head = _row("worker", "state", "games", "simulations", "files", "disk", "memory", "heard", "died")
    return [head, *(_worker(worker) for worker in snapshot.workers)]


def _worker(worker: WorkerView) -> str:
    heard = "-" if worker.silent_seconds is None else f"{worker.silent_seconds:.0f} s"
    return _row(
        worker.name,
        worker.state,
        str(worker.games),
        f"{worker.simulations:,}",
        str(worker.batch_files),
        size(worker.bytes),
        f"{worker.memory} MB",
        heard,
        str(worker.restarts),
    )


def _row(name: str, state: str, *figures: str) -> str:
    widths = (7, 13, 7, 9, 8, 7, 6)
    cells = (f"{figure:>{width}}" for figure, width in zip(figures, widths, strict=True))
    return f"{name:<12}{state:<11}{''.join(cells)}"


def _rounds(snapshot: Snapshot) -> list[str]:
    if not snapshot.trained:
        return []
    lines = [f"{'round':<8}{'policy loss':>12}{'floor':>8}{'value loss':>12}{'window':>10}{'seconds':>9}  model"]
    lines += [_round(event) for event in snapshot.trained[-_ROUNDS_SHOWN:]]
    return [*lines, *_training(snapshot.trained[-1]), ""]


def _training(event: Trained) -> list[str]:
    """How the last round was trained, and where its time went."""
    if not event.plan:  # written by an earlier version
        return []
    shares = ", ".join(f"{name} {share:.0%}" for name, share in event.shares.items())
    batches = f"{event.batches}/{event.batches + event.batches_left_out} batches"
    return [
        f"trained by {event.plan}: {batches}",
        f"{event.samples_per_second:,} samples/s: {shares}",
    ]


def _round(event: Trained) -> str:
    return (
        f"{event.round:<8}{event.policy:>12.3f}{event.policy_floor:>8.3f}{event.value:>12.3f}"
        f"{event.window:>10,}{event.seconds:>9.1f}  {event.fingerprint[:12]}"
    )


def _matches(snapshot: Snapshot) -> list[str]:
    return [
        f"round {event.round} against {event.against}: score {event.score:.3f} "
        f"({event.low:.3f} to {event.high:.3f}, {event.games} games)"
        for event in snapshot.matches
    ]


def _disk(snapshot: Snapshot) -> str:
    return f"disk {size(snapshot.disk_bytes)} used, {size(snapshot.disk_free_bytes)} free"


def size(count: int) -> str:
    """`1.2 MB`, in powers of 1,000."""
    amount = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} TB"
