import os
import subprocess
import sys

import pytest

from selfplay.errors import ModelError, RunError
from selfplay.network.checkpoint import save_checkpoint, untrained
from selfplay.rundir.event_types import Started, Stopped
from selfplay.rundir.events import LONGEST_LINE, EventLog, EventReader
from selfplay.rundir.facts import ModelsOnDisk
from selfplay.rundir.layout import RunLayout
from selfplay.rundir.lock import hold, holder


def test_paths_are_those_of_the_manual(tmp_path):
    layout = RunLayout(tmp_path)
    assert layout.model(7) == tmp_path / "models" / "round_0007.pt"
    assert layout.worker(3) == tmp_path / "worker_3"
    assert layout.log("worker_3") == tmp_path / "logs" / "worker_3.log"


def test_listings_pass_over_what_is_not_theirs(tmp_path):
    layout = RunLayout(tmp_path)
    for name in ("worker_10", "worker_2", "worker_x", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "batch_r0001_g000000.json").write_text("")
        (tmp_path / name / ".batch_r0001_g000010.json.5.tmp").write_text("")
        (tmp_path / name / "notes.txt").write_text("")
    assert [path.parent.name for path in layout.batch_files()] == ["worker_2", "worker_10"]


def test_a_round_counts_when_model_and_twin_are_there(tmp_path, tictactoe, small_settings):
    layout = RunLayout(tmp_path)
    layout.models.mkdir()
    models = ModelsOnDisk(layout)
    checkpoint = untrained(tictactoe.info, small_settings)
    save_checkpoint(checkpoint, layout.model(0))
    layout.model(1).write_bytes(b"")
    assert layout.rounds_with_models() == [0]
    assert layout.newest_round() == 0
    assert models.fingerprint(0) == checkpoint.card.fingerprint
    assert models.fingerprint(1) is None


def test_a_folder_without_any_model_has_no_newest_round(tmp_path):
    with pytest.raises(ModelError, match="models holds no model yet"):
        RunLayout(tmp_path).newest_round()


def test_a_held_run_names_its_holder_and_a_dead_holder_holds_nothing(tmp_path):
    path = tmp_path / "run.lock"
    assert holder(path) is None
    with hold(path):
        assert f"process {os.getpid()} on" in holder(path)
        with pytest.raises(RunError, match=f"in use by process {os.getpid()} on"), hold(path):
            pass
        assert f"process {os.getpid()} on" in holder(path), "being refused must not wipe the holder's name"
    assert holder(path) is None
    code = f"import os; from selfplay.rundir.lock import hold; from pathlib import Path\nwith hold(Path({str(path)!r})): os._exit(9)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 9
    with hold(path):
        pass


def test_events_are_read_on_and_torn_lines_waited_for(tmp_path):
    path = tmp_path / "events.jsonl"
    reader = EventReader(path)
    assert list(reader) == []
    log = EventLog(path)
    log.add(Started(workers=2, rounds=5))
    (event,) = reader
    assert event == Started(workers=2, rounds=5, time=event.time)
    assert list(reader) == []
    with open(path, "ab") as file:
        file.write(b'{"event": "to')
    assert list(reader) == []
    EventLog(path).add(Stopped(reason="next"))  # a coordinator that goes on after a crash inside a line
    assert [event.reason for event in reader] == ["next"]
    assert [type(event) for event in EventReader(path)] == [Started, Stopped]


def test_lines_that_are_no_events_are_passed_over(tmp_path):
    path = tmp_path / "events.jsonl"
    lines = [
        b"", b"no json", b"[" * 100_000, b'{"event":"unknown"}', b'{"event":"stopped"}', b'{"event":"stopped","reason":7}',
        b'{"event":"stopped","reason":"' + b"x" * 20_000 + b'"}', b"\xff" * 50, b"x" * (3 * LONGEST_LINE),
        b'{"event":"match","round":1e999,"against":"","score":1,"low":0,"high":1,"games":2}',
    ]  # fmt: skip
    good = b'{"event":"stopped","reason":"good","field of a later version":[1]}'
    path.write_bytes(b"\n".join([*lines, good, b""]))
    assert list(EventReader(path)) == [Stopped(reason="good")]


def test_a_log_that_took_the_place_of_another_is_read_from_its_start(tmp_path):
    path = tmp_path / "events.jsonl"
    reader = EventReader(path)
    for reason in ("first", "second", "third"):
        EventLog(path).add(Stopped(reason=reason))
    assert len(list(reader)) == 3
    path.unlink()
    EventLog(path).add(Stopped(reason="new"))
    assert [event.reason for event in reader] == ["new"]
