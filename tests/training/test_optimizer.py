"""AdamW, held against torch's own class."""

import subprocess
import sys

import pytest
import torch
from torch import nn

from selfplay.settings import TrainingSettings
from selfplay.training.adamw import AdamW
from selfplay.training.learner import average_decay, step_share

STEP_SIZE, WEIGHT_DECAY = 0.01, 0.1


@pytest.fixture
def network():
    torch.manual_seed(0)
    parts = nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(32, 2)
    return nn.Sequential(*parts).to(memory_format=torch.channels_last)


def learn(network, optimizer, steps):
    for step in range(steps):
        torch.manual_seed(step)
        network(torch.randn(5, 3, 4, 4)).square().sum().backward()
        optimizer.step(STEP_SIZE) if isinstance(optimizer, AdamW) else optimizer.step()
        network.zero_grad()


def of(network):
    return AdamW(dict(network.named_parameters()), weight_decay=WEIGHT_DECAY)


def weights_of(network):
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def test_steps_are_those_of_torch(network):
    start = weights_of(network)
    learn(network, torch.optim.AdamW(network.parameters(), lr=STEP_SIZE, weight_decay=WEIGHT_DECAY, fused=True), 5)
    expected = weights_of(network)
    network.load_state_dict(start)
    learn(network, of(network), 5)
    assert all(torch.equal(expected[name], tensor) for name, tensor in weights_of(network).items())


def test_a_state_goes_on_in_the_same_bits_however_it_lies_in_memory(network):
    optimizer = of(network)
    assert optimizer.state() == {}
    learn(network, optimizer, 3)
    middle = weights_of(network)
    state = {name: {field: t.contiguous() for field, t in kept.items()} for name, kept in optimizer.state().items()}
    learn(network, optimizer, 2)
    expected = weights_of(network)
    network.load_state_dict(middle)
    again = of(network)
    again.load({**state, "a layer of another rank": {}})
    learn(network, again, 2)
    assert all(torch.equal(expected[name], tensor) for name, tensor in weights_of(network).items())


def test_parameters_without_gradients_stay(network):
    optimizer = of(network)
    network[3].requires_grad_(requires_grad=False)
    before = network[3].weight.clone()
    learn(network, optimizer, 1)
    assert torch.equal(network[3].weight, before)
    assert set(optimizer.state()) == {"0.weight", "0.bias"}


def test_step_sizes_fall_with_the_root_of_the_steps():
    falling = TrainingSettings(constant_steps=100)
    assert [step_share(falling, steps) for steps in (0, 100, 400, 10_000)] == [1.0, 1.0, 0.5, 0.1]
    assert step_share(TrainingSettings(), 10_000) == 1.0


def test_the_average_reaches_back_a_share_of_all_steps_where_that_is_further():
    growing = TrainingSettings(average_decay=0.9, average_share=0.1)
    assert [average_decay(growing, steps) for steps in (0, 50, 1000)] == pytest.approx([0.1, 51 / 60, 0.99])
    assert average_decay(TrainingSettings(average_decay=0.9), 1000) == 0.9


def test_a_process_that_trains_does_not_load_torchs_compiler():
    """Two seconds of every start. If this fails with a newer torch, look at what it imports now."""
    code = """
import sys
from selfplay.games.registry import load_rules
from selfplay.settings import Settings
from selfplay.training.comparison import random_batches
from selfplay.training.train import Trainer
rules = load_rules("tictactoe")
trainer = Trainer.new(rules.info, Settings())
trainer.train_on_samples(random_batches(rules, batch_size=8, count=1)[0])
print({"torch._dynamo", "sympy"} & set(sys.modules) or "neither")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "neither\n"
