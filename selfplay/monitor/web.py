"""The dashboard in a browser: what the terminal monitor shows, with plots that keep up by themselves."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fastapi import Response
from nicegui import app, ui
from prometheus_client import CONTENT_TYPE_LATEST

from selfplay.errors import UsageError, printable
from selfplay.files import read_file
from selfplay.monitor.metrics import metrics_text
from selfplay.monitor.plots import Plot, plots
from selfplay.monitor.snapshot import Notice, Snapshot, WorkerView
from selfplay.monitor.terminal import size
from selfplay.monitor.watch import Watch
from selfplay.monitor.web_charts import options
from selfplay.rundir.layout import RunLayout
from selfplay.web.frame import Link, frame

_ROWS_PER_PAGE = 20
_TOLD = 100  # lines of the event log
_MOST_SETTINGS_BYTES = 1 << 20
_FIGURES = (
    "newest model", "time left", "games/s", "simulations/s", "policy loss", "its floor", "value loss", "plies per game",
    "cache hits", "cores busy", "batch files", "disk", "disk free", "quarantine", "restarts",
)  # fmt: skip
_COLUMNS = (
    "worker", "state", "games", "games/s", "simulations/s", "files", "on disk", "memory", "heard", "died",
)  # fmt: skip


def add_dashboard(watch: Watch, links: Sequence[Link]) -> None:
    """Put the dashboard at `/`, and metrics for Prometheus at `/metrics`."""

    @app.get("/metrics", include_in_schema=False)
    async def metrics() -> Response:
        return Response(metrics_text(await watch.newest()), media_type=CONTENT_TYPE_LATEST)

    @ui.page("/")
    async def dashboard() -> None:
        snapshot = await watch.newest()
        with frame(printable(snapshot.game), links, here="/"):
            view = _Dashboard(snapshot)

        async def refresh() -> None:
            view.show(await watch.newest())

        ui.timer(watch.interval, refresh)


class _Dashboard:
    """The elements of one browser's page; each is sent again only where it changed."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._shown: Snapshot | None = None
        self._state = ui.label().classes("plain").props("role=status")
        with ui.element("div").classes("bar"):
            self._phase = ui.label()
            self._bar = ui.linear_progress(show_value=False, size="0.9rem").classes("progress")
            self._bar.props('aria-label="progress of the round"')
            self._words = ui.label()
        self._figures: dict[str, ui.label] = {}
        with ui.element("div").classes("figures"):
            for name in _FIGURES:
                with ui.element("div").classes("figure"):
                    ui.label(name).classes("name")
                    self._figures[name] = ui.label().classes("value").props(f'data-name="{name}"')
        self._plots = ui.element("div").classes("plots")
        self._charts: dict[str, ui.echart] = {}
        self._drawn: dict[str, Plot] = {}
        self._workers = ui.table(columns=_columns(), rows=[], row_key="worker", pagination=_ROWS_PER_PAGE)
        self._workers.classes("wide").props("dense flat bordered")
        with ui.expansion("What happened", value=True).classes("wide"):
            self._told = ui.element("div").classes("plain").props('role=log aria-label="event log"')
        with ui.expansion("Settings").classes("wide"):
            ui.label(_settings(snapshot)).classes("plain")
        self.show(snapshot)

    def show(self, snapshot: Snapshot) -> None:
        """Bring the page up to date."""
        before, self._shown = self._shown, snapshot
        self._head(snapshot)
        for name, text in _figures(snapshot).items():
            self._figures[name].text = text
        self._workers.rows = [_row(worker) for worker in snapshot.workers]
        if before is None or before.happened != snapshot.happened:
            self._tell(snapshot.happened)
        self._draw(snapshot)

    def _head(self, snapshot: Snapshot) -> None:
        state = f"running, {snapshot.running}" if snapshot.running else "not running"
        self._state.text = printable(f"{snapshot.folder} · {state}")
        progress = snapshot.progress
        if progress is None:
            return
        self._phase.text = printable(f"round {progress.round} {progress.phase}")
        self._bar.value = min(1.0, max(0.0, progress.share))
        words = f" · {progress.games}/{progress.games_total} games" if progress.phase == "playing" else ""
        self._words.text = f"{progress.share:.0%}{words}"

    def _tell(self, happened: Sequence[Notice]) -> None:
        self._told.clear()
        with self._told:
            for notice in reversed(happened[-_TOLD:]):
                clock = time.strftime("%d %b %H:%M:%S", time.localtime(notice.time))
                ui.label(printable(f"{clock}  {notice.text}")).classes("warning" if notice.is_warning else "")

    def _draw(self, snapshot: Snapshot) -> None:
        wanted = plots(snapshot)
        for name, plot in wanted.items():
            if name not in self._charts:
                with self._plots:
                    self._charts[name] = ui.echart(options(plot)).classes("plot").props(f'data-name="{name}"')
            elif self._drawn[name] != plot:
                chart = self._charts[name]
                chart.options.clear()
                chart.options.update(options(plot))
                chart.update()
            self._drawn[name] = plot
        for name, chart in self._charts.items():
            chart.set_visibility(name in wanted)


def _figures(snapshot: Snapshot) -> dict[str, str]:
    """What stands in the boxes, as text."""
    goal = "?" if snapshot.rounds is None else snapshot.rounds
    figures = dict.fromkeys(_FIGURES, "-")
    figures["newest model"] = (
        "none yet" if snapshot.newest_round is None else f"round {snapshot.newest_round} of {goal}"
    )
    progress = snapshot.progress
    if progress is not None:
        figures["games/s"] = f"{progress.games_per_second:.1f}"
        figures["simulations/s"] = f"{progress.simulations_per_second:,}"
        figures["plies per game"] = f"{progress.plies_per_game:.1f}"
        figures["cache hits"] = f"{progress.hit_share:.0%}"
        left = progress.seconds_left
        if snapshot.running and left is not None:
            figures["time left"] = f"{left // 60} min {left % 60:02d} s"
    if snapshot.busy_share is not None:
        figures["cores busy"] = f"{snapshot.busy_share:.1%}"
    if snapshot.trained:
        last = snapshot.trained[-1]
        figures["policy loss"] = f"{last.policy:.3f}"
        figures["its floor"] = f"{last.policy_floor:.3f}"
        figures["value loss"] = f"{last.value:.3f}"
    figures["batch files"] = f"{snapshot.batch_files:,} ({size(snapshot.batch_bytes)})"
    figures["disk"] = size(snapshot.disk_bytes)
    figures["disk free"] = size(snapshot.disk_free_bytes)
    figures["quarantine"] = str(snapshot.quarantined)
    figures["restarts"] = str(snapshot.restarts)
    return figures


def _columns() -> list[dict[str, Any]]:
    return [
        {"name": name, "label": name, "field": name, "sortable": True, "align": "left" if place < 2 else "right"}
        for place, name in enumerate(_COLUMNS)
    ]


def _row(worker: WorkerView) -> dict[str, Any]:
    silent = worker.silent_seconds
    cells = (
        printable(worker.name),
        printable(worker.state),
        worker.games,
        round(worker.games_per_second, 1),
        round(worker.simulations_per_second),
        worker.batch_files,
        size(worker.bytes),
        f"{worker.memory} MB",
        "-" if silent is None else f"{silent:.0f} s",
        worker.restarts,
    )
    return dict(zip(_COLUMNS, cells, strict=True))


def _settings(snapshot: Snapshot) -> str:
    path = RunLayout(Path(snapshot.folder)).settings
    return read_file(path, what="settings file", error=UsageError, most_bytes=_MOST_SETTINGS_BYTES).decode(
        errors="replace"
    )
