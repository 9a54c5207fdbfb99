"""A run's plots on paper, for reports and papers: the same picture as SVG or PNG. Needs matplotlib."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from selfplay.errors import UsageError
from selfplay.monitor.plots import Line, Plot, plots
from selfplay.monitor.snapshot import Snapshot

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SIZE = (6.4, 3.2)  # inches
_HEADROOM = 1.1


def draw(snapshot: Snapshot) -> dict[str, Figure]:
    """Every plot that the run has numbers for, as a figure, by name.

    Raises `UsageError` where matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise UsageError("reports need matplotlib: pip install 'selfplay[report]'") from None
    figures = {}
    for name, plot in plots(snapshot).items():
        figures[name] = Figure(figsize=_SIZE, layout="constrained")
        _fill(figures[name].add_subplot(), plot)
    return figures


def as_bytes(figure: Figure, kind: str) -> bytes:
    """The figure as "svg" or "png"; equal figures give equal bytes."""
    from matplotlib import rc_context

    buffer = io.BytesIO()
    with rc_context({"svg.hashsalt": "selfplay", "svg.fonttype": "none"}):
        figure.savefig(buffer, format=kind, dpi=200, metadata={"Date": None} if kind == "svg" else {"Software": None})
    return buffer.getvalue()


def _fill(axes: Axes, plot: Plot) -> None:
    from matplotlib.ticker import MaxNLocator

    if plot.bars:
        (line,) = plot.lines
        axes.bar(line.x, line.y, color=line.colour, label=line.name)
        axes.set_xticks([])
    elif plot.is_stacked:
        lines = plot.lines
        heights, colours = [line.y for line in lines], [line.colour for line in lines]
        axes.stackplot(lines[0].x, *heights, labels=[line.name for line in lines], colors=colours)
    else:
        for line in plot.lines:
            _draw_line(axes, line)
    axes.set_title(plot.title, loc="left", fontsize=10)
    axes.set(xlabel=plot.x_label, ylabel=plot.y_label)
    axes.grid(alpha=0.3)
    if plot.bottom is not None:
        axes.set_ylim(plot.bottom, plot.top if plot.top is not None else _HEADROOM * axes.get_ylim()[1])
    if len(plot.lines) > 1:
        axes.legend(fontsize=8)
    if plot.x_label == "round":
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def _draw_line(axes: Axes, line: Line) -> None:
    if line.low is None or line.high is None:
        axes.plot(line.x, line.y, color=line.colour, ls=":" if line.is_dotted else "-", label=line.name)
        return
    below = [max(0.0, y - low) for y, low in zip(line.y, line.low, strict=True)]
    above = [max(0.0, high - y) for y, high in zip(line.y, line.high, strict=True)]
    axes.errorbar(line.x, line.y, yerr=[below, above], fmt="o-", color=line.colour, capsize=3, label=line.name)
