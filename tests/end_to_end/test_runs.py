"""Whole runs, with real processes: purity, going on, lost workers, bad files, signals."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from perfect import mistakes
from processes import is_running

from selfplay.arena.player import open_model
from selfplay.rundir.event_types import Batch, Playing, Progress, Recovering, Started, Stopped, Trained, Waiting
from selfplay.rundir.events import EventReader
from selfplay.rundir.layout import RunLayout
from selfplay.samples.batch_file import read_batch

SELFPLAY = Path(sys.executable).with_name("selfplay")
SCRIPTS = Path(__file__).parents[2] / "scripts"
SMALL_CONNECT4 = [
    "connect4", "--games-per-round", "14", "--rounds", "2", "--seed", "7",
    "--set", "search.simulations=12", "--set", "network.blocks=1", "--set", "network.channels=8",
]  # fmt: skip
TICTACTOE = ["tictactoe", "--games-per-round", "60", "--rounds", "3", "--seed", "7"]


def command(arguments, folder):
    return [
        SELFPLAY,
        "train",
        *arguments,
        "--model",
        folder / "model.pt",
        "--data",
        folder / "data",
        "--final-games",
        "0",
    ]


def train(arguments, folder, code=0):
    folder.mkdir(exist_ok=True)
    done = subprocess.run(
        list(map(str, command(arguments, folder))), capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == code, f"{done.returncode}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr
    return done.stdout if code == 0 else done.stderr


def info(folder):
    done = subprocess.run([SELFPLAY, "info", folder / "model.pt", "--json"], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def games_of(folder):
    """Every game of the run: (round, number) -> record, each exactly once."""
    games = {}
    for path in RunLayout(folder / "data").batch_files():
        batch = read_batch(path)
        for game in batch.games:
            assert games.setdefault((batch.round, game.number), game) == game
    return games


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The fingerprint and games of TICTACTOE with one worker."""
    folder = tmp_path_factory.mktemp("undisturbed")
    train([*TICTACTOE, "--workers", "1"], folder)
    return info(folder)["fingerprint"], games_of(folder)


@pytest.mark.parametrize("options", [["--workers", "2"], ["--workers", "3"], ["--workers", "2", "--engine", "inline"]])
def test_workers_and_engine_do_not_change_a_bit(undisturbed, tmp_path, options):
    train([*TICTACTOE, *options], tmp_path)
    assert (info(tmp_path)["fingerprint"], games_of(tmp_path)) == undisturbed


def test_the_same_holds_for_connect4_and_settings_of_speed(tmp_path):
    fingerprints = set()
    for workers, speed in (
        (1, "worker.games_in_parallel=5"),
        (2, "worker.cache_positions=0"),
        (3, "worker.cache_positions=64"),
    ):
        folder = tmp_path / str(workers)
        train([*SMALL_CONNECT4, "--workers", str(workers), "--set", speed], folder)
        fingerprints.add(info(folder)["fingerprint"])
    assert len(fingerprints) == 1


def test_another_seed_is_another_run(undisturbed, tmp_path):
    train([*TICTACTOE[:-1], "8", "--workers", "2"], tmp_path)
    assert info(tmp_path)["fingerprint"] != undisturbed[0]


def test_going_on_round_by_round_ends_in_the_same_bits(undisturbed, tmp_path):
    for rounds in ("1", "3"):
        train([*TICTACTOE, "--rounds", rounds, "--workers", "2"], tmp_path)
    assert info(tmp_path)["fingerprint"] == undisturbed[0]
    assert info(tmp_path)["round"] == 3
    train([*TICTACTOE, "--workers", "2"], tmp_path)  # nothing left to do
    assert info(tmp_path)["fingerprint"] == undisturbed[0]


def test_bad_batches_are_quarantined_and_their_games_played_again(undisturbed, tmp_path):
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


def wait_for(condition, seconds=60):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "timed out"
        time.sleep(0.02)


def children_of(pid):
    return [int(line) for line in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_killed_children_are_replaced_and_the_bits_stay(undisturbed, tmp_path):
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
def test_children_that_stand_still_are_replaced_and_the_bits_stay(undisturbed, tmp_path):
    """A worker and the trainer are stopped (SIGSTOP) as soon as they are there."""
    arguments = list(map(str, command([*TICTACTOE, "--workers", "2"], tmp_path)))
    with subprocess.Popen(arguments, stdout=subprocess.PIPE) as process:
        wait_for(lambda: len(children_of(process.pid)) == 3)
        stopped = children_of(process.pid)[:2]
        for child in stopped:
            os.kill(child, signal.SIGSTOP)
        output = process.communicate(timeout=120)[0].decode()
    assert process.returncode == 0, output
    assert output.count("ended unexpectedly (hung: not a sign of life for") == 2
    assert (info(tmp_path)["fingerprint"], games_of(tmp_path)) == undisturbed
    wait_for(lambda: not any(map(is_running, stopped)))


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 40 MB, with 100 KB left."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", disk]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("mounting a file system is not allowed here")
    with open(disk / "filler", "wb") as filler:
        filler.write(bytes(40 * 2**20 - 100_000))
    yield disk
    subprocess.run(["umount", disk], check=True)


def test_a_full_disk_pauses_the_run_until_there_is_room(undisturbed, small_disk):
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


def ranks_below(pid):
    """Ranks of the trainer below a coordinator."""
    below = [grandchild for child in children_of(pid) for grandchild in children_of(child)]
    return [each for each in below if b"selfplay.training.rank" in Path(f"/proc/{each}/cmdline").read_bytes()]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_ranks_and_trainer_killed_in_the_middle_of_a_round_cost_no_bit(tmp_path):
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


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_stopped_run_leaves_no_process_and_goes_on(undisturbed, tmp_path, number):
    with subprocess.Popen(
        list(map(str, command([*TICTACTOE, "--workers", "2"], tmp_path))),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    ) as process:
        wait_for(lambda: list(tmp_path.glob("data/worker_*/batch_*.json")))
        children = children_of(process.pid)
        assert children
        process.send_signal(number)
        errors = process.communicate(timeout=30)[1].decode()
    if number == signal.SIGKILL:
        assert process.returncode == -9
    else:
        assert process.returncode == 130, errors
        assert "interrupted; what was written stays" in errors
    wait_for(lambda: not any(is_running(pid) for pid in children), seconds=2)
    train([*TICTACTOE, "--workers", "2"], tmp_path)
    assert (info(tmp_path)["fingerprint"], games_of(tmp_path)) == undisturbed


def test_a_second_coordinator_is_refused(tmp_path):
    with subprocess.Popen(
        list(map(str, command([*TICTACTOE, "--rounds", "50", "--workers", "1"], tmp_path))), stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        wait_for(lambda: (tmp_path / "data" / "run.toml").exists())
        assert f"is in use by process {process.pid}" in train(TICTACTOE, tmp_path, code=1)
        process.terminate()


def test_changed_settings_and_other_games_are_refused(tmp_path):
    train([*TICTACTOE, "--rounds", "0"], tmp_path)
    error = train([*TICTACTOE, "--set", "search.simulations=9"], tmp_path, code=1)
    assert "search.simulations: the run has 64, asked for 9" in error
    assert "game.name: the run has 'tictactoe'" in train(["connect4"], tmp_path, code=1)
    (tmp_path / "model.pt").write_bytes(b"half a mod")
    assert "would be overwritten" in train(TICTACTOE, tmp_path, code=1)
    assert (tmp_path / "model.pt").read_bytes() == b"half a mod"


def test_a_game_of_ones_own_is_trained_by_the_same_command(tmp_path):
    toys = Path(__file__).parents[1] / "toys.py"
    for game in ("AgainGame", "TicTacToeObjects"):
        folder = tmp_path / game
        settings = [
            "--games-per-round",
            "20",
            "--rounds",
            "1",
            "--workers",
            "2",
            "--set",
            "search.simulations=8",
        ]
        train([f"{toys}:{game}", *settings, "--set", "network.blocks=1", "--set", "network.channels=8"], folder)
        assert info(folder)["round"] == 1


def test_what_a_run_did_is_in_its_event_log(tmp_path):
    train([*TICTACTOE, "--rounds", "1", "--workers", "2"], tmp_path)
    events = [type(event) for event in EventReader(tmp_path / "data" / "events.jsonl")]
    assert events[0] is Started
    assert events[-1] is Stopped
    assert {Playing, Batch, Progress, Trained} <= set(events)
    assert len(events) == len((tmp_path / "data" / "events.jsonl").read_bytes().splitlines())


def test_tictactoe_is_perfect_after_half_a_minute(tictactoe, tmp_path):
    """From every position that any play can reach, the agent's move keeps the game's result: it never loses to a
    perfect player, nor to any other. 15 rounds take 15 to 30 s on two cores; the preset's minute allows 30."""
    train(["tictactoe", "--rounds", "15"], tmp_path)
    player = open_model(tmp_path / "model.pt", tictactoe, simulations=None)
    wrong, positions = mistakes(tictactoe, player)
    assert positions == 4520
    assert wrong == 0


@pytest.mark.parametrize("script", sorted(path.name for path in SCRIPTS.glob("*.sh")))
def test_scripts_are_sound_bash(script):
    subprocess.run(["bash", "-n", SCRIPTS / script], check=True)


@pytest.mark.skipif(not (SCRIPTS.parent / ".venv").exists(), reason="the scripts' environment is not set up here")
def test_the_quick_script_passes():
    done = subprocess.run([SCRIPTS / "test_parallel.sh"], capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.strip().splitlines()[-1].startswith("PASS: 2 workers played 10 games")
