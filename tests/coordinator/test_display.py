import io

import pytest
from rich.console import Console

from selfplay.coordinator.display import Display, duration, one_line, panel
from selfplay.coordinator.status import Status, WorkerStatus


@pytest.fixture
def status():
    worker = WorkerStatus("worker_0", state="playing")
    worker.take({"games": 20, "plies": 400, "simulations": 9000, "lookups": 8000, "hits": 2000, "memory": 190})
    return Status(
        "connect4", rounds=10, round=3, phase="playing", games_done=20, games_total=100, round_seconds=2.0,
        phase_share=0.2, losses={"policy": 1.5, "value": 0.5, "policy_floor": 1.2}, seconds_left=75, workers={"worker_0": worker},
    )  # fmt: skip


def drawn(status, width):
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    console.print(panel(status))
    return console.file.getvalue()


@pytest.mark.parametrize("width", [80, 140])
def test_the_panel_shows_every_figure_and_fits(status, width):
    text = drawn(status, width)
    assert max(map(len, text.splitlines())) <= width
    for part in (
        "round 3/10",
        "20/100",
        "10.0",
        "4,500",
        "20.0",
        "25%",
        "1/1",
        "1.500 (floor 1.200)",
        "0.500",
        "1 min 15 s left",
    ):
        assert part in text


def test_plain_lines_say_the_same(status):
    text = one_line(status)
    for part in (
        "round 3/10",
        "playing 20%",
        "20/100 games",
        "10.0 games/s",
        "4,500 simulations/s",
        "policy 1.500",
        "1 min 15 s left",
    ):
        assert part in text


def test_without_a_terminal_there_are_lines_and_no_control_characters(status):
    console = Console(file=io.StringIO(), width=80)
    with Display(console) as display:
        display.say("a line [with] brackets " + "x" * 100)
        display.show(status)
    assert console.file.getvalue() == "a line [with] brackets " + "x" * 100 + "\n"


def test_counts_survive_tasks_and_end_with_the_round(status):
    worker = status.workers["worker_0"]
    worker.finish_task()
    worker.take({"games": 5, "plies": 100, "simulations": 1000, "lookups": 900, "hits": 100, "memory": 191})
    assert (worker.total("games"), worker.memory) == (25, 191)
    worker.begin_round()
    assert worker.total("games") == 0
    assert Status("x", 1).per_second("games") == 0.0


@pytest.mark.parametrize(("seconds", "text"), [(0, "0 s"), (59.4, "59 s"), (60, "1 min 00 s"), (3700, "1 h 01 min")])
def test_durations_are_readable(seconds, text):
    assert duration(seconds) == text
