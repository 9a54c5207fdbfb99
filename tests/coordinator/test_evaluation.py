import msgspec
import pytest
from runs import TICTACTOE, train

from selfplay.coordinator.evaluation import Evaluations, read_evaluation
from selfplay.coordinator.run import RunRequest, open_run
from selfplay.errors import RunError, UsageError
from selfplay.games.registry import load_rules
from selfplay.rundir.event_types import Match, Mistakes
from selfplay.rundir.events import EventReader
from selfplay.rundir.facts import ModelsOnDisk
from selfplay.rundir.layout import RunLayout

WITH_MATCHES = [
    *["--set=evaluation.every=2", "--match-games=10", "--set=evaluation.positions=20"],
    '--set=evaluation.opponents=["random","alphabeta:2"]',
]


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory):
    """A run of three rounds whose second and third were evaluated."""
    folder = tmp_path_factory.mktemp("evaluated")
    said = train([*TICTACTOE, "--workers", "2", *WITH_MATCHES], folder)
    return folder, said


def test_rounds_in_turn_and_the_last_are_evaluated(evaluated):
    folder, said = evaluated
    layout = RunLayout(folder / "data")
    assert layout.evaluated_rounds() == [2, 3]
    found = read_evaluation(layout.evaluation(3))
    assert [match.against for match in found.matches] == ["random", "alphabeta:2", "round 2"]
    assert [len(match.results) for match in found.matches] == [10, 10, 10]
    assert [measured.count for measured in found.mistakes] == [20, 20]
    assert all(line in said for line in found.lines())
    assert "round 3: rating" in said
    events = list(EventReader(layout.events))
    logged = [event for event in events if isinstance(event, (Match, Mistakes)) and event.round == 3]
    assert [msgspec.structs.replace(event, time=0.0) for event in logged] == found.as_events()


def test_evaluations_are_the_same_whoever_plays_them_and_whenever(evaluated, tmp_path):
    """With one worker in this process; and where only the last round's is missing."""
    folder, _ = evaluated
    arguments = [*TICTACTOE, *WITH_MATCHES]
    train([*arguments, "--workers", "1", "--engine", "inline"], tmp_path / "inline")
    layout, other = RunLayout(folder / "data"), RunLayout(tmp_path / "inline" / "data")
    for number in (2, 3):
        assert layout.evaluation(number).read_bytes() == other.evaluation(number).read_bytes()
    other.evaluation(3).unlink()
    train([*arguments, "--workers", "3"], tmp_path / "inline")
    assert layout.evaluation(3).read_bytes() == other.evaluation(3).read_bytes()


def test_models_do_not_depend_on_evaluations(evaluated, tmp_path):
    folder, _ = evaluated
    train([*TICTACTOE, "--workers", "2", "--match-games=0"], tmp_path)
    layout, without = RunLayout(folder / "data"), RunLayout(tmp_path / "data")
    assert without.evaluated_rounds() == []
    assert ModelsOnDisk(layout).fingerprint(3) == ModelsOnDisk(without).fingerprint(3)


def opened(folder, **evaluation):
    request = RunRequest(folder / "data", folder / "model.pt", game="tictactoe", assignments={"evaluation": evaluation})
    return open_run(request)


@pytest.mark.parametrize(
    ("opponents", "message"),
    [
        (["randon"], 'did you mean "random"'),
        (["alphabeta"], "expected alphabeta:N"),
        (["model.pt"], "is a model; expected baselines"),
        (["rollout:0"], "N from 1"),
    ],
)
def test_opponents_are_checked_before_anything_is_made(tmp_path, opponents, message):
    with pytest.raises(UsageError, match=message):
        opened(tmp_path, opponents=opponents)
    assert not (tmp_path / "data").exists()


def test_a_damaged_evaluation_says_what_to_do(tmp_path):
    run = opened(tmp_path)
    run.layout.evaluations.mkdir()
    run.layout.evaluation(1).write_text('{"format": "selfplay-evaluation"}')
    with pytest.raises(RunError, match=r"round_0001\.json: no evaluation.*delete it"):
        Evaluations(run, load_rules("tictactoe")).ratings()
    whole = {"version": 9, "game": "x", "rules": "x", "round": 1, "model": "x", "simulations": 1, "seed": 0}
    run.layout.evaluation(1).write_bytes(msgspec.json.encode({**whole, "matches": [], "mistakes": []}))
    with pytest.raises(RunError, match="expected selfplay-evaluation 1"):
        Evaluations(run, load_rules("tictactoe")).ratings()
