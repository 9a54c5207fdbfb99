import pytest

from selfplay.coordinator.supervisor import LONGEST_PAUSE_SECONDS, MOST_DEATHS, Supervisor
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
    return engine, now, Supervisor(engine, lambda name: tmp_path / f"{name}.log", lambda: now[0])


def test_the_dead_come_back_after_a_growing_pause(world):
    engine, now, supervisor = world
    supervisor.start("w", "service", {})
    pauses = []
    for _ in range(MOST_DEATHS - 1):
        pauses.append(supervisor.note_death("w", -9))
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
        now[0] += supervisor.note_death("w", -9)
        supervisor.restart_due()
    with pytest.raises(ProcessError, match=r"w died 5 times in a row, the last time with signal 9;[\s\S]*last words"):
        supervisor.note_death("w", -9)


def test_success_forgives_earlier_deaths(world):
    _, now, supervisor = world
    supervisor.start("w", "service", {})
    for _ in range(3 * MOST_DEATHS):
        now[0] += supervisor.note_death("w", 1)
        supervisor.restart_due()
        supervisor.note_success("w")
