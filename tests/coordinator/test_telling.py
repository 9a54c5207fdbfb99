import pytest

from selfplay.coordinator import telling
from selfplay.coordinator.status import Status
from selfplay.coordinator.telling import EVENT_SECONDS, FEW_WORKERS, Telling
from selfplay.rundir.event_types import Progress
from selfplay.rundir.events import EventLog, EventReader


@pytest.mark.parametrize(("workers", "times"), [(1, 1.0), (FEW_WORKERS, 1.0), (3 * FEW_WORKERS, 3.0)])
def test_the_log_says_where_the_run_stands_more_rarely_than_people_are_shown(tmp_path, monkeypatch, workers, times):
    now = [100.0]
    monkeypatch.setattr(telling.time, "monotonic", lambda: now[0])
    shown = []
    told = Telling(EventLog(tmp_path / "e"), Status("toy", 3), workers=workers, show=shown.append, say=print)
    for _ in range(9):
        told.report()
        now[0] += times * EVENT_SECONDS / 4
    events = list(EventReader(tmp_path / "e"))
    assert [type(event) for event in events] == [Progress] * 3
    assert shown == [told.status] * 9


def test_time_left_counts_from_the_start_of_the_session(tmp_path, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(telling.time, "monotonic", lambda: now[0])
    status = Status("toy", 4, first_round=1, round=2, phase="playing", phase_share=0.0)
    told = Telling(EventLog(tmp_path / "e"), status, workers=1, show=lambda status: None, say=print)
    now[0] += 30.0
    told.report()
    assert status.seconds_left == pytest.approx(90.0)  # a round took 30 s, three are left
