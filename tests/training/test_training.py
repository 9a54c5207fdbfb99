import msgspec
import numpy as np
import pytest
import torch

from selfplay.errors import ModelError, TrainingError
from selfplay.network.checkpoint import load_checkpoint, playing_network, save_checkpoint, untrained
from selfplay.samples.pool import Samples
from selfplay.settings import TrainingSettings
from selfplay.training.loss import entropies, future_losses, outcome_losses, policy_losses
from selfplay.training.train import Trainer


def samples_of(rules, count=64, seed=0):
    """Positions after one move, with targets that follow from the move."""
    rng = np.random.default_rng(seed)
    cells = rng.integers(0, 9, count)
    states = np.concatenate([rules.replay([int(cell)])[0][-1:] for cell in cells])
    known = rules.describe(states.copy())
    policy = np.zeros((count, 9), np.float32)
    policy[np.arange(count), (cells + 1) % 9] = 1
    outcome = np.eye(3, dtype=np.float32)[cells % 3]
    planes = rules.encode(states)
    return Samples(planes, known.legal, policy, outcome, np.ones(count, np.float32), planes[:, :0])


def test_policy_loss_is_the_cross_entropy_over_legal_actions():
    logits = torch.tensor([[0.0, 1.0, 50.0], [2.0, 0.0, 0.0]])
    legal = torch.tensor([[True, True, False], [True, True, True]])
    target = torch.tensor([[0.25, 0.75, 0.0], [0.0, 0.0, 1.0]])
    first = -(0.25 * np.log(1 / (1 + np.e)) + 0.75 * np.log(np.e / (1 + np.e)))
    second = -np.log(1 / (np.exp(2) + 2))
    assert policy_losses(logits, legal, target).mean().item() == pytest.approx((first + second) / 2, rel=1e-6)


def test_gradients_of_illegal_actions_are_zero_and_finite():
    logits = torch.zeros(1, 3, requires_grad=True)
    policy_losses(logits, torch.tensor([[True, True, False]]), torch.tensor([[1.0, 0.0, 0.0]])).sum().backward()
    np.testing.assert_allclose(logits.grad, [[-0.5, 0.5, 0.0]])


def test_outcome_loss_and_entropy():
    assert outcome_losses(torch.zeros(2, 3), torch.eye(3)[:2]).mean().item() == pytest.approx(np.log(3))
    assert entropies(torch.tensor([[0.5, 0.5, 0.0], [1.0, 0.0, 0.0]])).mean().item() == pytest.approx(np.log(2) / 2)


def test_what_is_foretold_counts_per_cell_and_planes_as_probabilities():
    logits = torch.zeros(1, 2, 2, 3)
    assert future_losses(logits, torch.ones(1, 2, 2, 3)).item() == pytest.approx(2 * np.log(2))
    logits[0, 0, 1, 2] = 5.0
    target = torch.zeros(1, 2, 2, 3)
    wrong = np.log(1 + np.exp(5.0)) - np.log(2)
    assert future_losses(logits, target).item() == pytest.approx(2 * np.log(2) + wrong / 6, rel=1e-6)
    assert torch.equal(future_losses(logits, target - 7), future_losses(logits, target)), "no probability is below 0"
    assert torch.equal(future_losses(logits, target + 7), future_losses(logits, target + 1))
    assert future_losses(torch.zeros(3, 0, 2, 2), torch.zeros(3, 0, 2, 2)).tolist() == [0, 0, 0]


def test_the_board_at_the_end_is_learnt_where_the_network_foretells_it(tictactoe, small_settings):
    network = msgspec.structs.replace(small_settings.network, future=True)
    trainer = Trainer.new(tictactoe.info, msgspec.structs.replace(small_settings, network=network))
    samples = samples_of(tictactoe)
    wrong = r"future has shape \(32, 0, 3, 3\), expected \(32, 2, 3, 3\)"
    with pytest.warns(RuntimeWarning, match=wrong), pytest.raises(TrainingError, match=wrong):
        trainer.train_on_samples(samples)
    samples = samples._replace(future=samples.planes[:, ::-1].copy())
    first = trainer.train_on_samples(samples)
    for _ in range(100):
        last = trainer.train_on_samples(samples)
    assert last.future < 0.2 * first.future
    assert last.policy < first.policy


def test_training_lowers_the_loss(tictactoe, small_settings):
    trainer, samples = Trainer.new(tictactoe.info, small_settings), samples_of(tictactoe)
    first = trainer.train_on_samples(samples)
    assert first.policy == pytest.approx(np.log(8), abs=0.05)  # a fresh network prefers nothing; 8 moves are legal
    assert first.value == pytest.approx(np.log(3), abs=0.05)
    assert first.policy_floor == 0
    for _ in range(150):
        last = trainer.train_on_samples(samples)
    assert last.total < 0.5 * first.total


def test_what_was_learnt_is_what_plays(tictactoe, small_settings, tmp_path):
    """Through the checkpoint, its twin and the evaluator: the policy learnt comes out where it belongs."""
    from selfplay.evaluation.evaluator import Positions
    from selfplay.evaluation.onnx_evaluator import OnnxEvaluator

    trainer, samples = Trainer.new(tictactoe.info, small_settings), samples_of(tictactoe, 256)
    for _ in range(60):
        trainer.train_on_samples(samples)
    trainer.save_model(tmp_path / "model.pt")
    evaluator = OnnxEvaluator(tmp_path / "model.onnx", tictactoe.info)
    right = 0
    for cell in range(9):
        states, known = tictactoe.replay([cell])
        answer = evaluator.evaluate(Positions(tictactoe, states[-1:], known.legal[-1:], known.keys[-1:]))
        right += int(answer.priors[0].argmax()) == (cell + 1) % 9
        assert answer.values[0] == pytest.approx((1, 0, -1)[cell % 3], abs=0.5)
    assert right == 9


def test_the_same_training_gives_the_same_bits(tictactoe, small_settings, tmp_path):
    prints = []
    for run in range(2):
        trainer = Trainer.new(tictactoe.info, small_settings)
        for step in range(5):
            trainer.train_on_samples(samples_of(tictactoe, seed=step))
        prints.append(trainer.save_model(tmp_path / f"{run}.pt").card.fingerprint)
    assert prints[0] == prints[1]


def test_going_on_from_the_file_equals_going_on(tictactoe, small_settings, tmp_path):
    """Optimizer, average and step count all survive: stopping between two steps changes no bit."""
    whole, first = (Trainer.new(tictactoe.info, small_settings) for _ in range(2))
    for step in range(6):
        whole.train_on_samples(samples_of(tictactoe, seed=step))
        if step < 3:
            first.train_on_samples(samples_of(tictactoe, seed=step))
    first.save_model(tmp_path / "half.pt")
    second = Trainer.from_file(tmp_path / "half.pt")
    for step in range(3, 6):
        second.train_on_samples(samples_of(tictactoe, seed=step))
    assert second.steps == whole.steps
    assert second.save_model(tmp_path / "a.pt").card.fingerprint == whole.save_model(tmp_path / "b.pt").card.fingerprint


def test_a_network_grows_without_a_step_back(tictactoe, small_settings, tmp_path):
    """It says what it said; old blocks go on where they were, new ones learn; through the file, too."""
    network = msgspec.structs.replace(small_settings.network, blocks=3, first_blocks=1, growth_rounds=1)
    settings, samples = msgspec.structs.replace(small_settings, network=network), samples_of(tictactoe)
    trainer = Trainer.new(tictactoe.info, settings)
    trainer.train_on_samples(samples)
    small = trainer.save_model(tmp_path / "small.pt")
    trainer.grow(3)
    grown = trainer.checkpoint(round_number=1)
    assert (small.card.blocks, grown.card.blocks) == (1, 3)
    planes = torch.from_numpy(samples.planes)
    for before, after in zip(playing_network(small)(planes), playing_network(grown)(planes), strict=True):
        assert torch.equal(before, after)
    trainer.train_on_samples(samples)
    last = trainer.save_model(tmp_path / "last.pt")
    assert not torch.equal(last.weights["tower.2.first.0.weight"], grown.weights["tower.2.first.0.weight"])
    assert int(last.optimizer["tower.0.first.0.weight"]["step"]) == 4
    assert int(last.optimizer["tower.2.first.0.weight"]["step"]) == 2
    again = Trainer.from_file(tmp_path / "small.pt")
    again.grow(3)
    again.grow(2)  # it has more already
    again.train_on_samples(samples)
    assert again.checkpoint(round_number=2).card.fingerprint == load_checkpoint(tmp_path / "last.pt").card.fingerprint


def test_the_average_follows_the_weights(tictactoe, small_settings):
    trainer = Trainer.new(tictactoe.info, small_settings)
    start = trainer.checkpoint(round_number=0).average
    trainer.train_on_samples(samples_of(tictactoe, 32))
    decay = min(TrainingSettings().average_decay, 2 / 11)
    after = trainer.checkpoint(round_number=1)
    for name, tensor in after.weights.items():
        if tensor.is_floating_point():
            expected = decay * start[name] + (1 - decay) * tensor
            torch.testing.assert_close(after.average[name], expected)


def test_saved_models_name_their_parent(tictactoe, small_settings, tmp_path):
    checkpoint = untrained(tictactoe.info, small_settings)
    save_checkpoint(checkpoint, tmp_path / "0.pt")
    trainer = Trainer.from_file(tmp_path / "0.pt")
    trainer.train_on_samples(samples_of(tictactoe))
    trainer.save_model(tmp_path / "1.pt")
    card = load_checkpoint(tmp_path / "1.pt").card
    assert (card.round, card.parent) == (1, checkpoint.card.fingerprint)
    with pytest.raises(ModelError, match="no such model"):
        Trainer.from_file(tmp_path / "2.pt")


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_training_in_low_precision_learns_the_same(tictactoe, small_settings, precision):
    training = msgspec.structs.replace(small_settings.training, precision=precision)
    trainer = Trainer.new(tictactoe.info, msgspec.structs.replace(small_settings, training=training))
    samples = samples_of(tictactoe, 256)
    for _ in range(12):
        losses = trainer.train_on_samples(samples)
    assert losses.total < 2.2  # from 3.2
    dtypes = {tensor.dtype for tensor in trainer.checkpoint(round_number=1).weights.values()}
    assert dtypes == {torch.float32, torch.int64}


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("compiled", [False, True])
def test_training_on_a_gpu_learns_the_same(tictactoe, small_settings, compiled):
    training = msgspec.structs.replace(small_settings.training, device="cuda", compile=compiled)
    trainer = Trainer.new(tictactoe.info, msgspec.structs.replace(small_settings, training=training))
    assert trainer.plan.precision == "bfloat16"
    for _ in range(12):
        losses = trainer.train_on_samples(samples_of(tictactoe, 256))
    assert losses.total < 2.2
