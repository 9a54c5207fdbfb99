import io
import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest
from processes import ended, seen_until
from rich.console import Console

from selfplay.config import to_toml
from selfplay.errors import RunError
from selfplay.monitor.folder import FolderWatch
from selfplay.monitor.plots import plots
from selfplay.monitor.series import Series
from selfplay.monitor.snapshot import Reader
from selfplay.monitor.terminal import screen, size, sparkline
from selfplay.rundir.event_types import (
    Died,
    Match,
    Mistakes,
    Played,
    Progress,
    Recovering,
    Rejected,
    Started,
    Trained,
    Waiting,
    WorkerFacts,
)
from selfplay.rundir.events import EventLog
from selfplay.rundir.layout import RunLayout
from selfplay.rundir.lock import hold
from selfplay.settings import Settings

SELFPLAY = Path(sys.executable).with_name("selfplay")


def text_of(snapshot, width=80, height=None):
    """The screen as plain text."""
    console = Console(width=width, file=io.StringIO(), color_system=None)
    with console.capture() as capture:
        console.print(screen(snapshot, width=width, height=height))
    return capture.get()


def workers(**facts):
    return msgspec.Raw(msgspec.json.encode(facts))


def trained(number, policy):
    return Trained(
        round=number, policy=policy, value=0.9, policy_floor=1.2, window=1234, seconds=3.0, fingerprint="f" * 64
    )


@pytest.fixture
def run(tmp_path):
    """A run folder in the middle of round 2, as a coordinator leaves it."""
    layout = RunLayout(tmp_path)
    layout.settings.write_text(to_toml(Settings(), heading="test"))
    layout.models.mkdir()
    for number in range(2):
        for suffix in (".pt", ".onnx"):
            layout.model(number).with_suffix(suffix).write_bytes(b"x" * 100)
    for worker, files in ((0, 3), (1, 1)):
        layout.worker(worker).mkdir()
        for index in range(files):
            (layout.worker(worker) / f"batch_r0001_g{10 * index:06d}.json").write_bytes(b"x" * 1000)
    events = EventLog(layout.events)
    events.add(Started(workers=2, rounds=5))
    events.add(Played(round=1, games=100, first_won=60, drawn=10, second_won=30, plies=2050, hit_share=0.25))
    events.add(trained(1, 1.5))
    playing = WorkerFacts(state="playing", games=20, simulations=999, memory=190, restarts=1, heard=time.time())
    events.add(
        Progress(
            round=2, phase="playing", share=0.3, games=30, games_total=100, games_per_second=12.5,
            simulations_per_second=23456, plies_per_game=20.5, hit_share=0.31, seconds_left=125,
            workers=workers(worker_0=playing),
        )
    )  # fmt: skip
    return layout, events


def test_the_snapshot_holds_what_the_files_say(run):
    layout, events = run
    reader = Reader(layout.root)
    snapshot = reader.look()
    assert (snapshot.game, snapshot.newest_round, snapshot.rounds) == ("connect4", 1, 5)
    assert snapshot.running is None
    assert (snapshot.batch_files, snapshot.batch_bytes) == (4, 4000)
    assert [(worker.name, worker.batch_files, worker.bytes) for worker in snapshot.workers] == [
        ("worker_0", 3, 3000),
        ("worker_1", 1, 1000),
    ]
    assert snapshot.disk_bytes > 4000
    events.add(trained(2, 1.4))
    events.add(Rejected(file="worker_0/x.json", reason="torn"))
    events.add(Recovering(round=2, reason="rank 1 died"))
    events.add(Died(child="worker_1", code=-9))
    events.add(Waiting(reason="no room"))
    (layout.worker(1) / "batch_r0002_g000000.json").write_bytes(b"x" * 10)
    later = reader.look()
    assert [event.round for event in later.trained] == [1, 2]
    assert [notice.text for notice in later.warnings] == [
        "worker_0/x.json went to quarantine: torn",
        "round 2: rank 1 died",
        "worker_1 ended unexpectedly (-9)",
        "no room",
    ]
    assert (later.restarts, later.batch_files, later.batch_bytes) == (1, 5, 4010)


def test_it_is_said_how_busy_the_cores_were(run):
    layout, events = run
    assert Reader(layout.root).look().busy_share is None, "an older log does not tell"
    events.add(Started(workers=2, rounds=5, cores=4))
    events.add(Played(round=2, games=100, cpu_seconds=9.0, span_seconds=3.0))
    events.add(msgspec.structs.replace(trained(2, 1.4), cpu_seconds=1.0, span_seconds=1.0))
    snapshot = Reader(layout.root).look()
    assert snapshot.busy_share == 10 / (4 * 4)
    console = Console(width=100, file=io.StringIO())
    console.print(screen(snapshot, width=100, height=50))
    assert "62.5% of their time" in console.file.getvalue()


def test_the_pace_of_a_worker_is_that_of_late(run):
    layout, _ = run
    reader = Reader(layout.root)

    later = time.time() + 1000

    def progress(at, simulations):
        facts = WorkerFacts(state="playing", games=simulations // 1000, simulations=simulations)
        line = msgspec.json.encode(Progress(time=later + at, round=2, phase="playing", workers=workers(worker_0=facts)))
        with open(layout.events, "ab") as file:
            file.write(line + b"\n")

    for at, simulations in ((1000.0, 5000), (1010.0, 25_000), (1020.0, 65_000)):
        progress(at, simulations)
    assert reader.look().workers[0].simulations_per_second == 4000.0  # of the last 15 s
    progress(1024.0, 85_000)
    assert reader.look().workers[0].simulations_per_second == pytest.approx(60_000 / 14)


def test_the_screen_says_how_the_last_round_was_trained(run):
    layout, events = run
    events.add(
        msgspec.structs.replace(
            trained(2, 1.4), plan="data-parallel on 2 ranks, 1 thread each", batches=19, batches_left_out=1,
            samples_per_second=5210, shares={"forward": 0.3, "backward": 0.55, "waiting": 0.1, "input": 0.01},
        )
    )  # fmt: skip
    text = text_of(Reader(layout.root).look())
    assert "trained by data-parallel on 2 ranks, 1 thread each: 19/20 batches" in text
    assert "5,210 samples/s: forward 30%, backward 55%, waiting 10%, input 1%" in text
    assert "policy loss    █▁ 1.400 (floor 1.200)" in text


@pytest.mark.parametrize("width", [80, 140])
def test_the_screen_names_everything(run, width):
    layout, events = run
    events.add(Died(child="worker_1", code=-9, reason="signal 9"))
    with hold(layout.lock):
        text = text_of(Reader(layout.root).look(), width)
    assert max(map(len, text.splitlines())) <= width
    for part in ("running, process", "newest model: round 1/5", "round 2 playing", "30/100 games", "playing",
                 "190 MB", "1,234", "4 batch files, 4.0 kB", "about 2 min 05 s left", "12.5", "23,456",
                 "60% (draws 10%, second 30%)", "20.5", "25%", "worker_1 ended unexpectedly (signal 9)"):  # fmt: skip
        assert part in text.replace("\n", " ")
    assert ("3.0 kB" in text) == (width == 140)


def test_workers_that_do_not_fit_are_summed_up(run):
    layout, events = run
    for number in range(200):
        layout.worker(number).mkdir(exist_ok=True)
    names = {f"worker_{number}": WorkerFacts(state="idle" if number % 4 else "playing") for number in range(200)}
    events.add(Progress(round=2, phase="playing", workers=workers(**names)))
    with hold(layout.lock):
        text = text_of(Reader(layout.root).look(), height=40)
    assert len(text.splitlines()) <= 40
    assert "more: " in text
    assert len(text_of(Reader(layout.root).look()).splitlines()) > 200


def test_matches_are_shown_until_the_next_round_is_trained(run):
    layout, events = run
    reader = Reader(layout.root)
    events.add(Match(round=1, against="random", score=0.95, low=0.9, high=0.98, games=100))
    assert "round 1 against random: score 0.950 (0.900 to 0.980, 100 games)" in text_of(reader.look())
    events.add(trained(2, 1.4))
    assert "against random" not in text_of(reader.look())


def test_what_a_file_says_cannot_steer_the_terminal(run):
    layout, events = run
    events.add(Rejected(file="x\x1b[2J\x07.json", reason="evil\r"))
    text = text_of(Reader(layout.root).look())
    assert "\x1b" not in text
    assert r"x\x1b[2J\x07.json" in text


def test_a_fresh_run_and_no_run_are_told_apart(tmp_path):
    with pytest.raises(RunError, match="holds no run"):
        Reader(tmp_path)
    RunLayout(tmp_path).settings.write_text(to_toml(Settings(), heading="test"))
    assert "no model yet" in text_of(Reader(tmp_path).look())


def test_looking_changes_nothing(run):
    layout, _ = run
    before = sorted((path, path.stat().st_mtime_ns) for path in layout.root.rglob("*"))
    Reader(layout.root).look()
    assert sorted((path, path.stat().st_mtime_ns) for path in layout.root.rglob("*")) == before


def test_a_folder_is_followed_as_files_come_grow_and_go(tmp_path):
    watch = FolderWatch(tmp_path)
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "one.json").write_bytes(b"x" * 10)
    (tmp_path / "events.jsonl").write_bytes(b"x")
    watch.look()
    assert watch.sizes(tmp_path / "a") == {"one.json": 10}
    (tmp_path / "a" / "two.json").write_bytes(b"x" * 20)
    (tmp_path / "events.jsonl").write_bytes(b"x" * 5000)
    watch.look()
    assert watch.sizes(tmp_path / "a") == {"one.json": 10, "two.json": 20}
    assert watch.sizes(tmp_path) == {"events.jsonl": 5000}
    assert watch.disk_bytes == sum(p.stat().st_blocks * 512 for p in tmp_path.rglob("*") if p.is_file())
    for path in (tmp_path / "a").iterdir():
        path.unlink()
    (tmp_path / "a").rmdir()
    watch.look()
    assert watch.sizes(tmp_path / "a") == {}


def test_a_folder_that_stands_still_is_not_listed_again(tmp_path, monkeypatch):
    (tmp_path / "one.json").write_bytes(b"x")
    os.utime(tmp_path, (1e9, 1e9))
    watch = FolderWatch(tmp_path)
    watch.look()
    monkeypatch.setattr(os, "scandir", None)
    watch.look()
    assert watch.sizes(tmp_path) == {"one.json": 1}


def test_a_series_stays_small_and_keeps_its_ends():
    series = Series(most=10)
    for n in range(1000):
        series.add(n, n, 2 * n)
    points = series.points()
    assert len(points) <= 11
    assert points[-1] == (999, 999, 1998)
    times = [time for time, _, _ in points]
    assert times == sorted(times)
    assert times[0] < 200


@pytest.mark.parametrize(
    ("values", "width", "line"),
    [
        ([], 5, ""),
        ([1, 1], 5, "▁▁"),
        ([0, 1, 2, 7], 4, "▁▂▃█"),
        ([0, 0, 7, 7], 2, "▁█"),
        (list(range(8)), 8, "▁▂▃▄▅▆▇█"),
    ],
)
def test_values_become_little_bars(values, width, line):
    assert sparkline(values, width) == line


@pytest.mark.parametrize("ending", ["q", "Ctrl-C"])
def test_a_real_terminal_is_refreshed_and_left_as_it_was(run, ending):
    layout, events = run
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "90", "LINES": "40"}
    arguments = [SELFPLAY, "monitor", layout.root, "--interval", "0.5"]
    with ended(subprocess.Popen(arguments, stdin=theirs, stdout=theirs, stderr=theirs, env=environment)) as process:
        assert b"\x1b[?1049h" in seen_until(ours, b"round 2 playing"), "the alternate screen is entered"
        events.add(Progress(round=3, phase="training", share=0.5))
        seen_until(ours, b"round 3 training")
        os.write(ours, b"q") if ending == "q" else process.send_signal(signal.SIGINT)
        seen_until(ours, re.escape(b"\x1b[?1049l"))
        assert process.wait(20) == 0
    os.close(theirs)
    os.close(ours)


def test_json_is_one_object_per_look(run):
    layout, _ = run
    done = subprocess.run([SELFPLAY, "monitor", layout.root, "--once", "--json"], capture_output=True, check=True)
    found = json.loads(done.stdout)
    assert found["newest_round"] == 1
    assert found["progress"]["workers"]["worker_0"]["games"] == 20


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (2_500_000, "2.5 MB"), (10**13, "10.0 TB")],
)
def test_sizes_are_readable(count, text):
    assert size(count) == text


@pytest.mark.parametrize("width", [80, 140])
def test_ratings_and_mistakes_are_curves_where_a_run_records_them(run, width):
    layout, events = run
    for number, score, share in ((1, 0.5, 0.2), (2, 0.9, 0.05)):
        events.add(Match(round=number, against="round 0", score=score, low=score - 0.1, high=score + 0.05, games=100))
        events.add(Mistakes(round=number, positions="endgames", share=share, low=0.0, high=0.3, count=1000))
    text = text_of(Reader(layout.root).look(), width)
    assert max(map(len, text.splitlines())) <= width
    assert re.search(r"rating +▁▁█ +376 Elo", text), "nine to one are 382, a drawn game takes a little"
    assert re.search("mistakes endgames +█▁ +5.0%", text)


def test_a_made_up_opponent_harms_no_look(run):
    layout, events = run
    events.add(Match(round=1, against="round " + "9" * 9000, score=0.5, low=0.4, high=0.6, games=10))
    snapshot = Reader(layout.root).look()
    assert len(snapshot.ratings) == 2
    assert plots(snapshot)["rating"].lines[0].x == [1]


def test_workers_have_bars_while_they_are_heard_of(run):
    layout, _ = run
    reader = Reader(layout.root)
    assert "workers_games" not in plots(reader.look())
    with hold(layout.lock):
        shown = plots(reader.look())["workers_games"]
    assert (shown.bars, [list(line.y) for line in shown.lines]) == (("worker_0",), [[0.0]])


def test_what_happened_is_told_with_warnings_among_it(run):
    layout, events = run
    events.add(Died(child="worker_1", code=-9, reason="signal 9"))
    told = Reader(layout.root).look().happened
    assert [(notice.text, notice.is_warning) for notice in told] == [
        ("started with 2 workers, to play until round 5", False),
        ("round 1: 100 games played in 0.0 s", False),
        (f"round 1 trained in 3.0 s: model {'f' * 12}", False),
        ("worker_1 ended unexpectedly (signal 9)", True),
    ]
