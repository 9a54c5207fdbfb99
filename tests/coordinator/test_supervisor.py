import pytest

from selfplay.coordinator.supervisor import LONGEST_PAUSE_SECONDS, MOST_DEATHS, Supervisor
from selfplay.engines.engine import Ended
from selfplay.errors import ProcessError


class FakeEngine:
    def __init__(self):
        self.started, self.stopped = [], []

    def start(self, name, service, settings):
        self.started.append(name)

    def stop(self, name):
        self.stopped.append(name)


@pytest.fixture
def world(tmp_path):
    engine, now = FakeEngine(), [0.0]
    (tmp_path / "w.log").write_text("line one\nlast words\n")
    return engine, now, Supervisor(engine, lambda name: tmp_path / f"{name}.log", lambda: now[0], lambda: 3)


def test_the_dead_come_back_after_a_growing_pause(world):
    engine, now, supervisor = world
    supervisor.start("w", "service", {})
    pauses = []
    for _ in range(MOST_DEATHS - 1):
        pauses.append(supervisor.note_death(Ended("w", -9), "signal 9"))
        assert supervisor.restart_due() == []
        now[0] += pauses[-1]
        assert supervisor.restart_due() == ["w"]
        assert supervisor.restart_due() == []
    assert pauses == [0.5, 1.0, 2.0, 4.0]
    assert max(pauses) <= LONGEST_PAUSE_SECONDS
    assert engine.started == ["w"] * MOST_DEATHS


def test_a_crash_loop_stops_the_run_with_the_last_words(world):
    _, now, supervisor = world
    supervisor.start("w", "service", {})
    for _ in range(MOST_DEATHS - 1):
        now[0] += supervisor.note_death(Ended("w", -9), "signal 9")
        supervisor.restart_due()
    with pytest.raises(
        ProcessError,
        match=r"w died 5 times in a row, the last time signal 9;[\s\S]*last words[\s\S]*What is done is safe",
    ):
        supervisor.note_death(Ended("w", -9), "signal 9")


def test_success_forgives_earlier_deaths(world):
    _, now, supervisor = world
    supervisor.start("w", "service", {})
    for _ in range(3 * MOST_DEATHS):
        now[0] += supervisor.note_death(Ended("w", 1), "exit code 1")
        supervisor.restart_due()
        supervisor.note_success("w")


def test_how_a_child_ended_is_said_in_words(tmp_path):
    kills = [0]
    supervisor = Supervisor(FakeEngine(), lambda name: tmp_path / name, lambda: 0.0, lambda: kills[0])
    supervisor.start("w", "service", {})
    assert supervisor.describe(Ended("w", 3)) == "exit code 3"
    assert supervisor.describe(Ended("w", -9, "hung: not a sign of life for 10 s")).startswith("hung")
    kills[0] += 1
    assert "for lack of memory: use fewer workers" in supervisor.describe(Ended("w", -9))
    assert supervisor.describe(Ended("w", -9)) == "signal 9"
