"""Warnings of learning that fails in silence: rounds as they are where all is well, each with one thing wrong."""

import math

import msgspec
import pytest
from runs import run

from selfplay.coordinator.diagnostics import Diagnostics, RoundOfGames, odd_games, odd_losses
from selfplay.engines.inline import InlineEngine
from selfplay.evaluation.cache import CachedEvaluator
from selfplay.evaluation.rollout import RolloutEvaluator
from selfplay.monitor.snapshot import Reader
from selfplay.rundir.event_types import Trained
from selfplay.samples.batch_file import check_game_record
from selfplay.samples.collector import CheckedGame
from selfplay.settings import SearchSettings
from selfplay.worker.lockstep import Lockstep

HEALTHY = RoundOfGames(
    first_won=55, drawn=5, second_won=40, plies=2500, choices=2500 * math.log(6), searched=2500, sure=200, wrong=10,
    lines={str(number).encode() for number in range(100)},
)  # fmt: skip
TRAINED = Trained(
    round=7, fingerprint="f", policy=1.4, value=0.45, policy_floor=1.1, value_chance=math.log(2)
)  # fmt: skip


def games_with(**fields):
    return RoundOfGames(**{**HEALTHY.__dict__, **fields})


def kinds(games=HEALTHY, trained=TRAINED, number=7):
    return [odd.kind for odd in (*odd_games(games), *odd_losses(number, games, trained))]


def test_of_a_run_that_learns_nothing_is_said():
    assert kinds() == []


@pytest.mark.parametrize(
    ("kind", "games", "trained"),
    [
        ("accidents", {"wrong": 150}, {}),
        ("duplicates", {"lines": {b"the same"}}, {}),
        ("one-sided", {"first_won": 99, "drawn": 0, "second_won": 1}, {}),
        ("one-sided", {"first_won": 0, "drawn": 20, "second_won": 80}, {}),
        ("collapsed", {}, {"policy_floor": 0.01}),
        ("value at chance", {}, {"value": 0.692}),
        ("spike", {}, {"gradient_norm": 0.5, "largest_gradient": 12.0}),
        ("policy at chance", {}, {"policy": 1.9}),
    ],
)
def test_each_kind_of_failure_is_found_and_says_what_to_do(kind, games, trained):
    found = [*odd_games(games_with(**games)), *odd_losses(7, HEALTHY, msgspec.structs.replace(TRAINED, **trained))]
    assert [odd.kind for odd in found] == [kind]
    assert any(word in found[0].text for word in ("raise", "lower", "check", "set "))


def test_a_few_games_and_the_first_rounds_prove_nothing():
    few = games_with(first_won=20, drawn=0, second_won=0, lines={b"x"}, sure=20, wrong=20)
    assert kinds(few) == []
    assert kinds(trained=msgspec.structs.replace(TRAINED, value=0.7, policy=2.0), number=4) == []


def test_results_that_are_all_alike_are_not_called_chance():
    assert kinds(trained=msgspec.structs.replace(TRAINED, value=0.01, value_chance=0.01)) == []


def test_a_thing_is_said_once_in_ten_rounds():
    diagnostics, odd = Diagnostics(), games_with(wrong=150)
    said = [number for number in range(1, 31) if diagnostics.look(number, odd, TRAINED)]
    assert said == [1, 11, 21]


@pytest.mark.parametrize(("temperature", "expected"), [(0.3, []), (5.0, ["accidents"])])
def test_games_that_chance_decides_are_found(connect4, temperature, expected):
    search = SearchSettings(
        simulations=30, win_in_one=False, solver=False, temperature=temperature, temperature_plies=99
    )
    evaluator = CachedEvaluator(RolloutEvaluator(seed=1, playouts=20), connect4.info, positions=4096)
    lockstep = Lockstep(connect4, evaluator, search, slots=30, run_seed=0, round_number=1)
    games = RoundOfGames()
    for record in lockstep.play(range(60)):
        if record is not None:
            games.count(CheckedGame((1, record.number), record, b"", *check_game_record(record, connect4)))
    assert games.games == 60
    assert len(games.lines) > 50
    assert games.searched == games.plies
    assert 1 < math.exp(games.choices / games.searched) < 7
    assert [odd.kind for odd in odd_games(games)] == expected


def test_a_run_that_goes_wrong_is_told_so_and_the_monitor_shows_it(tmp_path):
    """One game over and over: no noise, no temperature."""
    odd = {
        "search": {"simulations": 4, "noise_fraction": 0.0, "temperature": 0.0, "late_temperature": 0.0},
        "selfplay": {"games_per_round": 60},
    }
    _, lines = run(tmp_path, InlineEngine(), assignments=odd)
    warnings = [line for line in lines if line.startswith("warning, round")]
    assert sum("are copies of others" in line for line in warnings) == 1, "and not again in round 2"
    assert any("copies of others" in warning.text for warning in Reader(tmp_path / "data").look().warnings)
