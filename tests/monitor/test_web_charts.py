"""Plots as options of the chart library."""

import json

import pytest

from selfplay.monitor.plots import BLUE, Line, Plot
from selfplay.monitor.web_charts import options


def plot(*lines, **more):
    return Plot("A title", "round", "nats", lines, **more)


def test_numbers_arrive_as_they_are():
    made = options(plot(Line("loss", [1, 2, 3], [2.0, 1.0, 2 / 3], BLUE), bottom=0.0))
    (series,) = made["series"]
    assert series["data"] == [[1, 2.0], [2, 1.0], [3, 0.66667]]
    assert made["title"]["text"] == "A title (nats)"
    assert made["yAxis"]["min"] == 0.0
    assert made["yAxis"]["max"] is None, "the chart library chooses a round number"
    json.dumps(made)


def test_long_lines_are_thinned_and_keep_their_ends():
    (series,) = options(plot(Line("loss", range(10_000), range(10_000), BLUE)))["series"]
    assert len(series["data"]) == 400
    assert (series["data"][0], series["data"][-1]) == ([0, 0], [9999, 9999])
    assert not series["showSymbol"]


def test_error_bars_are_inside_the_axis():
    made = options(plot(Line("elo", [5], [100.0], BLUE, low=[40.0], high=[160.0])))
    assert made["series"][0]["markLine"]["data"] == [[{"coord": [5, 40]}, {"coord": [5, 160]}]]
    assert made["yAxis"]["min"] < 40
    assert made["yAxis"]["max"] > 160
    assert (made["xAxis"]["min"], made["xAxis"]["max"]) == (4, 6), "a lone point stands in the middle"


def test_areas_stand_on_each_other():
    made = options(plot(Line("a", [1], [0.3], BLUE), Line("b", [1], [0.7], BLUE), is_stacked=True, bottom=0.0, top=1.0))
    assert [series["stack"] for series in made["series"]] == ["all", "all"]
    assert made["yAxis"]["max"] == pytest.approx(1.0)
    assert made["legend"]["show"]


def test_bars_are_named():
    made = options(plot(Line("games/s", range(2), [1.5, 2.5], BLUE), bottom=0.0, bars=("worker_0", "worker_1")))
    assert made["xAxis"]["data"] == ["worker_0", "worker_1"]
    assert [(series["type"], series["data"]) for series in made["series"]] == [("bar", [1.5, 2.5])]
