"""The network: a residual tower with a policy head and a win/draw/loss head.

After Silver et al. 2017 ("Mastering the game of Go without human knowledge", Methods: Neural network architecture);
the three-way outcome head as in Leela Zero and KataGo; narrow blocks after He et al. 2016 ("Deep residual learning for
image recognition", 4.1) and KataGo, whose networks have more than one 3 × 3 convolution between those of 1 × 1. Batch
normalisation, because ONNX Runtime folds it into the convolutions and play pays nothing for it. Sums and ReLUs are made
in place: backward passes need what went into a normalisation, not what came out, and training moves less memory.
A head for training alone foretells the board at the end of the game: a target for every cell, as the owners of points
are in KataGo (Wu 2019, "Accelerating Self-Play Learning in Go", 4.1), that any game has.
Letters: n positions, P planes, H × W board, A actions, C channels.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import msgspec
import torch
from torch import Tensor, nn

from selfplay.settings import NetworkSettings


@dataclass(frozen=True)
class NetworkShape:
    """What decides the tensors of a network."""

    planes: int  # P
    board: tuple[int, int]  # (H, W)
    actions: int  # A
    settings: NetworkSettings

    @property
    def future_planes(self) -> int:
        """Planes of the board at the end that are foretold: P or none."""
        return self.planes if self.settings.future else 0

    @property
    def playing(self) -> NetworkShape:
        """Without what training alone needs."""
        return replace(self, settings=msgspec.structs.replace(self.settings, future=False))


class ResNet(nn.Module):
    """planes [n, P, H, W] -> (policy logits [n, A], outcome logits [n, 3]: win, draw, loss of the player to move), and
    as a third, where the shape has them, logits [n, P, H, W] of the planes at the end of the game."""

    def __init__(self, shape: NetworkShape) -> None:
        super().__init__()
        settings, cells = shape.settings, shape.board[0] * shape.board[1]
        self.shape = shape
        self.stem = convolution(shape.planes, settings.channels, 3)
        block = ResidualBlock if settings.block == "basic" else BottleneckBlock
        self.tower = nn.Sequential(*(block(settings.channels) for _ in range(settings.blocks)))
        self.policy = nn.Sequential(
            convolution(settings.channels, settings.policy_channels, 1),
            nn.Flatten(),
            nn.Linear(settings.policy_channels * cells, shape.actions),
        )
        self.outcome = nn.Sequential(
            convolution(settings.channels, settings.value_channels, 1),
            nn.Flatten(),
            nn.Linear(settings.value_channels * cells, settings.value_hidden),
            nn.ReLU(inplace=True),
            nn.Linear(settings.value_hidden, 3),
        )
        if shape.future_planes:
            self.future = nn.Conv2d(settings.channels, shape.future_planes, 1)

    @property
    def heads(self) -> list[nn.Module]:
        """What makes an answer of the tower's features, in order of the answers."""
        return [self.policy, self.outcome, *([self.future] if self.shape.future_planes else [])]

    def forward(self, planes: Tensor) -> tuple[Tensor, ...]:
        features = self.tower(self.stem(planes))
        return tuple(head(features) for head in self.heads)


class Block(nn.Module):
    """Layers with a bypass around them, and a ReLU where both meet."""

    activation: nn.Module

    @torch.no_grad()
    def close(self) -> None:
        """Let nothing through but what goes past: what comes in, which is never negative, comes out."""
        last = list(self.layers().values())[-1]
        assert isinstance(last, nn.Sequential)
        assert isinstance(last[-1], nn.BatchNorm2d)
        last[-1].weight.zero_()
        last[-1].bias.zero_()

    def layers(self) -> dict[str, nn.Module]:
        """By name, in order: convolution, normalisation and, but for the last, ReLU."""
        return {name: part for name, part in self.named_children() if name != "activation"}

    def forward(self, features: Tensor) -> Tensor:
        inner = features
        for layer in self.layers().values():
            inner = layer(inner)
        inner += features
        activated: Tensor = self.activation(inner)
        return activated


class ResidualBlock(Block):
    """Two convolutions of 3 × 3."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = convolution(channels, channels, 3)
        self.second = convolution(channels, channels, 3)[:2]
        self.activation = nn.ReLU(inplace=True)


class BottleneckBlock(Block):
    """Two convolutions of 3 × 3 over half of the channels, between two of 1 × 1."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        narrow = channels // 2
        self.first = convolution(channels, narrow, 1)
        self.second = convolution(narrow, narrow, 3)
        self.third = convolution(narrow, narrow, 3)
        self.fourth = convolution(narrow, channels, 1)[:2]
        self.activation = nn.ReLU(inplace=True)


def convolution(inputs: int, outputs: int, size: int) -> nn.Sequential:
    """Convolution, batch normalisation, ReLU; the board keeps its size."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, size, padding=size // 2, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
    )


def new_network(shape: NetworkShape, seed: int) -> ResNet:
    """A network with fresh weights that depend on the seed alone.

    The heads' last layers start at zero: an untrained network then says "all moves alike, anything may happen"
    and the first games explore evenly, instead of following the noise of the first weights.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = ResNet(shape)
    for head in (network.policy[-1], network.outcome[-1]):
        assert isinstance(head, nn.Linear)
        nn.init.zeros_(head.weight)
        nn.init.zeros_(head.bias)
    return network


def of_playing(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Those of a network's tensors that play."""
    return {name: tensor for name, tensor in tensors.items() if not name.startswith("future.")}


def count_blocks(names: Iterable[str]) -> int:
    """Blocks of the network that has tensors of these names."""
    return len({name.split(".")[1] for name in names if name.startswith("tower.")})


def further_blocks(shape: NetworkShape, *, before: int, seed: int) -> dict[str, Tensor]:
    """Tensors by name of the blocks that a network of `before` blocks lacks; they change nothing until they learn.

    A block whose last normalisation is zero is the identity (Goyal et al. 2017, "Accurate, Large Minibatch SGD", 5.1);
    that a network may so become deeper without a step back: Chen, Goodfellow, Shlens 2016, "Net2Net".
    """
    network = new_network(shape, seed)
    for block in list(network.tower)[before:]:
        assert isinstance(block, Block)
        block.close()
    names = tuple(f"tower.{number}." for number in range(before, shape.settings.blocks))
    return {name: tensor.clone() for name, tensor in network.state_dict().items() if name.startswith(names)}
