"""A run as one page of HTML that needs nothing else: no server, no script, no other file."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from selfplay.errors import UsageError
from selfplay.files import read_file
from selfplay.monitor.figures import as_bytes, draw
from selfplay.monitor.snapshot import Snapshot
from selfplay.monitor.terminal import size
from selfplay.rundir.layout import RunLayout


def page(snapshot: Snapshot) -> str:
    """The page. Everything that comes from the run's files is escaped.

    Raises `UsageError` where the packages for reports are not installed.
    """
    figures = {name: _inner(as_bytes(figure, "svg").decode()) for name, figure in draw(snapshot).items()}
    import jinja2  # comes with matplotlib in the extra `report`

    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=False)
    template = environment.from_string((resources.files("selfplay") / "monitor" / "report.html").read_text("utf-8"))
    layout = RunLayout(Path(snapshot.folder))
    settings = read_file(layout.settings, what="settings file", error=UsageError, most_bytes=1 << 20)
    return template.render(s=snapshot, figures=figures, size=size, settings=settings.decode(errors="replace"))


def _inner(svg: str) -> str:
    """Without the head of a file of its own."""
    return svg[svg.index("<svg") :]
