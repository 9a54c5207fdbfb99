import msgspec
import pytest
from runs import ALONE, TICTACTOE, train

from selfplay.coordinator.evaluation import Evaluations, read_evaluation
from selfplay.coordinator.run import RunRequest, open_run
from selfplay.coordinator.verify import verify
from selfplay.errors import RunError, UsageError
from selfplay.games.registry import load_rules
from selfplay.network.card import read_onnx_card
from selfplay.rundir.event_types import Match, Mistakes
from selfplay.rundir.events import EventReader
from selfplay.rundir.facts import ModelsOnDisk
from selfplay.rundir.gates import PlayingModels, read_gate
from selfplay.rundir.layout import RunLayout
from selfplay.samples.batch_file import read_batch
from selfplay.settings import SelfPlaySettings

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


@pytest.mark.slow
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


@pytest.mark.slow
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


GATED = ["--set", "selfplay.gate_games=10", "--set", "search.simulations=16"]


@pytest.mark.slow
def test_with_a_gate_only_rounds_that_win_play(tmp_path):
    """A gate that nobody passes: round 0 plays all rounds. One that everybody passes: the run is as without one."""
    train([*TICTACTOE, *ALONE, *GATED, "--set", "selfplay.gate=1"], tmp_path / "shut")
    layout = RunLayout(tmp_path / "shut" / "data")
    gates = [read_gate(layout, number) for number in (1, 2, 3)]
    assert [(gate.round, gate.champion, gate.games, gate.is_passed) for gate in gates] == [
        (number, 0, 10, False) for number in (1, 2, 3)
    ]
    models = ModelsOnDisk(layout)
    batches = [read_batch(path) for path in layout.batch_files()]
    assert {batch.model for batch in batches} == {models.fingerprint(0)}, "who does not win does not play"
    assert models.fingerprint(3) != models.fingerprint(2), "but learns"
    assert read_onnx_card(tmp_path / "shut" / "model.onnx").round == 0, "the one that plays is published"
    assert list(verify(layout, replay=0.1, seed=0))[-1].problems == []

    train([*TICTACTOE, *ALONE, *GATED, "--set", "selfplay.gate=1e-9"], tmp_path / "open")
    train([*TICTACTOE, *ALONE, *GATED], tmp_path / "none")
    passed, free = RunLayout(tmp_path / "open" / "data"), RunLayout(tmp_path / "none" / "data")
    assert ModelsOnDisk(passed).fingerprint(3) == ModelsOnDisk(free).fingerprint(3)
    assert not free.gates.exists()


@pytest.mark.slow
def test_a_run_with_a_gate_is_the_same_with_any_workers_and_after_crashes(tmp_path):
    arguments = [*TICTACTOE, *GATED, "--set", "selfplay.gate=0.5"]
    train([*arguments, *ALONE], tmp_path / "one")
    one = RunLayout(tmp_path / "one" / "data")
    train([*arguments, "--workers", "3", "--rounds", "2"], tmp_path / "three")
    three = RunLayout(tmp_path / "three" / "data")
    for path in (three.gate(1), three.gate(2), *three.batch_files()[-2:]):
        path.unlink()
    train([*arguments, "--workers", "2"], tmp_path / "three")
    for number in (1, 2, 3):
        assert one.gate(number).read_bytes() == three.gate(number).read_bytes()
        assert ModelsOnDisk(one).fingerprint(number) == ModelsOnDisk(three).fingerprint(number)


@pytest.mark.parametrize("content", ["{", '{"round": 2, "champion": 0, "games": 2, "score": 1, "needed": 0.5}'])
def test_a_damaged_verdict_says_what_to_do(tmp_path, content):
    layout = RunLayout(tmp_path)
    layout.gates.mkdir()
    layout.gate(1).write_text(content)
    with pytest.raises(RunError, match=r"round_0001\.json: .*delete it, and its match is played again"):
        PlayingModels(layout, ModelsOnDisk(layout), SelfPlaySettings(gate=0.55)).champion(1)
