"""The command line as users meet it: in a process of its own, by exit code and what it prints."""

import json
import os
import pty
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from processes import ended, seen_until

from selfplay.cli.main import COMMANDS
from selfplay.games.registry import BUILT_IN
from selfplay.network.checkpoint import save_checkpoint, untrained

SELFPLAY = Path(sys.executable).with_name("selfplay")


def run(*arguments, cwd, code=0, **options):
    done = subprocess.run(
        [SELFPLAY, *map(str, arguments)],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        **options,
    )
    assert done.returncode == code, f"{done.returncode}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr
    return done.stdout if code == 0 else done.stderr


@pytest.fixture
def model(tictactoe, small_settings, tmp_path):
    save_checkpoint(untrained(tictactoe.info, small_settings), tmp_path / "model.pt")
    return tmp_path / "model.pt"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(command, tmp_path):
    assert "Example:\n      selfplay " in run(command, "--help", cwd=tmp_path).replace(
        "\n    selfplay", "\n      selfplay"
    ).replace("  Example:", "Example:")


def test_mistyped_commands_offer_the_nearest(tmp_path):
    assert 'did you mean "train"' in run("trian", cwd=tmp_path, code=2)


def test_games_are_listed(tmp_path):
    assert "connect4" in run("games", cwd=tmp_path)
    assert [game["name"] for game in json.loads(run("games", "--json", cwd=tmp_path))["games"]] == list(BUILT_IN)


def test_settings_are_printed_as_a_file_that_train_takes(tmp_path):
    (tmp_path / "my.toml").write_text(run("settings", "tictactoe", cwd=tmp_path))
    error = run("train", "--config", "my.toml", "--set", "search.simulations=0", cwd=tmp_path, code=2)
    assert "search.simulations: found 0, expected `int` >= 1" in error
    assert not (tmp_path / "data").exists()


def test_info_tells_what_a_model_is(model, tmp_path):
    from_pt = json.loads(run("info", model, "--json", cwd=tmp_path))
    from_onnx = json.loads(run("info", model.with_suffix(".onnx"), "--json", cwd=tmp_path))
    assert from_pt == from_onnx
    assert {"game", "round", "fingerprint", "parent", "parameters", "network"} <= from_pt.keys()
    assert from_pt["network"] == "1x8"
    assert "fingerprint" in run("info", model, cwd=tmp_path)


def test_verify_passes_and_fails_with_its_exit_code(finished_run, tmp_path):
    shutil.copytree(finished_run / "data", tmp_path / "data")
    assert "all is as it should be" in run("verify", "--replay", 0.05, cwd=tmp_path)
    assert json.loads(run("verify", "data", "--replay", 0.1, "--json", cwd=tmp_path))["replayed"] == 18
    (tmp_path / "data" / "models" / "round_0000.pt").unlink()
    run("verify", "data", cwd=tmp_path, code=1)
    assert "holds no run" in run("verify", "elsewhere", cwd=tmp_path, code=1)


def test_check_passes_and_fails_with_its_exit_code(tmp_path):
    assert "all laws hold" in run("check", "tictactoe", "--games", 20, cwd=tmp_path)
    assert json.loads(run("check", "connect4", "--games", 5, "--json", cwd=tmp_path))["symmetries"] == 2
    assert "no such file" in run("check", "mygame.py:Mine", cwd=tmp_path, code=2)


def test_evaluate_counts_mistakes_against_perfect_play(model, tmp_path):
    drawn = json.loads(run("evaluate", model, "--oracle", "--count", 30, "--json", cwd=tmp_path))
    assert drawn.keys() == {"random", "near-perfect"}
    assert {row["simulations"] for row in drawn["random"]["mistakes"]} == {0, 64}
    (tmp_path / "set").write_text("5,1\n5,1,9,3\n")
    shown = run("evaluate", model, "--positions", "set", "--simulations", "200", "--plot", "m.svg", cwd=tmp_path)
    assert "0.0%" in shown
    assert (tmp_path / "m.svg").exists()
    assert "no such inference model" in run("evaluate", "random", "--oracle", cwd=tmp_path, code=1)
    assert "against which positions?" in run("evaluate", model, cwd=tmp_path, code=2)
    assert "expected whole numbers" in run("evaluate", model, "--oracle", "--simulations", "x", cwd=tmp_path, code=2)


def test_arena_plays_and_prints_json(model, tmp_path):
    result = json.loads(run("arena", model, "random", "--games", 20, "--json", cwd=tmp_path))
    assert result["wins"] + result["draws"] + result["losses"] == result["games"] == 20
    assert result["low"] <= result["score"] <= result["high"]
    assert "95 % interval" in run("arena", "random", "rollout:5", "--game", "tictactoe", "--games", 4, cwd=tmp_path)
    assert "say which game" in run("arena", "random", "random", cwd=tmp_path, code=2)
    assert "is neither a model file nor a baseline" in run("arena", "rndom", model, cwd=tmp_path, code=2)


def test_a_game_is_played_over_standard_input(model, tmp_path):
    moves = "\n".join("123456789" * 3)
    text = run("play", model, "--simulations", 5, cwd=tmp_path, input=moves)
    assert text.strip().endswith(("You won.", "A draw.", "The agent won."))


def test_the_agent_plays_against_itself_from_a_position_on(model, tmp_path):
    text = run("play", model, "--simulations", 5, "--moves", "1,5,9", "--watch", cwd=tmp_path)
    assert text.count("the agent plays") >= 2
    assert text.strip().endswith(("Player 1 won.", "A draw.", "Player 2 won."))
    assert "move 2: tictactoe has no move '10'" in run("play", model, "--moves", "1,10", cwd=tmp_path, code=1)


def test_moves_are_chosen_with_arrows_in_a_terminal(model, tmp_path):
    ours, theirs = pty.openpty()
    arguments = [SELFPLAY, "play", model, "--simulations", "5"]
    with ended(subprocess.Popen(list(map(str, arguments)), stdin=theirs, stdout=theirs, stderr=theirs)) as process:
        seen_until(ours, rb"your move \(1, 2,")
        os.write(ours, b"\x1b[C\x1b[C\x1b[C\x1b[D\r")  # right, right, right, left: the second move
        seen = seen_until(ours, rb"the agent plays[\s\S]*your move \(")
        assert b" X | 3" in seen
        os.write(ours, b"unx\x7fdo\r")
        seen_until(ours, rb"your move \(1, 2,")
        os.write(ours, b"q\r")
        assert process.wait(20) == 0
    os.close(theirs)
    os.close(ours)


def test_a_position_is_analysed(model, tmp_path):
    text = run("analyse", model, "--moves", "1 4 2 5", "--simulations", 200, "--top", 2, cwd=tmp_path)
    assert "player 1 to move" in text
    assert "the network's chances: win" in text
    table = text[text.index("move  visits") :].splitlines()
    assert [line.split()[0] for line in table[1:]] == ["3"], "it wins at once: no other move is looked at"
    table = run("analyse", model, "--moves", "5", "--simulations", 200, "--top", 2, cwd=tmp_path).splitlines()
    assert len(table[table.index(next(line for line in table if line.startswith("move  visits"))) :]) == 3
    opinion = json.loads(run("analyse", model, "--moves", "1,4,2,5", "--json", cwd=tmp_path))
    assert opinion["options"][0]["line"] == ["3"]
    assert (opinion["simulations"], opinion["is_proven"]) == (1, True)
    assert json.loads(run("analyse", model, "--json", cwd=tmp_path))["simulations"] == 800


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["info", "nothing.pt"], 1, "nothing.pt: no such model"),
        (["show", "nothing.json"], 1, "nothing.json: no such batch file"),
        (["monitor", "nowhere", "--once"], 1, "nowhere holds no run"),
        (["monitor", "nowhere", "--web"], 1, "nowhere holds no run"),
        (["monitor", "nowhere", "--port", "99"], 2, "--port is for pages: add --web"),
        (["monitor", "nowhere", "--web", "--json"], 2, "leave out --once and --json"),
        (["play", "no.pt", "--web"], 1, "no such inference model"),
        (["play", "no.pt", "--web", "--token", "guess"], 1, "no such inference model"),
        (["train", "ches"], 2, 'unknown game "ches" (did you mean "chess"?)'),
        (["train", "--workers=-1"], 2, "from 0 to 4096, or auto; found '-1'"),
        (["train", "--workers", "many"], 2, "from 0 to 4096, or auto; found 'many'"),
        (["train", "--games-per-worker", "0"], 2, "0 is not in the range"),
        (["train", "--games-per-round", "-5"], 2, "-5 is not in the range"),
        (["train", "--rounds", "-1"], 2, "-1 is not in the range"),
        (["train", "--games-per-round", "5", "--games-per-worker", "5"], 2, "not both"),
        (["train", "--set", "serch.simulations=5"], 2, 'did you mean "search"'),
        (["train", "--preset", "connect5"], 2, 'did you mean "connect4"'),
        (["train", "--config", "no.toml"], 2, "no.toml: no such settings file"),
        (["train", "--model", "model.onnx"], 2, "must end in .pt"),
        (["train", "--data", "file"], 2, "is a file"),
        (["worker", "--model", "no.onnx", "--out", "w"], 1, "no.onnx: no such inference model"),
        (["arena", "no.pt", "random"], 1, "no such inference model"),
    ],
)
def test_bad_input_gets_one_clear_line_and_changes_nothing(tmp_path, arguments, code, message):
    (tmp_path / "file").write_text("mine")
    error = run(*arguments, cwd=tmp_path, code=code)
    assert message in error
    assert (tmp_path / "file").read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_show_lists_and_draws_games(tmp_path):
    golden = Path(__file__).parents[1] / "golden" / "batch_version_1.json"
    assert "game 1:" in run("show", golden, cwd=tmp_path)
    text = run("show", golden, "--game", 0, cwd=tmp_path)
    assert "X | O" in text or "O | X" in text
    assert "plays" in text
    assert "holds games 0 to 1, not 7" in run("show", golden, "--game", 7, cwd=tmp_path, code=1)
    assert json.loads(run("show", golden, "--game", 1, "--json", cwd=tmp_path))["number"] == 1


@pytest.mark.slow
def test_training_plans_are_compared_on_this_machine(tmp_path):
    plans = ("--plan", "serial:1", "--plan", "data:2", "--set", "training.batch_size=32")
    options = ("--batches", "2", "--turns", "2", "--json")
    rows = json.loads(run("bench", "training", "tictactoe", *options, *plans, cwd=tmp_path))
    assert [row["plan"] for row in rows] == ["serial:1", "data:2"]
    assert rows[0]["speedup"] == 1.0
    assert all(row["samples_per_second"] > 0 for row in rows)
    assert "too small" in rows[1]["reason"]
