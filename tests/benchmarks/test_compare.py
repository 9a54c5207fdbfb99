"""What `benchmarks/compare.py` takes for a change, and what for noise."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from compare import Change, changes, tree_of
from figures import better, figure, figures_in

ROOT = Path(__file__).parents[2]


def result(**figures):
    return {"machine": {"processor": "x"}, "results": {"speed": {"cases": [{"name": "small", **figures}]}}}


def test_a_figure_is_median_and_quartiles():
    assert figure([3.0, 1.0, 2.0, 5.0, 4.0]) == {"median": 3.0, "low": 2.0, "high": 4.0}
    assert figure([7.0]) == {"median": 7.0, "low": 7.0, "high": 7.0}


def test_figures_are_named_by_the_way_that_leads_to_them():
    found = dict(figures_in(result(seconds=figure([1.0]), rounds=3)["results"]))
    assert list(found) == ["speed/cases/small/seconds"]


@pytest.mark.parametrize(
    ("name", "direction"),
    [
        ("a/simulations_per_second", 1),
        ("ratio", 1),
        ("boundary_seconds", -1),
        ("own_megabytes_per_worker", -1),
        ("x", 0),
    ],
)
def test_the_name_says_what_is_better(name, direction):
    assert better(name) == direction


@pytest.mark.parametrize(
    ("name", "before", "after", "verdict"),
    [
        ("boundary_seconds", [1.0, 1.1, 1.2], [2.0, 2.1, 2.2], "worse"),
        ("boundary_seconds", [2.0, 2.1, 2.2], [1.0, 1.1, 1.2], "better"),
        ("games_per_second", [1.0, 1.1, 1.2], [2.0, 2.1, 2.2], "better"),
        ("games_per_second", [1.0, 1.1, 1.2], [1.1, 1.15, 1.3], ""),  # the quartiles overlap
        ("games_per_second", [100.0, 100.1, 100.2], [101.0, 101.1, 101.2], ""),  # too little
        ("positions", [1.0], [2.0], "changed"),
    ],
)
def test_a_change_counts_beyond_noise_only(name, before, after, verdict):
    assert Change(name, figure(before), figure(after)).verdict(0.03) == verdict


def test_figures_that_only_one_result_has_are_left_out():
    found = changes(result(seconds=figure([1.0]), old=figure([1.0])), result(seconds=figure([2.0]), new=figure([1.0])))
    assert [change.name for change in found] == ["speed/cases/small/seconds"]


def test_two_files_are_compared_and_a_loss_is_an_exit_code(tmp_path):
    for name, seconds in (("a", 1.0), ("b", 2.0)):
        (tmp_path / f"{name}.json").write_text(json.dumps(result(start_seconds=figure([seconds]))))
    command = [sys.executable, ROOT / "benchmarks" / "compare.py", "--json"]
    worse = subprocess.run([*command, "a.json", "b.json"], cwd=tmp_path, capture_output=True, text=True)
    assert worse.returncode == 1
    assert json.loads(worse.stdout) == [{"name": "speed/cases/small/start_seconds", "change": 1.0, "verdict": "worse"}]
    better_now = subprocess.run([*command, "b.json", "a.json"], cwd=tmp_path, capture_output=True, text=True)
    assert better_now.returncode == 0


def test_what_is_neither_file_nor_commit_is_said_so():
    with pytest.raises(SystemExit, match='"nonsense" is neither a result file nor a commit'), tree_of("nonsense"):
        pass
