import pytest

from selfplay.config import Settings, to_toml
from selfplay.errors import RunError
from selfplay.monitor.snapshot import Reader
from selfplay.monitor.terminal import render, size
from selfplay.rundir.event_types import Progress, Recovering, Rejected, Started, Trained, WorkerFacts
from selfplay.rundir.events import EventLog
from selfplay.rundir.layout import RunLayout
from selfplay.rundir.lock import hold


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
    events.add(
        Trained(
            round=1,
            policy=1.5,
            value=0.9,
            policy_floor=1.2,
            window=1234,
            seconds=3.0,
            fingerprint="f" * 64,
        )
    )
    events.add(Progress(round=2, phase="playing", games=30, games_total=100, games_per_second=12.5,
        simulations_per_second=23456, plies_per_game=20.5, hit_share=0.31, seconds_left=125,
        workers={"worker_0": WorkerFacts(state="playing", games=20, simulations=999, memory=190, restarts=1)},
    ))  # fmt: skip
    return layout, events


def test_the_snapshot_holds_what_the_files_say(run):
    layout, events = run
    reader = Reader(layout.root)
    snapshot = reader.look()
    assert (snapshot.game, snapshot.newest_round, snapshot.rounds) == ("connect4", 1, 5)
    assert snapshot.running is None
    assert snapshot.batch_files == 4
    assert [(worker.name, worker.batch_files, worker.bytes) for worker in snapshot.workers] == [
        ("worker_0", 3, 3000),
        ("worker_1", 1, 1000),
    ]
    assert snapshot.disk_bytes > 4000
    events.add(
        Trained(
            round=2,
            policy=1.4,
            value=0.8,
            policy_floor=1.2,
            window=2000,
            seconds=3.0,
            fingerprint="e" * 64,
        )
    )
    events.add(Rejected(file="worker_0/x.json", reason="torn"))
    events.add(Recovering(round=2, reason="rank 1 died"))
    later = reader.look()
    assert [event.round for event in later.trained] == [1, 2]
    assert "worker_0/x.json went to quarantine: torn" in later.warnings
    assert "round 2: rank 1 died" in later.warnings


def test_the_screen_says_how_the_last_round_was_trained(run):
    layout, events = run
    events.add(Trained(round=2, policy=1.4, value=0.8, policy_floor=1.2, window=2000, seconds=3.0, fingerprint="e" * 64,
        plan="data-parallel on 2 ranks, 1 thread each", batches=19, batches_left_out=1, samples_per_second=5210,
        shares={"forward": 0.3, "backward": 0.55, "waiting": 0.1, "input": 0.01},
    ))  # fmt: skip
    screen = render(Reader(layout.root).look())
    assert "trained by data-parallel on 2 ranks, 1 thread each: 19/20 batches" in screen
    assert "5,210 samples/s: forward 30%, backward 55%, waiting 10%, input 1%" in screen
    assert max(map(len, screen.splitlines()[1:])) <= 80  # but for the folder's path


def test_the_screen_fits_80_columns_and_names_everything(run):
    layout, _ = run
    with hold(layout.lock):
        text = render(Reader(layout.root).look())
    assert max(map(len, text.splitlines()[1:])) <= 80
    for part in ("running, process", "round 2 playing: 30/100 games, 12.5 games/s", "23,456 simulations/s", "playing",
                 "190 MB", "1,234", "batch files 4", "about 2 min 05 s left"):  # fmt: skip
        assert part in text


def test_a_fresh_run_and_no_run_are_told_apart(tmp_path):
    with pytest.raises(RunError, match="holds no run"):
        Reader(tmp_path)
    RunLayout(tmp_path).settings.write_text(to_toml(Settings(), heading="test"))
    assert "no model yet" in render(Reader(tmp_path).look())


def test_looking_changes_nothing(run):
    layout, _ = run
    before = sorted((path, path.stat().st_mtime_ns) for path in layout.root.rglob("*"))
    Reader(layout.root).look()
    assert sorted((path, path.stat().st_mtime_ns) for path in layout.root.rglob("*")) == before


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (2_500_000, "2.5 MB"), (10**13, "10.0 TB")],
)
def test_sizes_are_readable(count, text):
    assert size(count) == text
