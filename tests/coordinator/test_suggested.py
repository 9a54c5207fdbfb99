"""Settings for games that nobody has tuned."""

from pathlib import Path

import pytest

from selfplay.config import from_tree, preset
from selfplay.coordinator.suggested import settings_for, suggested
from selfplay.games.registry import load_rules

TOYS = Path(__file__).parents[1] / "toys.py"


def test_a_game_with_a_preset_has_it():
    assert settings_for("connect4") == preset("connect4")


def test_other_parameters_are_another_game():
    assert settings_for("mnk:rows=4,columns=5,connect=3") != preset("tictactoe")


def test_small_games_get_small_networks_and_many_moves_get_gumbel():
    small = from_tree(suggested(load_rules(f"{TOYS}:AgainGame")), where="test")
    large = from_tree(suggested(load_rules("hex")), where="test")
    assert (small.network.blocks, small.search.method) == (2, "puct")
    assert (large.network.blocks, large.search.method) == (5, "gumbel")
    assert small.selfplay.games_per_round > large.selfplay.games_per_round


def test_large_policies_get_fewer_channels():
    info = load_rules("chess").info
    network = from_tree(suggested(load_rules("chess")), where="test").network
    assert network.policy_channels * 64 * info.num_actions <= 2_000_000


@pytest.mark.parametrize("fixture", ["tictactoe", "again", "objects", "hexapawn"])
def test_they_are_settings_and_the_same_every_time(request, fixture):
    rules = request.getfixturevalue(fixture)
    found = suggested(rules)
    assert from_tree(found, where="test")
    assert suggested(rules) == found
    assert found["search"]["win_in_one"] == rules.is_compiled
