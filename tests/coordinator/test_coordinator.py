"""The coordinator with children inside this process that fail on cue."""

import pytest

from selfplay.coordinator import plan
from selfplay.coordinator.coordinator import Coordinator, Options
from selfplay.coordinator.crew import TRAINER
from selfplay.coordinator.run import RunRequest, open_run
from selfplay.engines.engine import Answer, Ended
from selfplay.engines.inline import InlineEngine
from selfplay.errors import ModelDamaged, ProcessError, RunError
from selfplay.network.card import read_onnx_card
from selfplay.rundir.event_types import Stopped, Trained
from selfplay.rundir.events import EventReader
from selfplay.samples.batch_file import read_batch

SMALL = {
    "search": {"simulations": 4},
    "network": {"blocks": 1, "channels": 8},
    "selfplay": {"games_per_round": 25, "device": "cpu"},
    "training": {"threads": 1, "passes": 2.0},
}


class FailingEngine(InlineEngine):
    """Ends the named child at its n-th turn with something to say, once."""

    def __init__(self, child, turn):
        super().__init__()
        self.victim, self.turns_left = child, turn

    def _turn(self, name):
        if name == self.victim:
            self.turns_left -= 1
            if self.turns_left == 0:
                self.stop(name)
                return [Ended(name, -9)]
        return super()._turn(name)

    def poll(self, timeout_seconds):
        if self.victim == "trainer while playing" and "worker_0" in self._services:
            self.victim = ""
            self.stop(TRAINER)
            return [Ended(TRAINER, -9)]
        return super().poll(timeout_seconds)


def run(tmp_path, engine, rounds=2, workers=2, seed=0):
    settings = {**SMALL, "selfplay": {**SMALL["selfplay"], "seed": seed}}
    opened = open_run(RunRequest(tmp_path / "data", tmp_path / "model.pt", game="tictactoe", assignments=settings))
    lines = []
    Coordinator(
        opened, Options(workers=workers, rounds=rounds), engine, show=lambda status: None, say=lines.append
    ).work()
    return read_onnx_card(tmp_path / "model.onnx"), lines


def kinds_of_events(tmp_path):
    return [type(event).__name__.lower() for event in EventReader(tmp_path / "data" / "events.jsonl")]


def games_of_round_1(tmp_path):
    files = (tmp_path / "data").glob("worker_*/batch_r0001_*.json")
    return sorted((game for path in files for game in read_batch(path).games), key=lambda game: game.number)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    return run(tmp_path_factory.mktemp("undisturbed"), InlineEngine())[0].fingerprint


@pytest.mark.parametrize(
    ("victim", "turn"),
    [("worker_0", 1), ("worker_0", 20), ("worker_1", 45), (TRAINER, 1), (TRAINER, 6), ("trainer while playing", 0)],
)
def test_a_child_lost_at_any_time_is_replaced_and_the_bits_stay(undisturbed, tmp_path, victim, turn):
    card, lines = run(tmp_path, FailingEngine(victim, turn))
    assert sum("starting it again" in line for line in lines) == 1
    assert card.fingerprint == undisturbed
    assert card.round == 2
    events = kinds_of_events(tmp_path)
    assert events.count("died") == 1


def test_a_clear_error_of_a_child_ends_the_run_with_its_reason(tmp_path):
    class Refusing(InlineEngine):
        def poll(self, timeout_seconds):
            return [Answer(TRAINER, {"event": "failed", "reason": "the disk is full", "exit_code": 1})]

    with pytest.raises(ProcessError, match="trainer: the disk is full"):
        run(tmp_path, Refusing())
    assert list(EventReader(tmp_path / "data" / "events.jsonl"))[-1].reason == "failed"


def test_the_published_model_is_the_newest_round_byte_for_byte(tmp_path):
    run(tmp_path, InlineEngine(), rounds=1)
    for suffix in (".pt", ".onnx"):
        published = (tmp_path / "model").with_suffix(suffix).read_bytes()
        assert published == (tmp_path / "data" / "models" / "round_0001").with_suffix(suffix).read_bytes()


def test_a_published_model_that_was_lost_is_published_again(tmp_path):
    run(tmp_path, InlineEngine(), rounds=1)
    (tmp_path / "model.onnx").unlink()
    (tmp_path / "model.pt").unlink()
    assert run(tmp_path, InlineEngine(), rounds=1)[0].round == 1


@pytest.mark.parametrize("ending", [".pt", ".onnx"])
def test_a_damaged_model_of_the_newest_round_is_put_aside_and_trained_again(undisturbed, tmp_path, ending):
    run(tmp_path, InlineEngine(), rounds=1)
    path = tmp_path / "data" / "models" / f"round_0001{ending}"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    card, lines = run(tmp_path, InlineEngine(), rounds=2)
    assert card.fingerprint == undisturbed
    assert any("round 1 is trained again" in line for line in lines)
    assert (tmp_path / "data" / "quarantine" / f"models_round_0001{ending}").read_bytes() == content


@pytest.mark.parametrize("ending", [".pt", ".onnx"])
def test_the_same_holds_where_games_of_the_next_round_are_there(undisturbed, tmp_path, ending):
    run(tmp_path, InlineEngine(), rounds=2)
    for path in [*(tmp_path / "data" / "models").glob("round_0002.*"), *tmp_path.glob("model.*")]:
        path.unlink()
    path = tmp_path / "data" / "models" / f"round_0001{ending}"
    path.write_bytes(path.read_bytes()[:-9])
    assert run(tmp_path, InlineEngine(), rounds=2)[0].fingerprint == undisturbed


def test_a_second_damaged_model_ends_the_run_and_stays_where_it_is(tmp_path):
    run(tmp_path, InlineEngine(), rounds=2)
    for number in (1, 2):
        path = tmp_path / "data" / "models" / f"round_000{number}.pt"
        path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ModelDamaged, match="round_0001.pt: not a whole"):
        run(tmp_path, InlineEngine(), rounds=3)
    assert (tmp_path / "data" / "models" / "round_0001.pt").exists()


def test_a_damaged_model_of_round_0_ends_the_run_with_what_to_do(tmp_path):
    run(tmp_path, InlineEngine(), rounds=1)
    path = tmp_path / "data" / "models" / "round_0000.onnx"
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(ModelDamaged, match="round_0000.onnx: .*"):
        run(tmp_path, InlineEngine(), rounds=2)


@pytest.mark.parametrize("ending", [".pt", ".onnx"])
def test_a_lost_model_of_an_older_round_is_trained_again(undisturbed, tmp_path, ending):
    run(tmp_path, InlineEngine(), rounds=2)
    (tmp_path / "data" / "models" / f"round_0001{ending}").unlink()
    assert run(tmp_path, InlineEngine(), rounds=2)[0].fingerprint == undisturbed
    assert (tmp_path / "data" / "models" / f"round_0001{ending}").exists()
    assert not (tmp_path / "data" / "quarantine").exists(), "games that it played wait for it"


def test_lost_games_of_an_older_round_are_played_again(undisturbed, tmp_path):
    run(tmp_path, InlineEngine(), rounds=1)
    before = games_of_round_1(tmp_path)
    for path in sorted((tmp_path / "data").glob("worker_*/batch_r0001_*.json"))[:2]:
        path.unlink()
    assert len(games_of_round_1(tmp_path)) < len(before)
    assert run(tmp_path, InlineEngine(), rounds=2)[0].fingerprint == undisturbed
    assert games_of_round_1(tmp_path) == before


def test_a_damaged_inference_twin_of_an_older_round_is_made_again(undisturbed, tmp_path):
    run(tmp_path, InlineEngine(), rounds=2)
    path = tmp_path / "data" / "models" / "round_0001.onnx"
    whole = path.read_bytes()
    path.write_bytes(whole[:-9])
    card, lines = run(tmp_path, InlineEngine(), rounds=2)
    assert card.fingerprint == undisturbed
    assert any("round 1 is trained again" in line for line in lines)
    assert path.read_bytes() == whole


def test_a_model_that_later_rounds_were_not_trained_from_is_refused_and_no_game_put_aside(tmp_path):
    run(tmp_path / "other", InlineEngine(), rounds=1, seed=3)
    run(tmp_path, InlineEngine(), rounds=2)
    for ending in (".pt", ".onnx"):
        other = tmp_path / "other" / "data" / "models" / f"round_0001{ending}"
        (tmp_path / "data" / "models" / other.name).write_bytes(other.read_bytes())
    with pytest.raises(RunError, match="but round 1 was trained from .* one of the two is not of this run"):
        run(tmp_path, InlineEngine(), rounds=3)
    assert not (tmp_path / "data" / "quarantine").exists()


class Stalling(InlineEngine):
    """Gives a worker no turn from its n-th on, until it is started anew."""

    def __init__(self, victim, turn):
        super().__init__()
        self.victim, self.turns_left = victim, turn
        self.starts = []

    def start(self, name, service, settings):
        super().start(name, service, settings)
        self.starts.append(name)
        if self.starts.count(self.victim) == 2:
            self.victim = ""

    def _turn(self, name):
        if name == self.victim:
            self.turns_left -= 1
            if self.turns_left < 0:
                return []
        return super()._turn(name)


def test_games_of_a_straggler_are_played_by_idle_workers_too(undisturbed, tmp_path, monkeypatch):
    monkeypatch.setattr(plan, "LEAST_STRAGGLING_SECONDS", 0.0)
    engine = Stalling("worker_1", 3)
    card, lines = run(tmp_path, engine)
    assert card.fingerprint == undisturbed
    assert sum("an idle worker plays its last 12 too" in line for line in lines) == 1
    assert engine.starts == ["trainer", "worker_0", "worker_1", "worker_1"], "let go once its games are there"
    events = kinds_of_events(tmp_path)
    assert "straggling" in events
    assert "died" not in events


def test_the_second_copy_of_a_file_is_removed(undisturbed, tmp_path):
    run(tmp_path, InlineEngine(), rounds=1)
    original = tmp_path / "data" / "worker_0" / "batch_r0001_g000000.json"
    copy = tmp_path / "data" / "worker_7" / original.name
    copy.parent.mkdir()
    copy.write_bytes(original.read_bytes())
    assert run(tmp_path, InlineEngine(), rounds=2)[0].fingerprint == undisturbed
    assert original.exists()
    assert not copy.exists()


class Interrupting(InlineEngine):
    """Ctrl-C at the n-th look, and once more where there are two numbers."""

    def __init__(self, *looks):
        super().__init__()
        self.looks, self.looked = looks, 0

    def poll(self, timeout_seconds):
        self.looked += 1
        if self.looked in self.looks:
            raise KeyboardInterrupt
        return super().poll(timeout_seconds)


def events_of(tmp_path, kind):
    return [event for event in EventReader(tmp_path / "data" / "events.jsonl") if isinstance(event, kind)]


def test_an_interrupted_run_keeps_the_games_that_were_under_way(undisturbed, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, Interrupting(9), workers=1)
    assert [event.reason for event in events_of(tmp_path, Stopped)] == ["interrupted"]
    kept = games_of_round_1(tmp_path)
    assert 0 < len(kept) <= 25, "all that had begun, and no more"
    assert run(tmp_path, InlineEngine())[0].fingerprint == undisturbed


def test_games_that_had_not_begun_are_not_begun(tmp_path, monkeypatch):
    monkeypatch.setitem(SMALL, "worker", {"games_in_parallel": 3})
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, Interrupting(12), workers=1)
    assert 3 <= len(games_of_round_1(tmp_path)) < 12


def test_an_interrupted_run_keeps_the_round_that_was_being_trained(undisturbed, tmp_path):
    class WhileTraining(Interrupting):
        def send(self, name, message):
            super().send(name, message)
            if message.get("do") == "train":
                self.looks = (self.looked + 3,)

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, WhileTraining())
    assert [event.round for event in events_of(tmp_path, Trained)] == [1]
    assert (tmp_path / "data" / "models" / "round_0001.pt").exists()
    assert run(tmp_path, InlineEngine())[0].fingerprint == undisturbed


def test_a_second_interrupt_ends_at_once(undisturbed, tmp_path):
    engine = Interrupting(9, 10)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, engine, workers=1)
    assert engine.looked == 10
    assert games_of_round_1(tmp_path) == []
    assert run(tmp_path, InlineEngine())[0].fingerprint == undisturbed
