import os
import signal
import subprocess
import sys
import time

import pytest
from processes import answers, is_running

from selfplay.engines.engine import Answer, Ended
from selfplay.engines.inline import InlineEngine
from selfplay.engines.local import LocalEngine
from selfplay.errors import UsageError

SERVICE = "service_for_tests:make"


@pytest.fixture
def local(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.path.dirname(__file__))
    engine = LocalEngine(tmp_path)
    yield engine
    engine.stop_all()


@pytest.fixture
def watchful(tmp_path, monkeypatch):
    """As `local`, with less patience: above a second, in which a child speaks, and its start."""
    monkeypatch.setenv("PYTHONPATH", os.path.dirname(__file__))
    engine = LocalEngine(tmp_path, silent_seconds=3.5, stuck_seconds=4.5)
    yield engine
    engine.stop_all()


@pytest.fixture
def inline(monkeypatch):
    monkeypatch.syspath_prepend(os.path.dirname(__file__))
    return InlineEngine()


@pytest.mark.parametrize("kind", ["local", "inline"])
def test_messages_are_answered_in_order_by_each_child(request, kind):
    engine = request.getfixturevalue(kind)
    for name in ("a", "b"):
        engine.start(name, SERVICE, {"name": name})
        engine.send(name, {"do": "count", "to": 2})
        engine.send(name, {"do": "count", "to": 1})
    found = answers(engine, 6)
    for name in ("a", "b"):
        assert [item.message["n"] for item in found if item.child == name] == [0, 1, 0]
        assert {item.message["name"] for item in found if item.child == name} == {name}
    engine.stop("a")
    engine.send("b", {"do": "count", "to": 1})
    assert answers(engine, 1) == [Answer("b", {"n": 0, "name": "b"})]


@pytest.mark.parametrize("kind", ["local", "inline"])
def test_a_child_is_asked_to_finish_while_it_works(request, kind):
    engine = request.getfixturevalue(kind)
    engine.start("a", SERVICE, {"name": "a"})
    engine.send("a", {"do": "count", "to": 1})
    assert answers(engine, 1)[0].message["n"] == 0
    engine.send("a", {"do": "until asked to finish"})
    engine.finish("a")
    assert answers(engine, 1) == [Answer("a", {"finished": True})]


def test_a_clear_error_travels_as_a_message_and_the_child_lives_on(local):
    local.start("a", SERVICE, {"name": "a"})
    local.send("a", {"do": "fail"})
    assert answers(local, 1) == [Answer("a", {"event": "failed", "reason": "as asked", "exit_code": 2})]
    local.send("a", {"do": "count", "to": 1})
    assert answers(local, 1)[0].message["n"] == 0


def test_errors_of_inline_children_surface_as_they_are(inline):
    inline.start("a", SERVICE, {"name": "a"})
    inline.send("a", {"do": "fail"})
    with pytest.raises(UsageError, match="as asked"):
        inline.poll(0)


def test_a_crash_is_reported_with_its_code_and_the_log_tells_why(local, tmp_path):
    local.start("a", SERVICE, {"name": "a"})
    local.send("a", {"do": "crash"})
    assert answers(local, 1) == [Ended("a", 1)]
    assert "RuntimeError: out of the blue" in (tmp_path / "a.log").read_text()
    local.start("b", SERVICE, {"name": "b"})
    local.send("b", {"do": "pid"})
    os.kill(answers(local, 1)[0].message["pid"], signal.SIGKILL)
    assert answers(local, 1) == [Ended("b", -9)]


def test_a_process_that_stands_still_is_killed_and_reported(watchful):
    watchful.start("a", SERVICE, {"name": "a"})
    watchful.send("a", {"do": "pid"})
    os.kill(answers(watchful, 1)[0].message["pid"], signal.SIGSTOP)
    (ended,) = answers(watchful, 1)
    assert (ended.child, ended.code) == ("a", -9)
    assert ended.reason.startswith("hung: not a sign of life for")


@pytest.mark.parametrize("work", ["stuck", "loop"])
def test_work_that_gives_no_sign_any_more_is_ended(watchful, work):
    watchful.start("idle", SERVICE, {"name": "idle"})
    watchful.start("busy", SERVICE, {"name": "busy"})
    watchful.start("a", SERVICE, {"name": "a"})
    watchful.send("busy", {"do": "forever"})
    watchful.send("a", {"do": work})
    (ended,) = answers(watchful, 1)
    assert (ended.child, ended.code) == ("a", -9)
    assert ended.reason.startswith("hung: its work gave no sign for")
    watchful.send("idle", {"do": "count", "to": 1})
    assert answers(watchful, 1)[0].child == "idle"


def test_a_coordinator_that_slept_itself_accuses_nobody(watchful):
    watchful.start("a", SERVICE, {"name": "a"})
    watchful.send("a", {"do": "pid"})
    answers(watchful, 1)
    watchful._looked -= 3600.0  # as after an hour in which this process stood still
    for _ in range(20):
        assert watchful.poll(0.05) == []


def test_stopping_ends_children_at_work_without_reporting_a_death(local):
    local.start("a", SERVICE, {"name": "a"})
    local.send("a", {"do": "pid"})
    pid = answers(local, 1)[0].message["pid"]
    local.send("a", {"do": "forever"})
    local.stop("a")
    assert local.poll(0.1) == []
    assert not is_running(pid)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a library that holds Python's lock delays the end")
@pytest.mark.parametrize("work", ["forever", "stuck", "hold Python's lock"])
def test_children_end_when_their_coordinator_is_killed(tmp_path, work):
    code = (
        "import os, pathlib, time\nfrom selfplay.engines.local import LocalEngine\n"
        f"engine = LocalEngine(pathlib.Path({str(tmp_path)!r}))\n"
        f"engine.start('a', {SERVICE!r}, {{'name': 'a'}})\nengine.send('a', {{'do': 'pid'}})\n"
        "found = []\nwhile not found: found = engine.poll(0.1)\n"
        f"engine.send('a', {{'do': {work!r}}})\nprint(found[0].message['pid'], flush=True)\ntime.sleep(60)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.path.dirname(__file__)}
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=environment) as parent:
        pid = int(parent.stdout.readline())
        parent.kill()
    until = time.monotonic() + 2
    while is_running(pid):
        assert time.monotonic() < until, "the child outlived its coordinator by two seconds"
        time.sleep(0.02)
