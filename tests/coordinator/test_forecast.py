import json

import pytest
from click.testing import CliRunner

from selfplay.cli.main import cli
from selfplay.coordinator.forecast import BOUNDARY_SECONDS, RoundCost, Speeds, round_cost, rounds_within, run_cost
from selfplay.settings import SelfPlaySettings, Settings, TrainingSettings

SPEEDS = Speeds(
    simulations_per_second=10_000,
    evaluated_share=0.5,
    simulations_per_ply=50,
    plies_per_game=30,
    bytes_per_game=2000,
    samples_per_second=4000,
    model_bytes=100_000,
)
COST = RoundCost(
    games=100, positions=3000, play_core_seconds=60, train_seconds=10, play_flops=1, train_flops=1, batch_bytes=200_000
)


def test_a_round_costs_its_simulations_and_samples(connect4):
    settings = Settings(selfplay=SelfPlaySettings(games_per_round=100), training=TrainingSettings(passes=4.0))
    cost = round_cost(settings, connect4.info, SPEEDS)
    assert cost.positions == 3000
    assert cost.play_core_seconds == 3000 * 50 / 10_000
    assert cost.train_seconds == 3000 * 4 / 4000
    assert cost.balanced_cores == 5
    assert cost.train_flops / cost.play_flops == pytest.approx(3 * 4 / (50 * 0.5))


def test_with_a_lag_the_longer_part_of_a_round_counts_and_without_both():
    options = {"rounds": 10, "nodes": 1}
    assert run_cost(COST, SPEEDS, cores=6, lag=0, **options).seconds == 10 * (10 + 10 + BOUNDARY_SECONDS)
    assert run_cost(COST, SPEEDS, cores=6, lag=1, **options).seconds == 10 * 10 + 10
    assert run_cost(COST, SPEEDS, cores=60, lag=1, **options).seconds == 10 * 10 + 1
    assert rounds_within(COST, seconds=203, cores=6, lag=0) == 10


def test_models_travel_to_other_machines_and_games_come_back():
    alone = run_cost(COST, SPEEDS, rounds=10, cores=6, nodes=1, lag=0)
    four = run_cost(COST, SPEEDS, rounds=10, cores=6, nodes=4, lag=0)
    assert alone.traffic_bytes == 0
    assert four.traffic_bytes == 10 * (3 * 100_000 + 0.75 * 200_000)
    assert four.storage_bytes == alone.storage_bytes == 10 * (200_000 + 600_000)


def test_the_command_measures_and_reckons():
    small = ["--set", "search.simulations=4", "--set", "network.blocks=1", "--set", "network.channels=8"]
    command = [
        "plan",
        "tictactoe",
        *small,
        "--seconds",
        "1",
        "--rounds",
        "20",
        "--cores",
        "1",
        "--cores",
        "64",
        "--json",
    ]
    done = CliRunner().invoke(cli, command, catch_exceptions=False)
    assert done.exit_code == 0
    found = json.loads(done.stdout)
    assert 5 <= found["speeds"]["plies_per_game"] <= 9
    assert [run["cores"] for run in found["runs"]] == [1, 64]
    assert found["runs"][0]["seconds"] > found["runs"][1]["seconds"]
