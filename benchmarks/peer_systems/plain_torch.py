"""The loop that a textbook writes: PyTorch in eager mode, a tree of Python objects, one evaluation per simulation."""

from __future__ import annotations

import math
import time

import numpy as np
import torch
from driver import NETWORK_BLOCKS, NETWORK_CHANNELS, SIMULATIONS, serve
from torch import nn

ROWS, COLUMNS = 6, 7
C_PUCT, NOISE_FRACTION, NOISE_ALPHA = 1.5, 0.25, 1.0


class Block(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels), nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels),
        )  # fmt: skip

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return torch.relu(features + self.body(features))


class Network(nn.Module):
    """The network that all systems play with."""

    def __init__(self, blocks: int, channels: int) -> None:
        super().__init__()
        self.tower = nn.Sequential(
            nn.Conv2d(2, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels), nn.ReLU(),
            *(Block(channels) for _ in range(blocks)),
        )  # fmt: skip
        self.policy = self._head(channels, nn.Linear(16 * ROWS * COLUMNS, COLUMNS))
        last = nn.Linear(16 * ROWS * COLUMNS, 64), nn.ReLU(), nn.Linear(64, 1), nn.Tanh()
        self.value = self._head(channels, *last)

    def forward(self, planes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        features = self.tower(planes)
        return self.policy(features), self.value(features)

    @staticmethod
    def _head(channels: int, *last: nn.Module) -> nn.Sequential:
        return nn.Sequential(nn.Conv2d(channels, 16, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU(), nn.Flatten(), *last)


class Position:
    """A board; 1 = stones of the player to move, -1 = the other's."""

    def __init__(self, board: np.ndarray) -> None:
        self.board = board

    def legal(self) -> list[int]:
        return [column for column in range(COLUMNS) if self.board[0, column] == 0]

    def after(self, column: int) -> tuple[Position, float | None]:
        """The position for the other player, and the result for the one who moved, None where it goes on."""
        board = self.board.copy()
        row = max(row for row in range(ROWS) if board[row, column] == 0)
        board[row, column] = 1
        result = 1.0 if wins(board, row, column) else 0.0 if (board[0] != 0).all() else None
        return Position(-board), result

    def planes(self) -> np.ndarray:
        return np.stack([self.board == 1, self.board == -1]).astype(np.float32)


def wins(board: np.ndarray, row: int, column: int) -> bool:
    for down, right in ((0, 1), (1, 0), (1, 1), (1, -1)):
        length = 1
        for sign in (-1, 1):
            r, c = row + sign * down, column + sign * right
            while 0 <= r < ROWS and 0 <= c < COLUMNS and board[r, c] == 1:
                length, r, c = length + 1, r + sign * down, c + sign * right
        if length >= 4:
            return True
    return False


class Node:
    def __init__(self, position: Position | None, value: float, priors: dict[int, float]) -> None:
        self.position, self.value, self.priors = position, value, priors
        self.visits, self.total = dict.fromkeys(priors, 0), dict.fromkeys(priors, 0.0)
        self.children: dict[int, Node] = {}

    def choose(self) -> int:
        root = math.sqrt(sum(self.visits.values()) + 1)

        def score(action: int) -> float:
            visits = self.visits[action]
            mean = self.total[action] / visits if visits else 0.0
            return mean + C_PUCT * self.priors[action] * root / (1 + visits)

        return max(self.priors, key=score)


class PlainTorch:
    """One game after another."""

    def __init__(self) -> None:
        torch.set_num_threads(1)
        torch.manual_seed(0)
        self.games = self.moves = self.simulations = self.evaluations = 0
        self._network = Network(NETWORK_BLOCKS, NETWORK_CHANNELS).eval()
        self._rng = np.random.default_rng(0)
        self._begin()

    def _begin(self) -> None:
        self._position = Position(np.zeros((ROWS, COLUMNS), np.int8))

    @torch.inference_mode()
    def _evaluated(self, position: Position) -> Node:
        logits, value = self._network(torch.from_numpy(position.planes())[None])
        legal = position.legal()
        weights = torch.softmax(logits[0, legal], 0).tolist()
        return Node(position, float(value), dict(zip(legal, weights, strict=True)))

    def _simulate(self, node: Node) -> float:
        """The value of a simulation from the node, for its player to move."""
        action = node.choose()
        if action not in node.children:
            assert node.position is not None
            position, result = node.position.after(action)
            if result is None:
                node.children[action] = self._evaluated(position)
                value = -node.children[action].value
            else:
                node.children[action] = Node(None, -result, {})
                value = result
        elif node.children[action].position is None:
            value = -node.children[action].value
        else:
            value = -self._simulate(node.children[action])
        node.visits[action] += 1
        node.total[action] += value
        return value

    def advance(self) -> None:
        root = self._evaluated(self._position)
        noise = self._rng.dirichlet([NOISE_ALPHA] * len(root.priors))
        for action, share in zip(root.priors, noise, strict=True):
            root.priors[action] = (1 - NOISE_FRACTION) * root.priors[action] + NOISE_FRACTION * share
        for _ in range(SIMULATIONS):
            self._simulate(root)
        self.simulations += SIMULATIONS
        self.moves += 1
        weights = np.array(list(root.visits.values())) / SIMULATIONS
        self._position, result = self._position.after(int(self._rng.choice(list(root.visits), p=weights)))
        if result is not None:
            self.games += 1
            self._begin()

    def warm(self, seconds: float) -> None:
        start = time.perf_counter()
        while time.perf_counter() - start < seconds:
            self.advance()

    @torch.inference_mode()
    def bare(self, seconds: float) -> float:
        """One position at a time, as the loop has them."""
        planes, passes, start = torch.zeros(1, 2, ROWS, COLUMNS), 0, time.perf_counter()
        while (now := time.perf_counter()) - start < seconds:
            self._network(planes)
            passes += 1
        return passes / (now - start)


if __name__ == "__main__":
    serve(PlainTorch())
