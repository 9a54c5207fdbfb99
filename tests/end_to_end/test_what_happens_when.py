"""What happens when …: a test for each row of that table in PARALLEL_TRAINING.md, named after it.

Whatever happens, the run ends in the bytes of a run that was left alone (`undisturbed`, `calm`), or says in one line
why it cannot.
"""

import functools
import itertools
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from processes import is_running
from runs import (
    SMALL_CONNECT4,
    TICTACTOE,
    Interrupting,
    Stalling,
    children_of,
    command,
    games_of,
    games_of_round_1,
    info,
    kinds_of_events,
    run,
    train,
    wait_for,
)

from selfplay.coordinator import crew, plan, supervisor
from selfplay.engines.engine import Ended
from selfplay.engines.inline import InlineEngine
from selfplay.errors import ModelDamaged, ProcessError
from selfplay.rundir.event_types import Recovering, Waiting
from selfplay.rundir.events import EventReader
from selfplay.rundir.layout import RunLayout

ROOT = Path(__file__).parents[2]
BENCHMARK = ROOT / "benchmarks" / "crash_equivalence.py"

pytestmark = pytest.mark.slow


def test_every_row_of_the_table_has_its_test_and_every_test_its_row():
    text = (ROOT / "PARALLEL_TRAINING.md").read_text()
    table = text.split("## What happens when …")[1].split("\n## ")[0]
    rows = [line.split("|")[1].strip() for line in table.split("\n\n")[2].splitlines()[2:]]
    named = {"test_" + re.sub(r"\W+", "_", row.lower()).strip("_") for row in rows}
    tests = {name for name in globals() if name.startswith("test_") and not name.startswith("test_every_row")}
    assert named == tests


@pytest.mark.parametrize(
    ("options", "kills"), [(["--kills", "2", "--seed", "3"], 2), (["--points", "write models/round.pt, torn"], 1)]
)
def test_everything_is_killed_again_and_again(options, kills):
    """A short turn of the benchmark: at random moments, and once at a named point."""
    done = subprocess.run(
        [sys.executable, BENCHMARK, *options], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert sum(found["kills"].values()) == kills
    assert found["problems"] == []
    assert found["runs"] >= 1


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_worker_or_the_trainer_is_killed(undisturbed, tmp_path):
    """Workers and trainer are killed in turn, whatever they are doing."""
    arguments = list(map(str, command([*TICTACTOE, "--workers", "2"], tmp_path)))
    with subprocess.Popen(arguments, stdout=subprocess.PIPE) as process:
        for turn in range(4):
            wait_for(lambda: process.poll() is not None or len(children_of(process.pid)) >= 1)
            if process.poll() is None:
                children = children_of(process.pid)
                os.kill(children[-1 if turn % 2 else 0], signal.SIGKILL)
                time.sleep(0.7)
        output = process.communicate(timeout=120)[0].decode()
    assert process.returncode == 0, output
    assert "starting it again" in output
    assert (info(tmp_path)["fingerprint"], games_of(tmp_path)) == undisturbed


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_worker_or_the_trainer_stands_still(undisturbed, tmp_path):
    """The only worker and the trainer are stopped (SIGSTOP) as soon as they are there."""
    arguments = list(map(str, command([*TICTACTOE, "--workers", "1"], tmp_path)))
    with subprocess.Popen(arguments, stdout=subprocess.PIPE) as process:
        wait_for(lambda: len(children_of(process.pid)) == 2)
        stopped = children_of(process.pid)
        for child in stopped:
            os.kill(child, signal.SIGSTOP)
        output = process.communicate(timeout=120)[0].decode()
    assert process.returncode == 0, output
    assert output.count("ended unexpectedly (hung: not a sign of life for") == 2
    assert (info(tmp_path)["fingerprint"], games_of(tmp_path)) == undisturbed
    wait_for(lambda: not any(map(is_running, stopped)))


def test_a_worker_is_much_slower_than_the_others(calm, tmp_path, monkeypatch):
    monkeypatch.setattr(plan, "LEAST_STRAGGLING_SECONDS", 0.0)
    engine = Stalling("worker_1", 3)
    card, lines = run(tmp_path, engine)
    assert card.fingerprint == calm
    assert sum("an idle worker plays its last 6 too" in line for line in lines) == 1
    assert engine.starts == ["trainer", "worker_0", "worker_1", "worker_1"], "let go once its games are there"
    events = kinds_of_events(tmp_path)
    assert "straggling" in events
    assert "died" not in events


def stopped_by(number, folder, *, whole_group=False):
    """A run that got the signal as soon as it wrote games; its exit code and last words. Nothing of it is left."""
    with subprocess.Popen(
        list(map(str, command([*TICTACTOE, "--workers", "2"], folder))),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        wait_for(lambda: list(folder.glob("data/worker_*/batch_*.json")))
        children = children_of(process.pid)
        assert children
        os.killpg(process.pid, number) if whole_group else process.send_signal(number)
        errors = process.communicate(timeout=30)[1].decode()
    wait_for(lambda: not any(is_running(pid) for pid in children), seconds=2)
    return process.returncode, errors


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_coordinator_is_killed(undisturbed, tmp_path):
    assert stopped_by(signal.SIGKILL, tmp_path)[0] == -9
    train([*TICTACTOE, "--workers", "2"], tmp_path)
    assert (info(tmp_path)["fingerprint"], games_of(tmp_path)) == undisturbed


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_you_press_ctrl_c(undisturbed, tmp_path, number):
    """Or a batch system asks all processes of the job to end."""
    code, errors = stopped_by(number, tmp_path, whole_group=True)
    assert code == 130
    assert "unexpectedly" not in errors
    assert "interrupted; what was written stays" in errors
    train([*TICTACTOE, "--workers", "2"], tmp_path)
    assert (info(tmp_path)["fingerprint"], games_of(tmp_path)) == undisturbed


def test_you_press_ctrl_c_twice(calm, tmp_path):
    engine = Interrupting(9, 10)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, engine, workers=1)
    assert engine.looked == 10
    assert games_of_round_1(tmp_path) == []
    assert run(tmp_path, InlineEngine())[0].fingerprint == calm


def ranks_below(pid):
    """Ranks of the trainer below a coordinator."""
    below = [grandchild for child in children_of(pid) for grandchild in children_of(child)]
    return [each for each in below if b"selfplay.training.rank" in Path(f"/proc/{each}/cmdline").read_bytes()]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_rank_of_the_trainer_dies(tmp_path):
    """A rank as soon as there are any, then the whole trainer."""
    arguments = [*SMALL_CONNECT4, "--workers", "1", "--set", "training.batch_size=32", "--set", "training.passes=4"]
    arguments += ["--set", "training.mode=data", "--set", "training.ranks=2", "--set", "training.threads=1"]
    assert "[ranks 2 · batches" in train(arguments, tmp_path / "whole")
    (tmp_path / "killed").mkdir()
    events = tmp_path / "killed" / "data" / "events.jsonl"
    killed = list(map(str, command(arguments, tmp_path / "killed")))
    with subprocess.Popen(killed, stdout=subprocess.PIPE) as process:
        wait_for(lambda: len(ranks_below(process.pid)) == 2)
        ranks = ranks_below(process.pid)
        os.kill(ranks[1], signal.SIGKILL)
        wait_for(lambda: any(isinstance(event, Recovering) for event in EventReader(events)))
        wait_for(lambda: len(ranks_below(process.pid)) == 2)
        ranks += ranks_below(process.pid)
        (trainer,) = (child for child in children_of(process.pid) if set(children_of(child)) & set(ranks))
        os.kill(trainer, signal.SIGKILL)
        output = process.communicate(timeout=120)[0].decode()
    assert process.returncode == 0
    assert "the round is trained again from its checkpoint, with the same plan" in output
    assert info(tmp_path / "killed")["fingerprint"] == info(tmp_path / "whole")["fingerprint"]
    wait_for(lambda: not any(map(is_running, [*ranks, trainer])))


class Dying(InlineEngine):
    """A worker that dies at each of its turns."""

    def _turn(self, name):
        if name == "worker_0":
            self.stop(name)
            return [Ended(name, -9)]
        return super()._turn(name)


def test_a_child_dies_again_and_again(tmp_path, monkeypatch):
    monkeypatch.setattr(supervisor, "FIRST_PAUSE_SECONDS", 0.01)
    (tmp_path / "data" / "logs").mkdir(parents=True)
    (tmp_path / "data" / "logs" / "worker_0.log").write_text("its last words\n")
    with pytest.raises(
        ProcessError, match=r"worker_0 died 5 times in a row[\s\S]*its last words\n.*What is done is safe"
    ):
        run(tmp_path, Dying(), workers=1)
    assert kinds_of_events(tmp_path).count("died") == supervisor.MOST_DEATHS


class Killed(InlineEngine):
    """A worker that is killed at its first turn."""

    victim = "worker_0"

    def _turn(self, name):
        if name == self.victim:
            self.victim = ""
            self.stop(name)
            return [Ended(name, -9)]
        return super()._turn(name)


def test_the_system_kills_a_child_for_lack_of_memory(calm, tmp_path, monkeypatch):
    count = itertools.count()
    watching = functools.partial(supervisor.Supervisor, memory_kills=lambda: next(count))
    monkeypatch.setattr(crew, "Supervisor", watching)
    card, lines = run(tmp_path, Killed())
    assert card.fingerprint == calm
    assert any("killed by the system for lack of memory: use fewer workers" in line for line in lines)


def test_a_dead_coordinator_left_its_lock(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "run.lock").write_text("process 1 on another-host\n")
    train([*TICTACTOE, "--rounds", "0"], tmp_path)
    assert info(tmp_path)["round"] == 0


def test_the_event_log_ends_inside_a_line(calm, tmp_path):
    run(tmp_path, InlineEngine(), rounds=1)
    events = tmp_path / "data" / "events.jsonl"
    whole = kinds_of_events(tmp_path)
    events.write_bytes(events.read_bytes()[:-20])
    assert run(tmp_path, InlineEngine())[0].fingerprint == calm
    assert kinds_of_events(tmp_path)[: len(whole)] == [*whole[:-1], "started"]


@pytest.fixture
def mounted(tmp_path):
    """Makes a file system of so many MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if shutil.which("mount") is None or os.geteuid() != 0:
        pytest.skip("mounting a file system is not allowed here")

    def mount(megabytes):
        options = ["-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", disk]
        if subprocess.run(["mount", *options], capture_output=True, check=False).returncode != 0:
            pytest.skip("mounting a file system is not allowed here")
        return disk

    yield mount
    subprocess.run(["umount", disk], check=False)


def test_the_folder_cannot_be_written_to(mounted):
    disk = mounted(60)
    train([*TICTACTOE, "--rounds", "1"], disk)
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    error = train([*TICTACTOE, "--rounds", "2"], disk, code=1)
    assert re.fullmatch(r"selfplay: cannot write to the folder .*\n", error)


def test_too_many_files_are_open(tmp_path):
    """The limit leaves room for the coordinator, not for its children."""
    limited = functools.partial(resource.setrlimit, resource.RLIMIT_NOFILE, (20, 20))
    done = subprocess.run(
        list(map(str, command([*TICTACTOE, "--workers", "4"], tmp_path))),
        capture_output=True, text=True, timeout=200, check=False, preexec_fn=limited,
    )  # fmt: skip
    assert done.returncode == 1
    assert re.search(r"^selfplay: .*Too many open files.*ulimit -n 1024", done.stderr, re.MULTILINE)
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_run_folder_vanishes(tmp_path):
    arguments = list(map(str, command([*TICTACTOE, "--rounds", "50", "--workers", "2"], tmp_path)))
    with subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        wait_for(lambda: list(tmp_path.glob("data/worker_*/batch_*.json")))
        children = children_of(process.pid)
        (tmp_path / "data").rename(tmp_path / "elsewhere")
        error = process.communicate(timeout=60)[1].decode()
    assert process.returncode == 1
    # Whoever misses it first says so: the coordinator, or a worker that was about to load its model.
    assert re.search(r"^selfplay: .*(No such file or directory|no such inference model)", error)
    assert "Traceback" not in error
    wait_for(lambda: not any(map(is_running, children)), seconds=2)


@pytest.fixture
def small_disk(mounted):
    """A file system of 40 MB, with 100 KB left."""
    disk = mounted(40)
    with open(disk / "filler", "wb") as filler:
        filler.write(bytes(40 * 2**20 - 100_000))
    return disk


def test_the_disk_is_full(undisturbed, small_disk):
    arguments = list(map(str, command([*TICTACTOE, "--workers", "2"], small_disk)))
    with subprocess.Popen(arguments, stdout=subprocess.PIPE) as process:
        events = small_disk / "data" / "events.jsonl"
        wait_for(lambda: any(isinstance(event, Waiting) for event in EventReader(events)))
        assert process.poll() is None
        assert not [path for path in small_disk.rglob("*") if ".tmp" in path.name]
        (small_disk / "filler").unlink()
        output = process.communicate(timeout=120)[0].decode()
    assert process.returncode == 0, output
    assert "No space left on device; waiting until there is room again" in output
    assert "there is room again: going on" in output
    assert (info(small_disk)["fingerprint"], games_of(small_disk)) == undisturbed


def test_a_batch_file_is_torn_flipped_forged_or_foreign(undisturbed, tmp_path):
    train([*TICTACTOE, "--rounds", "1", "--workers", "2"], tmp_path)
    layout = RunLayout(tmp_path / "data")
    torn, forged, *_ = layout.batch_files()
    torn.write_bytes(torn.read_bytes()[:-40])
    forged.write_bytes(forged.read_bytes().replace(b'"outcome":1', b'"outcome":0'))
    (layout.worker(0) / "batch_newer.json").write_text('{"format":"selfplay-batch","version":9}')
    # The model of round 1 is there already; without it the round is trained again, from games played again.
    for path in layout.models.glob("round_0001.*"):
        path.unlink()
    (tmp_path / "model.pt").unlink()
    output = train([*TICTACTOE, "--workers", "2"], tmp_path)
    assert output.count("moved to") == 3
    assert (info(tmp_path)["fingerprint"], games_of(tmp_path)) == undisturbed
    reasons = "".join(path.read_text() for path in layout.quarantine.glob("*.reason.txt"))
    for reason in ("cut short", "does not match its checksum", "version is 9, this program reads 1"):
        assert reason in reasons


def test_a_second_coordinator_is_started_on_the_folder(tmp_path):
    with subprocess.Popen(
        list(map(str, command([*TICTACTOE, "--rounds", "50", "--workers", "1"], tmp_path))), stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        wait_for(lambda: (tmp_path / "data" / "run.toml").exists())
        assert f"is in use by process {process.pid}" in train(TICTACTOE, tmp_path, code=1)
        process.terminate()


@pytest.mark.parametrize("ending", [".pt", ".onnx"])
def test_a_bit_of_the_newest_model_is_flipped(calm, tmp_path, ending):
    run(tmp_path, InlineEngine(), rounds=1)
    path = tmp_path / "data" / "models" / f"round_0001{ending}"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    card, lines = run(tmp_path, InlineEngine(), rounds=2)
    assert card.fingerprint == calm
    assert any("round 1 is trained again" in line for line in lines)
    assert (tmp_path / "data" / "quarantine" / f"models_round_0001{ending}").read_bytes() == content


@pytest.mark.parametrize("ending", [".pt", ".onnx"])
def test_the_model_of_an_older_round_is_lost(calm, tmp_path, ending):
    run(tmp_path, InlineEngine(), rounds=2)
    (tmp_path / "data" / "models" / f"round_0001{ending}").unlink()
    assert run(tmp_path, InlineEngine(), rounds=2)[0].fingerprint == calm
    assert (tmp_path / "data" / "models" / f"round_0001{ending}").exists()
    assert not (tmp_path / "data" / "quarantine").exists(), "games that it played wait for it"


def test_a_second_model_is_damaged(tmp_path):
    run(tmp_path, InlineEngine(), rounds=2)
    for number in (1, 2):
        path = tmp_path / "data" / "models" / f"round_000{number}.pt"
        path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ModelDamaged, match="round_0001.pt: not a whole"):
        run(tmp_path, InlineEngine(), rounds=3)
    assert (tmp_path / "data" / "models" / "round_0001.pt").exists()


def test_games_of_an_older_round_are_lost(calm, tmp_path):
    run(tmp_path, InlineEngine(), rounds=1)
    before = games_of_round_1(tmp_path)
    for path in sorted((tmp_path / "data").glob("worker_*/batch_r0001_*.json"))[:2]:
        path.unlink()
    assert len(games_of_round_1(tmp_path)) < len(before)
    assert run(tmp_path, InlineEngine(), rounds=2)[0].fingerprint == calm
    assert games_of_round_1(tmp_path) == before


def test_the_published_model_vanishes(tmp_path):
    run(tmp_path, InlineEngine(), rounds=1)
    (tmp_path / "model.onnx").unlink()
    (tmp_path / "model.pt").unlink()
    assert run(tmp_path, InlineEngine(), rounds=1)[0].round == 1
