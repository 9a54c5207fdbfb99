"""A run's plots as options of ECharts, the chart library of the pages. Pure: plots in, plain tables out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from selfplay.errors import printable
from selfplay.monitor.plots import Line, Plot

_MOST_POINTS = 400  # per line: more than a plot has pixels
_MOST_SYMBOLS = 40
_DIGITS = 5
_GREY = "#8a8a8a"  # reads on white and on black

Options = dict[str, Any]


def options(plot: Plot) -> Options:
    """What ECharts draws; equal plots give equal options."""
    return {
        "animation": False,
        "aria": {"enabled": True},
        "textStyle": {"color": _GREY},
        "title": {
            "text": plot.title if plot.y_label in plot.title.lower() else f"{plot.title} ({plot.y_label})",
            "left": 6,
            "top": 4,
            "textStyle": {"fontSize": 13, "color": _GREY},
        },
        "legend": {"show": len(plot.lines) > 1, "top": 24, "type": "scroll", "textStyle": {"color": _GREY}},
        "tooltip": {"trigger": "axis", "confine": True},
        "grid": {"left": 8, "right": 18, "top": 52, "bottom": 24, "containLabel": True},
        "xAxis": _named_axis(plot) if plot.bars else _level_axis(plot),
        "yAxis": _axis() | _reach(plot),
        "series": [_bars(line) if plot.bars else _series(line, is_stacked=plot.is_stacked) for line in plot.lines],
    }


def _axis() -> Options:
    faint = {"lineStyle": {"color": _GREY, "opacity": 0.25}}
    return {"type": "value", "axisLabel": {"color": _GREY, "hideOverlap": True}, "splitLine": faint}


def _level_axis(plot: Plot) -> Options:
    is_rounds = plot.x_label == "round"
    low, high = min(min(line.x) for line in plot.lines if line.x), max(max(line.x) for line in plot.lines if line.x)
    beside = 1 if low == high else 0  # a lone point stands in the middle
    return _axis() | {
        "name": plot.x_label,
        "nameLocation": "middle",
        "nameGap": 22,
        "min": _round(low - beside),
        "max": _round(high + beside),
        "minInterval": 1 if is_rounds else 0,
        "axisLabel": {"color": _GREY, "hideOverlap": True, "showMaxLabel": is_rounds},
    }


def _named_axis(plot: Plot) -> Options:
    names = [printable(name) for name in plot.bars]
    return {"type": "category", "data": names, "axisLabel": {"color": _GREY, "hideOverlap": True}}


def _bars(line: Line) -> Options:
    return {"name": line.name, "type": "bar", "data": [_round(figure) for figure in line.y], "color": line.colour}


def _reach(plot: Plot) -> Options:
    """Where the upright axis begins and ends: error bars would not widen it by themselves."""
    ends = [figure for line in plot.lines for figures in (line.low, line.high) for figure in figures or ()]
    if plot.bottom is None and not ends:
        return {"scale": True}
    room = 0.05 * (max(ends) - min(ends)) if ends else 0.0
    low = plot.bottom if plot.bottom is not None else math.floor(min(ends) - room)
    return {"min": low, "max": plot.top if plot.top is not None or not ends else math.ceil(max(ends) + room)}


def _series(line: Line, *, is_stacked: bool) -> Options:
    places = _kept(len(line.x))
    series: Options = {
        "name": line.name,
        "type": "line",
        "data": [[_round(line.x[i]), _round(line.y[i])] for i in places],
        "color": line.colour,
        "showSymbol": len(places) <= _MOST_SYMBOLS,
        "lineStyle": {"width": 2, "type": "dotted" if line.is_dotted else "solid"},
    }
    if is_stacked:
        series |= {"stack": "all", "areaStyle": {"opacity": 0.7}, "lineStyle": {"width": 0}, "showSymbol": False}
    if line.low is not None and line.high is not None:
        series["markLine"] = _error_bars(line, places)
    return series


def _error_bars(line: Line, places: Sequence[int]) -> Options:
    assert line.low is not None
    assert line.high is not None
    return {
        "silent": True,
        "symbol": "rect",
        "symbolSize": [8, 1.5],
        "lineStyle": {"type": "solid", "width": 1.5, "color": line.colour},
        "label": {"show": False},
        "data": [
            [{"coord": [_round(line.x[i]), _round(line.low[i])]}, {"coord": [_round(line.x[i]), _round(line.high[i])]}]
            for i in places
        ],
    }


def _kept(count: int) -> list[int]:
    """Which points are drawn, evenly spread, the first and the last among them."""
    if count <= _MOST_POINTS:
        return list(range(count))
    return [i * (count - 1) // (_MOST_POINTS - 1) for i in range(_MOST_POINTS)]


def _round(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")
