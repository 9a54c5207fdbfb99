"""Train a small network on perfect tic-tac-toe, serial and parallel, and compare.

    python examples/parallel_training.py                   about a minute on two cores
    python examples/parallel_training.py --passes 2        quicker, learns less

Makes its own labelled dataset: every position that can come up, with the best moves and the value of perfect play,
found by full search. No self-play, no files: only what `Trainer` needs. Then it trains the same network on the same
batches with each plan and prints how fast each was, how well the network plays, and how far the models are apart.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from selfplay.games.game import ONGOING, Rules
from selfplay.games.registry import load_rules
from selfplay.network.checkpoint import Checkpoint, playing_network
from selfplay.samples.pool import Samples
from selfplay.settings import NetworkSettings, Settings, TrainingSettings
from selfplay.training.train import Trainer

PLANS = (("serial", 1), ("data", 2), ("pipeline", 2))


@dataclass(frozen=True)
class Solved:
    """A position of which perfect play is known."""

    planes: np.ndarray  # [P, H, W]
    legal: np.ndarray  # [A] bool
    values: np.ndarray  # [A] of each action for the player to move; -2 where illegal

    @property
    def value(self) -> int:
        """1 won, 0 drawn, -1 lost for the player to move."""
        return int(self.values.max())


def solve(rules: Rules) -> list[Solved]:
    """Every ongoing position that can come up, solved."""
    solved: dict[bytes, Solved] = {}

    def visit(state: np.ndarray, legal: np.ndarray, mover: int) -> int:
        key = state.tobytes()
        if key not in solved:
            values = np.full(len(legal), -2)
            for action in np.flatnonzero(legal):
                after = state.copy()
                known = rules.advance(after, np.array([action], np.int32))
                if known.outcomes[0] != ONGOING:
                    values[action] = known.outcomes[0]
                else:
                    value = visit(after, known.legal[0], int(known.to_move[0]))
                    values[action] = value if known.to_move[0] == mover else -value
            solved[key] = Solved(rules.encode(state)[0], legal, values)
        return solved[key].value

    start = rules.start(1)
    known = rules.describe(start)
    visit(start, known.legal[0], int(known.to_move[0]))
    return list(solved.values())


def dataset(positions: list[Solved]) -> Samples:
    """The best moves, each equally likely, and the outcome of perfect play."""
    values = np.stack([position.values for position in positions])
    best = (values == values.max(axis=1, keepdims=True)).astype(np.float32)
    outcome = np.eye(3, dtype=np.float32)[1 - values.max(axis=1)]
    planes, legal = (np.stack([getattr(position, name) for position in positions]) for name in ("planes", "legal"))
    policy = best / best.sum(axis=1, keepdims=True)
    return Samples(planes, legal, policy, outcome, np.ones(len(positions), np.float32), planes[:, :0])


def share_of_right_moves(checkpoint: Checkpoint, data: Samples) -> float:
    """In how many positions the network's first choice, without any search, is a best move."""
    with torch.inference_mode():
        logits, _ = playing_network(checkpoint)(torch.from_numpy(data.planes))
    chosen = np.where(data.legal, logits.numpy(), -np.inf).argmax(axis=1)
    return float((data.policy[np.arange(len(chosen)), chosen] > 0).mean())


@dataclass(frozen=True)
class Result:
    """What a plan came to."""

    after_one_step: Checkpoint
    checkpoint: Checkpoint
    loss: float  # mean over the last pass
    rate: float  # samples/s


def train(mode: str, ranks: int, settings: Settings, data: Samples, passes: int) -> Result:
    """One step, then so many passes over the data."""
    rng = np.random.default_rng(0)  # the same order for every plan
    trainer = Trainer.new(load_rules("tictactoe").info, settings)
    trainer.configure_parallel(mode, ranks)
    trainer.train_on_samples(Samples._make(column[:512] for column in data))  # starts the ranks
    after_one_step = trainer.checkpoint(round_number=1)
    started = time.perf_counter()
    for _ in range(passes):
        order = rng.permutation(len(data.planes))
        losses = trainer.train_on_samples(Samples._make(column[order] for column in data))
    seconds = time.perf_counter() - started
    checkpoint = trainer.checkpoint(round_number=1)
    trainer.shutdown()
    return Result(after_one_step, checkpoint, losses.total, passes * len(data.planes) / seconds)


def difference(a: Checkpoint, b: Checkpoint) -> float:
    """The largest difference of a weight."""
    return max((b.weights[name] - tensor).abs().max().item() for name, tensor in a.weights.items() if tensor.ndim)


def main() -> None:
    """Solve, train with each plan, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--passes", type=int, default=12, help="passes over all positions (default 12)")
    arguments = parser.parse_args()
    console = Console()
    data = dataset(solve(load_rules("tictactoe")))
    console.print(f"{len(data.planes):,} positions of tic-tac-toe, solved")
    settings = Settings(
        network=NetworkSettings(blocks=2, channels=32),
        training=TrainingSettings(batch_size=512, micro_batch=128, learning_rate=0.005),
    )
    table = Table("plan", "samples/s", "speed-up", "loss", "right moves", "difference after a step")
    first: Result | None = None
    for mode, ranks in PLANS:
        with console.status(f"training: {mode} on {ranks}"):
            result = train(mode, ranks, settings, data, arguments.passes)
        first = first or result
        apart = difference(first.after_one_step, result.after_one_step)
        right = share_of_right_moves(result.checkpoint, data)
        speed = (f"{result.rate:,.0f}", f"{result.rate / first.rate:.2f}")
        table.add_row(f"{mode}:{ranks}", *speed, f"{result.loss:.4f}", f"{right:.1%}", f"{apart:.1e}")
    console.print(table)
    console.print(
        "Every plan makes the same step, but for the order of float sums: after one step weights differ in their last "
        "digits, later steps carry that on. Where ranks bring little: this network is small, and they pay for every "
        "exchange; `selfplay bench training` measures yours."
    )


if __name__ == "__main__":
    main()
