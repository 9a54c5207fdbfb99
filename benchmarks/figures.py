"""How measured figures are written down, so that two results can be compared: `compare.py`.

A figure is a table of `median`, `low` and `high` (the quartiles over the turns). Its name says what is better:
`…_per_second`, `ratio…` and `…_over_…` shall be high, `…seconds`, `…megabytes` and `…bytes` low.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from typing import Any

Figure = dict[str, float]

HIGH = ("per_second", "ratio", "_over_", "efficiency")
LOW = ("seconds", "megabytes", "bytes", "share_idle")


def figure(values: Sequence[float], *, places: int = 3) -> Figure:
    """Median and quartiles of a figure that was measured several times."""
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else [*values] * 3
    return {"median": round(middle, places), "low": round(low, places), "high": round(high, places)}


def is_figure(value: Any) -> bool:
    """Whether this is what `figure` makes."""
    return isinstance(value, dict) and value.keys() == {"median", "low", "high"}


def figures_in(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Figure]]:
    """Every figure in a result, with its name: the keys that lead to it."""
    if is_figure(value):
        yield "/".join(path), value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from figures_in(inner, (*path, str(key)))
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            name = inner.get("name", place) if isinstance(inner, dict) else place
            yield from figures_in(inner, (*path, str(name)))


def better(name: str) -> int:
    """1 where a figure of this name shall be high, -1 where low, 0 where neither is said."""
    last = name.rpartition("/")[2]
    if any(word in last for word in HIGH):
        return 1
    return -1 if any(word in last for word in LOW) else 0
