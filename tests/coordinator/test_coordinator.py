"""The coordinator with children inside this process that fail on cue."""

import pytest
from runs import SMALL, Interrupting, events_of, games_of_round_1, kinds_of_events, run

from selfplay.coordinator.crew import TRAINER
from selfplay.engines.engine import Answer, Ended
from selfplay.engines.inline import InlineEngine
from selfplay.errors import ModelDamaged, ProcessError, RunError
from selfplay.rundir.event_types import Stopped, Trained
from selfplay.rundir.events import EventReader
from selfplay.samples.batch_file import read_batch


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


@pytest.mark.parametrize(
    ("victim", "turn"),
    [("worker_0", 1), ("worker_0", 20), ("worker_1", 45), (TRAINER, 1), (TRAINER, 6), ("trainer while playing", 0)],
)
def test_a_child_lost_at_any_time_is_replaced_and_the_bits_stay(calm, tmp_path, victim, turn):
    card, lines = run(tmp_path, FailingEngine(victim, turn))
    assert sum("starting it again" in line for line in lines) == 1
    assert card.fingerprint == calm
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


@pytest.mark.parametrize("ending", [".pt", ".onnx"])
def test_the_same_holds_where_games_of_the_next_round_are_there(calm, tmp_path, ending):
    run(tmp_path, InlineEngine(), rounds=2)
    for path in [*(tmp_path / "data" / "models").glob("round_0002.*"), *tmp_path.glob("model.*")]:
        path.unlink()
    path = tmp_path / "data" / "models" / f"round_0001{ending}"
    path.write_bytes(path.read_bytes()[:-9])
    assert run(tmp_path, InlineEngine(), rounds=2)[0].fingerprint == calm


def test_a_damaged_model_of_round_0_ends_the_run_with_what_to_do(tmp_path):
    run(tmp_path, InlineEngine(), rounds=1)
    path = tmp_path / "data" / "models" / "round_0000.onnx"
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(ModelDamaged, match="round_0000.onnx: .*"):
        run(tmp_path, InlineEngine(), rounds=2)


@pytest.mark.parametrize("damage", [lambda whole: whole[:-9], lambda whole: whole[:4000] + b"x" * 8 + whole[4008:]])
def test_a_damaged_checkpoint_of_the_newest_round_is_not_published(calm, tmp_path, damage):
    """Cut short, or changed in the middle: the published model shows that something is amiss with the round's."""
    run(tmp_path, InlineEngine(), rounds=2)
    path = tmp_path / "data" / "models" / "round_0002.pt"
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    (tmp_path / "model.pt").unlink()
    card, lines = run(tmp_path, InlineEngine(), rounds=2)
    assert card.fingerprint == calm
    assert any("round 2 is trained again" in line for line in lines)
    assert path.read_bytes() == (tmp_path / "model.pt").read_bytes() == whole


def test_a_damaged_inference_twin_of_an_older_round_is_made_again(calm, tmp_path):
    run(tmp_path, InlineEngine(), rounds=2)
    path = tmp_path / "data" / "models" / "round_0001.onnx"
    whole = path.read_bytes()
    path.write_bytes(whole[:-9])
    card, lines = run(tmp_path, InlineEngine(), rounds=2)
    assert card.fingerprint == calm
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


def test_the_second_copy_of_a_file_is_removed(calm, tmp_path):
    run(tmp_path, InlineEngine(), rounds=1)
    original = tmp_path / "data" / "worker_0" / "batch_r0001_g000000.json"
    copy = tmp_path / "data" / "worker_7" / original.name
    copy.parent.mkdir()
    copy.write_bytes(original.read_bytes())
    assert run(tmp_path, InlineEngine(), rounds=2)[0].fingerprint == calm
    assert original.exists()
    assert not copy.exists()


def test_an_interrupted_run_keeps_the_games_that_were_under_way(calm, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, Interrupting(9), workers=1)
    assert [event.reason for event in events_of(tmp_path, Stopped)] == ["interrupted"]
    kept = games_of_round_1(tmp_path)
    assert 0 < len(kept) <= 25, "all that had begun, and no more"
    assert run(tmp_path, InlineEngine())[0].fingerprint == calm


def test_games_that_had_not_begun_are_not_begun(tmp_path, monkeypatch):
    monkeypatch.setitem(SMALL, "worker", {"games_in_parallel": 3})
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, Interrupting(12), workers=1)
    assert 3 <= len(games_of_round_1(tmp_path)) < 12


def test_an_interrupted_run_keeps_the_round_that_was_being_trained(calm, tmp_path):
    class WhileTraining(Interrupting):
        def send(self, name, message):
            super().send(name, message)
            if message.get("do") == "train":
                self.looks = (self.looked + 3,)

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, WhileTraining())
    assert [event.round for event in events_of(tmp_path, Trained)] == [1]
    assert (tmp_path / "data" / "models" / "round_0001.pt").exists()
    assert run(tmp_path, InlineEngine())[0].fingerprint == calm


def test_no_game_is_played_twice_while_the_round_before_is_trained(tmp_path):
    """The training takes longer than the play that goes on beside it, so that tasks end before it does."""
    lagged = {"selfplay": {"games_per_round": 40, "lag": 1}, "training": {"passes": 60.0}}
    run(tmp_path, InlineEngine(), rounds=3, workers=3, assignments=lagged)
    files = (tmp_path / "data").glob("worker_*/batch_*.json")
    played = [(batch.round, game.number) for batch in map(read_batch, files) for game in batch.games]
    assert len(played) == len(set(played)) == 120
