"""Whole runs, with real processes: purity, going on, settings, games of one's own, strength, scripts."""

import subprocess
from pathlib import Path

import pytest
from perfect import mistakes
from runs import ALONE, SMALL_CONNECT4, TICTACTOE, games_of, info, train

from selfplay.arena.player import open_model
from selfplay.coordinator.verify import Report, verify
from selfplay.network.card import read_onnx_card
from selfplay.rundir.event_types import Batch, Playing, Progress, Started, Stopped, Trained
from selfplay.rundir.events import EventReader
from selfplay.rundir.layout import RunLayout
from selfplay.samples.batch_file import read_batch

SCRIPTS = Path(__file__).parents[2] / "scripts"


@pytest.mark.parametrize("options", [["--workers", "3"], ["--workers", "2", "--engine", "inline"]])
def test_workers_and_engine_do_not_change_a_bit(undisturbed, tmp_path, options):
    train([*TICTACTOE, *options], tmp_path)
    assert (info(tmp_path)["fingerprint"], games_of(tmp_path)) == undisturbed


@pytest.mark.slow
@pytest.mark.parametrize("method", ["puct", "gumbel"])
def test_the_same_holds_for_connect4_and_settings_of_speed(tmp_path, method):
    """The preset has random openings, the solver and value targets that look ahead."""
    fingerprints = set()
    for where, cache, games in ((ALONE, 0, 5), (["--workers", "3"], 64, 64)):
        folder = tmp_path / where[1]
        speed = ["--set", f"worker.cache_positions={cache}", "--set", f"worker.games_in_parallel={games}"]
        speed += ["--set", f"search.method={method}"]
        train([*SMALL_CONNECT4, *where, *speed], folder)
        fingerprints.add(info(folder)["fingerprint"])
    assert len(fingerprints) == 1


@pytest.mark.slow
def test_a_round_that_is_played_while_the_last_one_is_trained_is_the_same_for_everybody(tmp_path):
    """With a lag of one, rounds 1 and 2 are played by the untrained model, round 3 by that of round 1."""
    fingerprints = set()
    for folder, steps in ((tmp_path / "one", ["4"]), (tmp_path / "three", ["2", "4"])):
        for rounds in steps:
            lagged = [*TICTACTOE, "--set", "selfplay.lag=1", "--rounds", rounds]
            train([*lagged, *(ALONE if folder.name == "one" else ("--workers", "3"))], folder)
        fingerprints.add(info(folder)["fingerprint"])
        layout, players = RunLayout(folder / "data"), {}
        for path in layout.batch_files():
            batch = read_batch(path)
            players[batch.round] = batch.model
        models = [read_onnx_card(layout.model(number).with_suffix(".onnx")).fingerprint for number in range(3)]
        assert [players[number] for number in (1, 2, 3, 4)] == [models[0], models[0], models[1], models[2]]
        began = [type(event) for event in EventReader(layout.events) if isinstance(event, Playing | Trained)]
        assert began[:3] == [Playing, Playing, Trained], "the second round is begun before the first is trained"
        assert verify_all(layout) == []
    assert len(fingerprints) == 1


@pytest.mark.slow
def test_a_network_that_grows_grows_alike_for_everybody(tmp_path):
    """On one worker and on two, in one go and round by round; two ranks train, and begin anew with every size."""
    growing = [*SMALL_CONNECT4, "--set", "network.blocks=3", "--set", "network.first_blocks=1"]
    growing += ["--set", "network.growth_rounds=1", "--set", "training.mode=data", "--set", "training.ranks=2"]
    train([*growing, *ALONE], tmp_path / "whole")
    for rounds in ("1", "2"):
        train([*growing, "--workers", "2", "--rounds", rounds], tmp_path / "halves")
    assert info(tmp_path / "whole")["fingerprint"] == info(tmp_path / "halves")["fingerprint"]
    layout = RunLayout(tmp_path / "whole" / "data")
    assert [read_onnx_card(layout.model(n).with_suffix(".onnx")).blocks for n in range(3)] == [1, 2, 3]
    assert verify_all(layout) == []


def verify_all(layout):
    """What is wrong with a run, a third of its games played again."""
    return [found for found in verify(layout, replay=0.3, seed=0) if isinstance(found, Report)][-1].problems


@pytest.mark.slow
def test_another_seed_is_another_run(finished_run, tmp_path):
    train([*TICTACTOE[:-1], "8", "--rounds", "1", *ALONE], tmp_path)
    first = read_onnx_card(RunLayout(finished_run / "data").model(1).with_suffix(".onnx"))
    assert info(tmp_path)["fingerprint"] != first.fingerprint
    assert info(tmp_path)["round"] == first.round == 1


@pytest.mark.slow
def test_going_on_round_by_round_ends_in_the_same_bits(undisturbed, tmp_path):
    for rounds in ("1", "3"):
        train([*TICTACTOE, "--rounds", rounds, *ALONE], tmp_path)
    assert info(tmp_path)["fingerprint"] == undisturbed[0]
    assert info(tmp_path)["round"] == 3
    train([*TICTACTOE, "--workers", "2"], tmp_path)  # nothing left to do
    assert info(tmp_path)["fingerprint"] == undisturbed[0]


def test_changed_settings_and_other_games_are_refused(tmp_path):
    train([*TICTACTOE, *ALONE, "--rounds", "0"], tmp_path)
    error = train([*TICTACTOE, *ALONE, "--set", "search.simulations=9"], tmp_path, code=1)
    assert "search.simulations: the run has 64, asked for 9" in error
    assert "game.name: the run has 'tictactoe'" in train(["connect4", *ALONE], tmp_path, code=1)
    (tmp_path / "model.pt").write_bytes(b"half a mod")
    assert "would be overwritten" in train(TICTACTOE, tmp_path, code=1)
    assert (tmp_path / "model.pt").read_bytes() == b"half a mod"


@pytest.mark.slow
def test_a_game_of_ones_own_is_trained_by_the_same_command(tmp_path):
    toys = Path(__file__).parents[1] / "toys.py"
    settings = ["--games-per-round", "20", "--rounds", "1", "--set", "search.simulations=8"]
    settings += ["--set", "network.blocks=1", "--set", "network.channels=8"]
    for game, where in (("AgainGame", ["--workers", "2"]), ("TicTacToeObjects", ALONE)):
        folder = tmp_path / game
        train([f"{toys}:{game}", *settings, *where], folder)
        assert info(folder)["round"] == 1


def test_what_a_run_did_is_in_its_event_log(finished_run):
    log = finished_run / "data" / "events.jsonl"
    events = [type(event) for event in EventReader(log)]
    assert events[0] is Started
    assert events[-1] is Stopped
    assert {Playing, Batch, Progress, Trained} <= set(events)
    assert len(events) == len(log.read_bytes().splitlines())


@pytest.mark.slow
def test_tictactoe_is_perfect_within_a_minute(tictactoe, tmp_path):
    """From every position that any play can reach, the agent's move keeps the game's result: it never loses to a
    perfect player, nor to any other. 25 rounds take 30 to 60 s on two cores."""
    train(["tictactoe", "--rounds", "25"], tmp_path)
    for simulations in (32, 64):
        player = open_model(tmp_path / "model.pt", tictactoe, simulations=simulations)
        assert mistakes(tictactoe, player) == (0, 4520)


@pytest.mark.parametrize("script", sorted(path.name for path in SCRIPTS.glob("*.sh")))
def test_scripts_are_sound_bash(script):
    subprocess.run(["bash", "-n", SCRIPTS / script], check=True)


@pytest.mark.slow
@pytest.mark.skipif(not (SCRIPTS.parent / ".venv").exists(), reason="the scripts' environment is not set up here")
def test_the_quick_script_passes():
    done = subprocess.run([SCRIPTS / "test_parallel.sh"], capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.strip().splitlines()[-1].startswith("PASS: 2 workers played 10 games")
