"""Muon, held against torch's own class, against what it must do, and through checkpoints."""

from dataclasses import replace

import msgspec
import pytest
import torch
from torch import nn

from selfplay.network.checkpoint import load_checkpoint
from selfplay.network.resnet import NetworkShape, ResNet
from selfplay.settings import NetworkSettings, TrainingSettings
from selfplay.training.comparison import random_batches
from selfplay.training.learner import hidden_weights
from selfplay.training.muon import Muon, orthogonal
from selfplay.training.train import Trainer

STEP_SIZE, WEIGHT_DECAY = 0.02, 0.1


def learn(parameters, optimizer, numbers):
    """Steps whose gradients depend on their number."""
    for number in numbers:
        give_gradients(parameters, number)
        optimizer.step(STEP_SIZE)


def give_gradients(parameters, number):
    generator = torch.Generator().manual_seed(number)
    for parameter in parameters.values():
        parameter.grad = torch.randn(parameter.shape, generator=generator)


def fresh():
    """Wide, tall and square ones, and convolutions as training lays them out."""
    torch.manual_seed(0)
    shapes = {"wide": (4, 9), "tall": (9, 4), "also tall": (9, 4), "square": (6, 6)}
    parameters = {name: nn.Parameter(torch.randn(shape)) for name, shape in shapes.items()}
    kernels = torch.randn(8, 4, 3, 3).contiguous(memory_format=torch.channels_last)
    return parameters | {"convolution": nn.Parameter(kernels)}


def test_the_directions_stay_and_their_strengths_become_one():
    torch.manual_seed(0)
    for rows, columns in ((6, 6), (4, 30), (30, 4)):
        matrices = torch.randn(3, rows, columns) * torch.tensor([1e-3, 1.0, 1e3])[:, None, None]
        found = orthogonal(matrices)
        assert found.shape == matrices.shape
        strengths = torch.linalg.svdvals(found)
        assert 0.6 < strengths.min()
        assert strengths.max() < 1.3
        left, _, right = torch.linalg.svd(matrices, full_matrices=False)
        inner = left.mT @ found @ right.mT  # diagonal where the singular vectors are those of before
        torch.testing.assert_close(inner, torch.diag_embed(torch.diagonal(inner, dim1=1, dim2=2)), rtol=0, atol=1e-3)
    assert torch.equal(orthogonal(torch.zeros(1, 3, 3)), torch.zeros(1, 3, 3))


def test_steps_are_those_of_torch():
    """But for bfloat16, in which torch's class makes matrices orthogonal."""
    start, ours, theirs = fresh(), fresh(), fresh()
    flat = {name: nn.Parameter(each.detach().flatten(1).clone()) for name, each in theirs.items()}
    optimizer = torch.optim.Muon(flat.values(), lr=STEP_SIZE, weight_decay=WEIGHT_DECAY)
    learn(ours, Muon(ours, weight_decay=WEIGHT_DECAY), range(5))
    for number in range(5):
        give_gradients(theirs, number)
        for name, parameter in flat.items():
            parameter.grad = theirs[name].grad.flatten(1)
        optimizer.step()
    for name, parameter in ours.items():
        moved = (parameter - start[name]).norm()
        assert (parameter.flatten(1) - flat[name]).norm() < 0.02 * moved, name


def test_a_state_goes_on_in_the_same_bits_however_it_lies_in_memory():
    parameters = fresh()
    optimizer = Muon(parameters, weight_decay=WEIGHT_DECAY)
    learn(parameters, optimizer, range(3))
    state = {name: {field: t.contiguous() for field, t in kept.items()} for name, kept in optimizer.state().items()}
    middle = {name: nn.Parameter(each.detach().clone()) for name, each in parameters.items()}
    again = Muon(middle, weight_decay=WEIGHT_DECAY)
    again.load({**state, "a layer of another rank": {}})
    learn(parameters, optimizer, (3, 4))
    learn(middle, again, (3, 4))
    assert all(torch.equal(each, middle[name]) for name, each in parameters.items())


def test_parameters_without_gradients_stay():
    parameters = fresh()
    before = parameters["wide"].detach().clone()
    parameters["wide"].grad = None
    optimizer = Muon(parameters, weight_decay=WEIGHT_DECAY)
    parameters["tall"].grad = torch.ones(9, 4)
    optimizer.step(STEP_SIZE)
    assert torch.equal(parameters["wide"], before)
    assert set(optimizer.state()) == {"tall"}


@pytest.mark.parametrize("block", ["basic", "bottleneck"])
def test_it_moves_the_convolutions_of_blocks_alone(block):
    names = set(hidden_weights(ResNet(NetworkShape(3, (4, 4), 5, NetworkSettings(blocks=1, channels=8, block=block)))))
    assert names == {f"tower.0.{layer}.0.weight" for layer in ("first", "second", "third", "fourth")[: len(names)]}
    assert len(names) == {"basic": 2, "bottleneck": 4}[block]


def test_a_model_keeps_its_momentum_and_may_change_its_optimizer(tictactoe, small_settings, tmp_path):
    """From file to file as in one go; what another optimizer kept of a parameter is let go."""
    batches = random_batches(tictactoe, batch_size=16, count=4)
    settings = with_muon(small_settings, 0.02)
    whole, first = Trainer.new(tictactoe.info, settings), Trainer.new(tictactoe.info, settings)
    for number, batch in enumerate(batches):
        whole.train_on_samples(batch)
        if number < 2:
            first.train_on_samples(batch)
    half = first.save_model(tmp_path / "half.pt")
    hidden = {name for name in half.weights if name.startswith("tower.") and half.weights[name].ndim > 1}
    assert {name for name, kept in half.optimizer.items() if set(kept) == {"momentum"}} == hidden != set()
    second = Trainer.from_file(tmp_path / "half.pt")
    for batch in batches[2:]:
        second.train_on_samples(batch)
    assert second.save_model(tmp_path / "a.pt").card.fingerprint == whole.save_model(tmp_path / "b.pt").card.fingerprint
    changed = Trainer.new(tictactoe.info, small_settings)
    changed.load(replace(load_checkpoint(tmp_path / "half.pt"), settings=with_muon(small_settings, 0.0)))
    changed.train_on_samples(batches[2])
    kept = changed.checkpoint(round_number=1).optimizer
    assert {int(fields["step"]) for name, fields in kept.items() if name in hidden} == {1}
    assert {int(fields["step"]) for name, fields in kept.items() if name not in hidden} == {3}


def with_muon(settings, step_size):
    training: TrainingSettings = msgspec.structs.replace(settings.training, muon_learning_rate=step_size)
    return msgspec.structs.replace(settings, training=training)
