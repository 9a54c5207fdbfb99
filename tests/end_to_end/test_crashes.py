"""Runs that are killed again and again end in the same bytes: a short turn of `benchmarks/crash_equivalence.py`."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "crash_equivalence.py"


@pytest.mark.parametrize(
    ("options", "kills"),
    [
        (["--kills", "10", "--seed", "3"], 10),
        (["--points", "write models/round.pt, torn"], 1),
    ],
)
def test_killed_runs_end_in_the_same_bytes(options, kills):
    done = subprocess.run(
        [sys.executable, BENCHMARK, *options], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert sum(found["kills"].values()) == kills
    assert found["problems"] == []
    assert found["runs"] >= 1
