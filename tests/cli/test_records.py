"""Commands that read and write records, and those that other programs talk to."""

import json
import subprocess

import numpy as np
import pytest
from runs import SELFPLAY

from selfplay.games.random_play import random_game
from selfplay.games.records import Played, write_record
from selfplay.games.registry import load_rules
from selfplay.network.checkpoint import save_checkpoint, untrained
from selfplay.samples.batch_file import BatchHeader, GameRecord, encode_batch


def run(*arguments, code=0, **options):
    done = subprocess.run(
        [SELFPLAY, *map(str, arguments)], capture_output=True, text=True, timeout=120, check=False, **options
    )
    assert done.returncode == code, f"{done.stdout}\n{done.stderr}"
    return done.stdout if code == 0 else done.stderr


@pytest.fixture(scope="module")
def rules():
    return load_rules("go:size=5,komi=0.5")


@pytest.fixture(scope="module")
def moves(rules):
    return random_game(rules, np.random.default_rng(0))


@pytest.fixture
def model(rules, small_settings, tmp_path):
    path = tmp_path / "go.pt"
    save_checkpoint(untrained(rules.info, small_settings), path)
    return path


@pytest.fixture
def batch(rules, moves, tmp_path):
    path = tmp_path / "batch_r0001_g000000.json"
    header = BatchHeader(game=rules.info.name, rules=rules.info.rules_hash, model="0" * 64, round=1, search={})
    games = [
        GameRecord(
            number=number,
            seed=0,
            outcome=1,
            opening=len(moves),
            moves=moves,
            policies=[[] for _ in moves],
            values=[0.0 for _ in moves],
            simulations=[0 for _ in moves],
        )
        for number in range(2)
    ]
    path.write_bytes(encode_batch(header, games))
    return path


def test_games_are_shown_as_records(rules, moves, batch, tmp_path):
    names = " ".join(map(rules.action_name, moves))
    assert run("show", batch, "--format", "moves") == f"{names}\n{names}\n"
    assert run("show", batch, "--game", 1, "--format", "sgf").count("GM[1]") == 1
    assert run("show", batch, "--format", "sgf").count("round 1, game") == 2
    assert "has no records as pgn; there are moves, sgf" in run("show", batch, "--format", "pgn", code=2)


def test_a_record_leads_to_a_position(rules, moves, model, tmp_path):
    record = tmp_path / "game.sgf"
    record.write_text(write_record(rules, Played(moves), "sgf"))
    opinion = json.loads(run("analyse", model, "--record", record, "--ply", 3, "--simulations", 5, "--json"))
    assert opinion["moves"] == moves[:3]
    assert "the game is over after" in run("analyse", model, "--record", record, code=1)
    assert "give --moves or --record, not both" in run("analyse", model, "--record", record, "--moves", "A1", code=2)
    assert "no such record" in run("analyse", model, "--record", tmp_path / "nothing", code=1)
    shown = run("play", model, "--record", record, "--ply", len(moves) - 1, "--simulations", 2, "--watch")
    assert "the agent plays" in shown


def test_gtp_over_standard_input(model):
    said = run("gtp", model, "--simulations", 4, input="boardsize 5\n1 genmove b\nshowboard\nquit\nname\n")
    assert said.startswith("=\n\n=1 ")
    assert said.count("X") == 1 or "pass" in said
    assert "= selfplay" not in said, "nothing is answered after quit"


def test_uci_refuses_other_games(model):
    assert "UCI is for chess" in run("uci", model, input="uci\n", code=2)


def test_all_games_are_listed_with_parameters_and_openspiel_s_with_reasons():
    text = run("games")
    assert "hex:swap=true" in text
    assert "openspiel:NAME for amazons" in text
    assert "hidden information: battleship" in text
    found = json.loads(run("games", "--json"))
    assert {"name": "komi", "default": 7.5} == {
        key: value
        for game in found["games"]
        if game["name"] == "go"
        for key, value in game["parameters"][1].items()
        if key != "about"
    }
    assert "backgammon" in found["openspiel"]["chance plays along"]


def test_a_new_game_is_written_where_it_is_asked_for(tmp_path):
    said = run("new-game", "my_game", "--folder", tmp_path / "games")
    assert "selfplay check" in said
    assert (tmp_path / "games" / "my_game.py").exists()
    assert "is there already" in run("new-game", "my_game", "--folder", tmp_path / "games", code=2)
