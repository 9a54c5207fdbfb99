"""Training on several ranks, with real processes: equal to serial, and whole whatever dies."""

import os
import signal
import sys
import threading
import time
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
from processes import is_running

from selfplay.errors import TrainingError, UsageError
from selfplay.network.checkpoint import network_shape, save_checkpoint, untrained
from selfplay.network.resnet import ResNet
from selfplay.settings import NetworkSettings, Settings, TrainingSettings
from selfplay.training import rank_group, recovery
from selfplay.training.comparison import random_batches
from selfplay.training.launching import LocalLauncher
from selfplay.training.rank_group import RankGroup
from selfplay.training.recovery import Recovery
from selfplay.training.train import Trainer, is_parallelizable

FAULTY = Path(__file__).parent / "faulty_rank.py"
BATCH = 40


@pytest.fixture(scope="module")
def settings():
    return Settings(
        network=NetworkSettings(blocks=2, channels=8, policy_channels=2, value_channels=2, value_hidden=8, future=True),
        training=TrainingSettings(
            batch_size=BATCH, micro_batch=10, mode="serial", threads=1, learning_rate=0.01, precision="float32"
        ),
    )


def batches_of(rules, count, size=BATCH):
    return random_batches(rules, batch_size=size, count=count, future=True)


def trainer_of(rules, settings, mode, ranks):
    plan = {"mode": mode, "ranks": ranks, "threads": 1}
    training = msgspec.structs.replace(settings.training, **plan)
    return Trainer.new(rules.info, msgspec.structs.replace(settings, training=training))


@pytest.fixture(scope="module")
def shared(connect4, settings, no_rank_is_left):
    """Trainers whose ranks stay from test to test; `shared(mode, ranks)` gives one that is untrained again."""
    trainers = {}

    def give(mode, ranks):
        if (mode, ranks) not in trainers:
            trainers[mode, ranks] = trainer_of(connect4, settings, mode, ranks)
        trainer = trainers[mode, ranks]
        trainer.load(untrained(connect4.info, trainer._start.settings))
        return trainer

    yield give
    for trainer in trainers.values():
        trainer.shutdown()


def train(trainer, batches):
    """One round; its reports and recoveries."""
    return [report for report in trainer.train_round(lambda: batches) if report is not None]


def assert_close(a, b):
    """Two checkpoints that are the same up to the rounding of sums."""
    for name, tensor in a.weights.items():
        torch.testing.assert_close(b.weights[name], tensor, rtol=1e-4, atol=1e-5, msg=name)
        torch.testing.assert_close(b.average[name], a.average[name], rtol=1e-4, atol=1e-5, msg=name)
    assert a.optimizer.keys() == b.optimizer.keys()
    for name, fields in a.optimizer.items():
        # After one step AdamW's first moment is a tenth of the (clipped) gradient.
        scale = fields["exp_avg"].abs().max().item()
        torch.testing.assert_close(b.optimizer[name]["exp_avg"], fields["exp_avg"], rtol=1e-4, atol=1e-4 * scale + 1e-8)


@pytest.fixture(scope="module")
def no_rank_is_left():
    """All processes that these tests start, gone at the end."""
    started = []
    original = RankGroup._start

    def start(self):
        original(self)
        started.extend(self.pids)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RankGroup, "_start", start)
        yield started
    deadline = time.monotonic() + 5
    while any(map(is_running, started)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not [pid for pid in started if is_running(pid)]


pytestmark = pytest.mark.usefixtures("no_rank_is_left")


# --- equality ----------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(("mode", "ranks"), [("data", 2), ("data", 4), ("pipeline", 2), ("pipeline", 4)])
def test_a_step_on_ranks_equals_the_serial_step(connect4, shared, mode, ranks):
    """Equal shares, shares of different sizes (37 = 10 + 10 + 10 + 7), fewer groups than ranks, and odd weights."""
    rng = np.random.default_rng(0)
    for size in (40, 37, 15):
        batch = batches_of(connect4, 1, size)[0]
        batch = batch._replace(weight=rng.uniform(0.1, 2, size).astype(np.float32))
        serial, parallel = shared("serial", 1), shared(mode, ranks)
        expected, found = (train(trainer, [batch])[0] for trainer in (serial, parallel))
        assert found.losses.policy == pytest.approx(expected.losses.policy, rel=1e-5)
        assert found.losses.value == pytest.approx(expected.losses.value, rel=1e-5)
        assert found.losses.future == pytest.approx(expected.losses.future, rel=1e-5)
        assert sum(rank.positions for rank in found.ranks) == size
        assert_close(serial.checkpoint(round_number=1), parallel.checkpoint(round_number=1))


@pytest.mark.slow
@pytest.mark.parametrize(("mode", "ranks"), [("data", 2), ("pipeline", 3)])
def test_steps_of_muon_on_ranks_equal_the_serial_ones(connect4, settings, mode, ranks):
    muon = msgspec.structs.replace(settings.training, muon_learning_rate=0.02)
    trained = []
    for how in (("serial", 1), (mode, ranks)):
        trainer = trainer_of(connect4, msgspec.structs.replace(settings, training=muon), *how)
        trainer.load(untrained(connect4.info, trainer._start.settings))
        train(trainer, batches_of(connect4, 3))
        trained.append(trainer.checkpoint(round_number=1))
        trainer.shutdown()
    serial, parallel = trained
    assert serial.optimizer.keys() == parallel.optimizer.keys()
    for name, tensor in serial.weights.items():
        torch.testing.assert_close(parallel.weights[name], tensor, rtol=1e-3, atol=1e-3, msg=name)


def test_accumulating_groups_equals_one_large_step_but_for_batch_statistics(connect4, settings):
    """With one group the step is that of plain torch: batch normalisation over the batch, AdamW, clipped gradients."""
    whole = msgspec.structs.replace(settings, training=msgspec.structs.replace(settings.training, micro_batch=BATCH))
    trainer, batch = Trainer.new(connect4.info, whole), batches_of(connect4, 1)[0]
    train(trainer, [batch])
    checkpoint = untrained(connect4.info, whole)
    network = ResNet(network_shape(connect4.info, whole.network))
    network.load_state_dict(checkpoint.weights)
    network.train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.01, weight_decay=whole.training.weight_decay)
    policy, outcome, future = network(torch.from_numpy(batch.planes))
    masked = policy.masked_fill(~torch.from_numpy(batch.legal), -1e9)
    loss = torch.nn.functional.cross_entropy(masked, torch.from_numpy(batch.policy))
    loss = loss + torch.nn.functional.cross_entropy(outcome, torch.from_numpy(batch.outcome))
    planes = connect4.info.num_planes
    loss = loss + planes * torch.nn.functional.binary_cross_entropy(future.sigmoid(), torch.from_numpy(batch.future))
    loss.backward()
    torch.nn.utils.clip_grad_norm_(network.parameters(), whole.training.gradient_clip)
    optimizer.step()
    for name, tensor in network.state_dict().items():
        found = trainer.checkpoint(round_number=1).weights[name]
        torch.testing.assert_close(found, tensor, rtol=1e-4, atol=2e-5, msg=name)


@pytest.mark.slow
@pytest.mark.parametrize(("mode", "ranks"), [("data", 4), ("pipeline", 2)])
def test_a_round_trained_twice_with_the_same_plan_gives_the_same_bits(connect4, shared, tmp_path, mode, ranks):
    """In ranks that stay, and in fresh ones that go on from the file."""
    batches = batches_of(connect4, 6)
    first = shared(mode, ranks)
    train(first, batches[:3])
    middle = first.save_model(tmp_path / "1.pt")
    first.load(middle)
    train(first, batches[3:])
    again = Trainer.from_file(tmp_path / "1.pt")
    train(again, batches[3:])
    prints = [trainer.checkpoint(round_number=2).card.fingerprint for trainer in (first, again)]
    again.shutdown()
    assert prints[0] == prints[1] != middle.card.fingerprint


def test_the_checkpoint_is_that_of_serial_training(connect4, shared, tmp_path):
    """A model trained on ranks goes on in one process, and says how it was trained."""
    trainer = shared("pipeline", 2)
    train(trainer, batches_of(connect4, 2))
    checkpoint = trainer.save_model(tmp_path / "model.pt")
    assert checkpoint.trained["mode"] == "pipeline"
    assert checkpoint.trained["as_asked"]
    serial = Trainer.from_file(tmp_path / "model.pt")
    serial.configure_parallel("serial")
    assert serial.train_on_samples(batches_of(connect4, 1)[0]).total > 0
    assert serial.steps == 3


# --- the manager -------------------------------------------------------------------------------------------------


def test_the_plan_can_be_switched_between_rounds(connect4, settings):
    trainer, batch = Trainer.new(connect4.info, settings), batches_of(connect4, 1)[0]
    assert (trainer.is_parallel, trainer.worker_count) == (False, 1)
    trainer.train_on_samples(batch)
    trainer.configure_parallel("data", 2)
    assert (trainer.is_parallel, trainer.worker_count) == (True, 2)
    trainer.train_on_samples(batch)
    pids = trainer._executor.pids
    assert all(map(is_running, pids))
    under_way = trainer.train_round(lambda: [batch])
    next(under_way)
    with pytest.raises(UsageError, match="in the middle of a round"):
        trainer.configure_parallel("serial")
    under_way.close()
    trainer.configure_parallel("serial")
    assert not any(map(is_running, pids))
    trainer.train_on_samples(batch)
    assert trainer.steps == 3


def test_abandoned_rounds_change_nothing(connect4, shared):
    trainer, batch = shared("data", 2), batches_of(connect4, 1)[0]
    before = trainer.checkpoint(round_number=1).card.fingerprint
    under_way = trainer.train_round(lambda: [batch] * 50)
    while next(under_way) is None:
        pass
    under_way.close()
    assert trainer.checkpoint(round_number=1).card.fingerprint == before


def test_models_that_can_be_written_and_read_are_parallelizable(connect4, settings):
    network = ResNet(network_shape(connect4.info, settings.network))
    assert is_parallelizable(network)
    network.forward = lambda planes: planes  # a closure cannot be sent to a rank
    assert not is_parallelizable(network)


def test_ranks_end_with_their_trainer(connect4, settings, tmp_path):
    """Killed by the system, a trainer leaves nothing behind."""
    import subprocess

    save_checkpoint(untrained(connect4.info, settings), tmp_path / "model.pt")
    code = (
        "import sys, time; from selfplay.training.train import Trainer; from selfplay.training.comparison import *;"
        "from selfplay.games.registry import load_rules;"
        f"t = Trainer.from_file({str(tmp_path / 'model.pt')!r}); t.configure_parallel('data', 2);"
        f"t.train_on_samples(random_batches(load_rules('connect4'), batch_size={BATCH}, count=1, future=True)[0]);"
        "print(*t._executor.pids, flush=True); time.sleep(100)"
    )
    trainer = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    with trainer:
        pids = list(map(int, trainer.stdout.readline().split()))
        assert len(pids) == 2
        assert all(map(is_running, pids))
        trainer.kill()
    deadline = time.monotonic() + 10
    while any(map(is_running, pids)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(is_running, pids))


# --- failures ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def undisturbed(connect4, shared):
    """Batches, and the fingerprint of a round on them with two ranks."""
    batches, trainer = batches_of(connect4, 8), shared("data", 2)
    assert len(train(trainer, batches)) == 8
    return batches, trainer.checkpoint(round_number=1).card.fingerprint


@pytest.fixture(scope="module")
def faulty(connect4, settings, no_rank_is_left, tmp_path_factory):
    """`faulty(order)` gives an untrained trainer whose ranks fail as ordered: see faulty_rank.py."""
    order, info = tmp_path_factory.mktemp("faulty") / "order", connect4.info
    trainer = trainer_of(connect4, settings, "data", 2)
    shape, command = network_shape(info, settings.network), (sys.executable, str(FAULTY), str(order))
    trainer._make_executor = lambda plan: RankGroup(shape, settings.training, plan, launcher=LocalLauncher(command))

    def give(text):
        order.write_text(text)
        trainer.load(untrained(info, trainer._start.settings))
        return trainer

    yield give
    trainer.shutdown()


def train_and_disturb(trainer, batches, signal_number):
    """Train a round while rank 1 gets a signal after its third step."""
    reports = []
    for report in trainer.train_round(lambda: batches):
        if report is not None:
            reports.append(report)
            if len(reports) == 3:
                os.kill(trainer._executor.pids[1], signal_number)
    return reports


@pytest.mark.slow
@pytest.mark.parametrize(("signal_number", "reason"), [(signal.SIGKILL, "signal 9"), (signal.SIGSTOP, "hangs")])
def test_a_killed_or_hung_rank_costs_a_restart_and_no_bit(shared, undisturbed, monkeypatch, signal_number, reason):
    monkeypatch.setattr(rank_group, "SILENCE_SECONDS", 3.0)
    batches, fingerprint = undisturbed
    trainer = shared("data", 2)
    reports = train_and_disturb(trainer, batches, signal_number)
    recoveries = [report for report in reports if isinstance(report, Recovery)]
    assert len(recoveries) == 1
    assert recoveries[0].same_bits
    assert "rank 1" in recoveries[0].reason
    assert reason in recoveries[0].reason
    assert len(reports) - reports.index(recoveries[0]) - 1 == 8
    assert trainer.checkpoint(round_number=1).card.fingerprint == fingerprint


@pytest.mark.slow
def test_a_rank_that_loops_for_ever_is_replaced(faulty, undisturbed, monkeypatch):
    monkeypatch.setattr(rank_group, "SHORTEST_PATIENCE_SECONDS", 3.0)
    batches, fingerprint = undisturbed
    trainer = faulty("loop 1 4")
    reports = train(trainer, batches)
    assert "no answer" in next(report for report in reports if isinstance(report, Recovery)).reason
    assert trainer.checkpoint(round_number=1).card.fingerprint == fingerprint


def test_out_of_memory_halves_the_groups_and_goes_on(faulty, undisturbed):
    reports = train(faulty("memory 1 4"), undisturbed[0])
    assert [report.failure for report in reports] == [""] * 8
    assert [report.ranks[0].micro_batch for report in reports] == [10] * 3 + [5] * 5


def test_batches_that_never_fit_are_left_out_by_all(faulty, undisturbed):
    trainer = faulty("always_memory 1 4")
    reports = train(trainer, undisturbed[0])
    assert [bool(report.failure) for report in reports] == [False] * 3 + [True] * 5
    assert "MemoryError" in reports[3].failure
    assert trainer.steps == 3


def test_out_of_memory_in_the_last_backward_pass_starts_again_with_smaller_groups(faulty, undisturbed):
    trainer = faulty("memory_at_the_end 1 4")
    reports = train(trainer, undisturbed[0])
    recovered = next(report for report in reports if isinstance(report, Recovery))
    assert recovered.plan.micro_batch == 5
    assert not recovered.same_bits
    assert not trainer.checkpoint(round_number=1).trained["as_asked"]


@pytest.mark.slow
def test_ranks_that_keep_failing_are_done_without(connect4, settings, undisturbed, monkeypatch):
    """The same plan again, then serial: said, and written into the checkpoint."""
    monkeypatch.setattr(recovery, "ATTEMPTS_PER_PLAN", 2)
    batches, _ = undisturbed
    trainer = trainer_of(connect4, settings, "data", 2)
    recoveries, killed = [], set()
    for report in trainer.train_round(lambda: batches):
        if isinstance(report, Recovery):
            recoveries.append(report)
        elif isinstance(trainer._executor, RankGroup) and not killed.issuperset(trainer._executor.pids):
            killed.update(trainer._executor.pids)
            os.kill(trainer._executor.pids[1], signal.SIGKILL)
    assert [recovered.plan.mode for recovered in recoveries] == ["data", "serial"]
    assert "other bits" in str(recoveries[-1])
    trained = trainer.checkpoint(round_number=1).trained
    assert (trained["mode"], trained["as_asked"]) == ("serial", False)
    threads = msgspec.structs.replace(settings.training, threads=2)  # as many as the ranks had together
    serial = Trainer.new(connect4.info, msgspec.structs.replace(settings, training=threads))
    train(serial, batches)
    assert serial.checkpoint(round_number=1).card.fingerprint == trainer.checkpoint(round_number=1).card.fingerprint


@pytest.mark.parametrize(("mode", "ranks"), [("serial", 1), ("data", 2), ("pipeline", 2)])
def test_poisoned_samples_are_left_out_and_named(connect4, shared, mode, ranks):
    good = batches_of(connect4, 5)
    planes, legal, outcome = good[1].planes.copy(), good[2].legal.copy(), good[3].outcome.copy()
    planes[7, 0, 0, 0] = np.nan
    legal[3] = False
    outcome[0] = 1e38  # finite, and so is its loss, but not its gradient
    poisoned = [
        good[0],
        good[1]._replace(planes=planes),
        good[2]._replace(legal=legal),
        good[3]._replace(outcome=outcome),
        good[4],
        good[4]._replace(future=good[4].future[:, 1:]),
    ]
    trainer = shared(mode, ranks)
    failures = [report.failure for report in train(trainer, poisoned) if report.failure]
    assert len(failures) == 4
    assert any("future has shape" in failure for failure in failures)
    assert any("planes of sample 7 is" in failure for failure in failures)
    assert any("sample 3 wants an illegal action" in failure for failure in failures)
    assert any("is not finite" in failure for failure in failures)
    found = trainer.checkpoint(round_number=1).card.fingerprint
    clean = shared(mode, ranks)
    train(clean, [good[0], good[4]])
    assert clean.checkpoint(round_number=1).card.fingerprint == found


def test_nothing_to_learn_from_is_an_error(connect4, settings):
    trainer, batch = Trainer.new(connect4.info, settings), batches_of(connect4, 1)[0]
    with (
        pytest.warns(RuntimeWarning, match="1 of 1 batches were left out"),
        pytest.raises(TrainingError, match="no batch could be processed"),
    ):
        trainer.train_on_samples(batch._replace(weight=np.zeros_like(batch.weight)))


def test_a_stopped_rank_does_not_block_the_end(connect4, shared):
    """shutdown() asks, waits its grace, then ends a stopped rank by force."""
    trainer, batch = shared("data", 2), batches_of(connect4, 1)[0]
    trainer.train_on_samples(batch)
    pids = trainer._executor.pids
    os.kill(pids[0], signal.SIGSTOP)
    done = threading.Thread(target=trainer.shutdown, args=(1.0,))
    done.start()
    done.join(15)
    assert not done.is_alive()
    assert not any(map(is_running, pids))
