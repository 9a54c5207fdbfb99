import re
import tomllib

import msgspec
import pytest

from selfplay.config import (
    describe,
    differences,
    from_tree,
    merged,
    parse_assignments,
    preset,
    presets,
    read_toml,
    to_toml,
    to_tree,
)
from selfplay.coordinator.suggested import preset_name
from selfplay.errors import UsageError
from selfplay.games.registry import BUILT_IN
from selfplay.settings import Settings


def test_settings_survive_toml():
    settings = Settings()
    assert from_tree(tomllib.loads(to_toml(settings, heading="two\nlines")), where="test") == settings


def test_every_field_is_documented():
    for group, fields in to_tree(Settings()).items():
        for field in fields:
            assert len(describe(group, field)) > 10
            assert (
                isinstance(fields[field], (str, bool, tuple))
                or "at least" in describe(group, field)
                or "above" in describe(group, field)
            ), f"{group}.{field} names no range"


def test_descriptions_name_the_range():
    assert describe("training", "learning_rate") == "AdamW's step size (above 0, at most 1)"


def test_every_preset_is_valid():
    for name in presets():
        game = from_tree(preset(name), where=name).game.name
        assert re.fullmatch(rf"{re.escape(preset_name(game))}(-\d+(min|h))?", name), "a game, and perhaps its budget"


def test_every_game_that_comes_along_has_a_preset():
    assert set(BUILT_IN) <= set(presets())


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("search.simulation=64", r'unknown setting "search.simulation" \(did you mean "simulations"\?\)'),
        ("serch.simulations=64", r'unknown group of settings "serch" \(did you mean "search"\?\)'),
        (
            "search.method=gumbel search.full_share=0.5",
            r"^--set: search: full_share = 0.5 does not go with method = gumbel",
        ),
        (
            "search.method=gumbel search.decided_value=0.9",
            r"^--set: search: decided_value = 0.9 does not go with method = gumbel",
        ),
        (
            "search.method=gumbel search.early_plies=3",
            r"^--set: search: early_plies = 3 does not go with method = gumbel",
        ),
        ("search.simulations=0", r"search.simulations: found 0, expected `int` >= 1"),
        ("search.simulations=-3", r"search.simulations: found -3, expected `int` >= 1"),
        ("search.simulations=many", r"search.simulations: found 'many', expected `int`, got `str`"),
        ("training.learning_rate=0", r"training.learning_rate: found 0, expected `float` > 0"),
        ("selfplay.device=tpu", r"selfplay.device: found 'tpu', expected one of cpu, cuda, auto"),
        (
            "training.mode=daat",
            r"found 'daat', expected one of auto, serial, data, pipeline \(did you mean \"data\"\?\)",
        ),
        ("training.mode=3", r"training.mode: found 3, expected one of"),
    ],
)
def test_wrong_settings_are_named(assignment, message):
    with pytest.raises(UsageError, match=message):
        from_tree(parse_assignments(tuple(assignment.split())), where="--set")


@pytest.mark.parametrize("text", ["search.simulations", "simulations=3", "=3", "search.=3"])
def test_malformed_assignments_are_refused(text):
    with pytest.raises(UsageError, match=r"expected group\.field=value"):
        parse_assignments((text,))


def test_later_overlays_win_field_by_field():
    assert merged({"a": {"x": 1, "y": 1}}, {"a": {"y": 2}}, {"b": {"z": 3}}) == {
        "a": {"x": 1, "y": 2},
        "b": {"z": 3},
    }


def test_differences_leave_out_what_only_decides_speed():
    old = Settings()
    new = from_tree({"search": {"simulations": 65}, "worker": {"games_in_parallel": 3}}, where="test")
    assert differences(old, new) == ["search.simulations: the run has 64, asked for 65"]


def test_a_settings_file_that_is_none_is_refused(tmp_path):
    (tmp_path / "x.toml").write_text("not toml at all [")
    with pytest.raises(UsageError, match="not a TOML file"):
        read_toml(tmp_path / "x.toml")
    with pytest.raises(UsageError, match="no such settings file"):
        read_toml(tmp_path / "y.toml")


def test_unknown_presets_offer_the_nearest():
    with pytest.raises(UsageError, match='did you mean "connect4"'):
        preset("connect5")


def test_settings_travel_as_json():
    settings = Settings()
    assert msgspec.convert(msgspec.to_builtins(settings), Settings) == settings
