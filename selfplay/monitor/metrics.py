"""A snapshot as metrics for Prometheus, in its text format. Names and units: PARALLEL_TRAINING.md, "Metrics"."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from selfplay.errors import printable
from selfplay.monitor.snapshot import Snapshot, WorkerView

_MEGABYTE = 1_000_000
_OF_WORKERS: tuple[tuple[str, str, Callable[[WorkerView], float | None]], ...] = (
    ("selfplay_worker_games_per_second", "Games per second of a worker of late", lambda w: w.games_per_second),
    ("selfplay_worker_simulations_per_second", "Its simulations per second", lambda w: w.simulations_per_second),
    ("selfplay_worker_memory_bytes", "Its memory", lambda w: w.memory * _MEGABYTE),
    ("selfplay_worker_batch_files", "Its batch files", lambda w: w.batch_files),
    ("selfplay_worker_silent_seconds", "Seconds since its last sign of life", lambda w: w.silent_seconds),
)


def metrics_text(snapshot: Snapshot) -> bytes:
    """The answer to a scrape."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Once(snapshot))
    return generate_latest(registry)


class _Once(Collector):
    """Hands one snapshot to the library."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    def collect(self) -> Iterator[Metric]:
        snapshot = self._snapshot
        run = InfoMetricFamily("selfplay_run", "The run that is watched")
        run.add_metric([], {"game": printable(snapshot.game), "folder": printable(snapshot.folder)})
        yield run
        for name, (help_text, value) in of_run(snapshot).items():
            if value is not None:
                yield GaugeMetricFamily(name, help_text, value=value)
        yield CounterMetricFamily("selfplay_child_restarts", "Deaths of child processes", value=snapshot.restarts)
        for name, help_text, figure in _OF_WORKERS:
            family = GaugeMetricFamily(name, help_text, labels=["worker"])
            for worker in snapshot.workers:
                if (value := figure(worker)) is not None:
                    family.add_metric([worker.name], value)
            yield family
        scores = GaugeMetricFamily(
            "selfplay_match_score",
            "Score of the newest match against an opponent, draws count half",
            labels=["against"],
        )
        for against, match in {match.against: match for match in snapshot.matches}.items():
            scores.add_metric([printable(against)], match.score)
        yield scores
        rated = GaugeMetricFamily("selfplay_rating_elo", "Rating of a round or baseline", labels=["player"])
        for rating in snapshot.ratings:
            rated.add_metric([printable(rating.name)], rating.elo)
        yield rated


def of_run(snapshot: Snapshot) -> dict[str, tuple[str, float | None]]:
    """Name -> what it means, and its value; None where the run has none yet."""
    progress, trained = snapshot.progress, snapshot.trained[-1] if snapshot.trained else None
    games = sum(event.games for event in snapshot.played)
    return {
        "selfplay_running": ("1 while a coordinator holds the run", float(snapshot.running is not None)),
        "selfplay_round": ("Newest round with a model", snapshot.newest_round),
        "selfplay_rounds_goal": ("Rounds that the run shall have", snapshot.rounds),
        "selfplay_round_progress_ratio": ("Share of the phase that is done", progress.share if progress else None),
        "selfplay_games": ("Games of all finished rounds", games),
        "selfplay_games_per_second": (
            "Games per second of this round",
            progress.games_per_second if progress else None,
        ),
        "selfplay_simulations_per_second": (
            "Simulations per second of this round",
            progress.simulations_per_second if progress else None,
        ),
        "selfplay_cache_hit_ratio": ("Share of leaves found in the cache", progress.hit_share if progress else None),
        "selfplay_cores_busy_ratio": ("Share of the cores' time used in the last rounds", snapshot.busy_share),
        "selfplay_policy_loss": ("Policy loss of the newest round, nats", trained.policy if trained else None),
        "selfplay_policy_loss_floor": ("Entropy of its targets, nats", trained.policy_floor if trained else None),
        "selfplay_value_loss": ("Value loss of the newest round, nats", trained.value if trained else None),
        "selfplay_future_loss": (
            "Loss of the board at the end of the game, nats per cell",
            trained.future if trained and trained.future else None,
        ),
        "selfplay_training_seconds": ("Time its training took", trained.seconds if trained else None),
        "selfplay_window_positions": ("Positions it was trained on", trained.window if trained else None),
        "selfplay_batch_files": ("Batch files of all workers", snapshot.batch_files),
        "selfplay_batch_bytes": ("Their size", snapshot.batch_bytes),
        "selfplay_quarantined_files": ("Files that were rejected", snapshot.quarantined),
        "selfplay_disk_bytes": ("Disk the run uses", snapshot.disk_bytes),
        "selfplay_disk_free_bytes": ("Disk that is left", snapshot.disk_free_bytes),
    }
