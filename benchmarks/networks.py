"""What networks of several kinds and sizes learn from the same games in the same time, against perfect play.

    python benchmarks/networks.py --data data --positions FOLDER
    python benchmarks/networks.py --data data --positions FOLDER --minutes 2 --only "5 x 64" "6 x 64 bottleneck"
    python benchmarks/networks.py --data data --positions FOLDER --minutes 2 --optimizers
    python benchmarks/networks.py --data data --positions FOLDER --minutes 2 --optimizers --average

Takes the newest window of a run of Connect Four, and trains each network from nothing on it for so many minutes on all
cores, with a step size that falls to nothing along a cosine; with `--average`, as runs do, which know no end: with one
step size, and the moving average of the weights is judged. With `--optimizers` the same network is trained in several
ways instead. Then: mistakes of the bare policy and squared error of the values, means over the six public test sets
(see connect4_strength.py), samples/s in training and forward passes/s in play (64 positions at once, one core, ONNX
Runtime in 8 and in 32 bits).
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
import onnxruntime
import torch
from connect4_strength import test_sets
from machine import facts
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from selfplay.arena.positions import PositionSet
from selfplay.config import settings_of_run
from selfplay.games.game import Rules
from selfplay.games.random_play import random_positions
from selfplay.games.registry import load_rules
from selfplay.machine import multiplies_bfloat16, usable_cores
from selfplay.network.checkpoint import network_shape
from selfplay.network.onnx_export import to_onnx
from selfplay.network.quantization import Ranges, measured_ranges
from selfplay.network.resnet import NetworkShape, ResidualBlock, ResNet, of_playing
from selfplay.rundir.facts import ModelsOnDisk
from selfplay.rundir.gates import PlayingModels
from selfplay.rundir.layout import RunLayout
from selfplay.samples.collector import RunIdentity
from selfplay.samples.pool import Samples, TrainingDataPool
from selfplay.settings import NetworkSettings, Settings, TrainingSettings
from selfplay.training.adamw import AdamW
from selfplay.training.learner import average_decay, hidden_weights
from selfplay.training.loss import future_losses, outcome_losses, policy_losses
from selfplay.training.muon import Muon

SPEED_STEPS = 12  # that tell how many fit into the time; the first of them warm up
PLAY_BATCH = 64
STEP_SIZE = 0.004  # AdamW's
AVERAGED = TrainingSettings(average_decay=0.997)  # as in the preset of half an hour
console = Console(stderr=True, width=120)


class SqueezeExcitation(nn.Module):
    """Channels scaled and shifted by what the whole board holds (Hu et al. 2018, as in Leela Chess Zero)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.squeeze, self.excite = nn.Linear(channels, channels // 4), nn.Linear(channels // 4, 2 * channels)

    def forward(self, features: Tensor) -> Tensor:
        scale, shift = self.excite(torch.relu(self.squeeze(features.mean((2, 3))))).chunk(2, 1)
        scaled: Tensor = features * torch.sigmoid(scale)[:, :, None, None] + shift[:, :, None, None]
        return scaled


class SqueezeNet(ResNet):
    """The network with squeeze and excitation in every block."""

    def __init__(self, shape: NetworkShape) -> None:
        super().__init__(shape)
        for block in self.tower:
            assert isinstance(block, ResidualBlock)
            assert isinstance(block.second, nn.Sequential)
            block.second.append(SqueezeExcitation(shape.settings.channels))


class Blind(ResNet):
    """The network without the planes that say who began and which row a cell is in."""

    def forward(self, planes: Tensor) -> tuple[Tensor, ...]:
        seen = planes.clone()
        seen[:, 2:] = 0
        return super().forward(seen)


NARROW = {"block": "bottleneck"}
NETWORKS: dict[str, tuple[type[ResNet], dict[str, Any]]] = {
    "4 x 32": (ResNet, {"blocks": 4, "channels": 32}),
    "4 x 32, end foretold": (ResNet, {"blocks": 4, "channels": 32, "future": True}),
    "4 x 32, stones alone": (Blind, {"blocks": 4, "channels": 32}),
    "4 x 32, squeeze and excitation": (SqueezeNet, {"blocks": 4, "channels": 32}),
    "4 x 32, heads twice as wide": (
        ResNet,
        {"blocks": 4, "channels": 32, "value_channels": 32, "policy_channels": 32, "value_hidden": 128},
    ),
    "8 x 32": (ResNet, {"blocks": 8, "channels": 32}),
    "8 x 32, end foretold": (ResNet, {"blocks": 8, "channels": 32, "future": True}),
    "6 x 48, end foretold": (ResNet, {"blocks": 6, "channels": 48, "future": True}),
    "4 x 64, end foretold": (ResNet, {"blocks": 4, "channels": 64, "future": True}),
    "6 x 64, end foretold": (ResNet, {"blocks": 6, "channels": 64, "future": True}),
    "5 x 64": (ResNet, {"blocks": 5, "channels": 64}),
    "5 x 96": (ResNet, {"blocks": 5, "channels": 96}),
    "2 x 64 bottleneck": (ResNet, {"blocks": 2, "channels": 64, **NARROW}),
    "6 x 64 bottleneck": (ResNet, {"blocks": 6, "channels": 64, **NARROW}),
    "6 x 64 bottleneck, end foretold": (ResNet, {"blocks": 6, "channels": 64, "future": True, **NARROW}),
    "8 x 64 bottleneck": (ResNet, {"blocks": 8, "channels": 64, **NARROW}),
    "5 x 96 bottleneck": (ResNet, {"blocks": 5, "channels": 96, **NARROW}),
    "4 x 128 bottleneck": (ResNet, {"blocks": 4, "channels": 128, **NARROW}),
}


OPTIMIZED = "6 x 64 bottleneck"  # the network that `--optimizers` move, if no other is named


class Optimizer(NamedTuple):
    """How a network's weights are moved."""

    weight_decay: float = 1e-4  # AdamW's
    muon: float = 0.0  # step size of Muon for the weights of the blocks; 0 = AdamW moves them too
    muon_decay: float = 0.0


OPTIMIZERS = {
    "AdamW": Optimizer(),
    "AdamW, weight decay 0.5": Optimizer(weight_decay=0.5),
    "Muon": Optimizer(muon=0.02),
    "Muon, weight decay 0.3": Optimizer(muon=0.02, muon_decay=0.3),
}


class Games:
    """The newest window of a run."""

    def __init__(self, layout: RunLayout, settings: Settings, rules: Rules) -> None:
        playing = PlayingModels(layout, ModelsOnDisk(layout), settings.selfplay)
        identity = RunIdentity.of(settings, rules, playing.plays)
        self._pool = TrainingDataPool(lambda: layout.batch_files, identity, settings.training, future=True)
        self._pool.collect()
        self.round = max(layout.rounds_with_models())
        self._window = self._pool.window(self.round)
        self.positions = len(self._window.weight)

    def minibatches(self, steps: int) -> Iterator[Samples]:
        """The same for everybody, as far as they go."""
        return iter(self._pool.minibatches(self._window, steps=steps, rng=np.random.default_rng(0)))


def learnt(name: str, games: Games, rules: Rules, sets: list[PositionSet], arguments: argparse.Namespace) -> Any:
    """What became of a network, and what it costs."""
    kind, sizes = NETWORKS[arguments.network if arguments.optimizers else name]
    optimizer = OPTIMIZERS[name] if arguments.optimizers else Optimizer()
    shape = network_shape(rules.info, msgspec.structs.replace(NetworkSettings(), **sizes))

    def fresh() -> ResNet:
        torch.manual_seed(0)
        return kind(shape).to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]  # stub gap

    trial = fit(fresh(), games.minibatches(SPEED_STEPS), SPEED_STEPS, optimizer, is_averaged=arguments.average)
    step_seconds = np.median(trial[SPEED_STEPS // 2 :])
    steps = max(1, round(60 * arguments.minutes / step_seconds))
    network = fresh()
    spent = fit(network, games.minibatches(steps), steps, optimizer, is_averaged=arguments.average)
    return {
        "steps": steps,
        "seconds": round(sum(spent)),
        "samples_per_second": round(steps * arguments.batch / sum(spent)),
        "forward_passes_per_second": play_speeds(network, rules) if kind is ResNet else None,
        **judge(network.eval(), rules, sets),
    }


def fit(
    network: ResNet, batches: Iterator[Samples], steps: int, optimizer: Optimizer, *, is_averaged: bool
) -> list[float]:
    """Train so many steps; seconds of each. What is averaged ends as its average."""
    hidden = hidden_weights(network) if optimizer.muon else {}
    others = {name: parameter for name, parameter in network.named_parameters() if name not in hidden}
    adamw, muon = AdamW(others, weight_decay=optimizer.weight_decay), Muon(hidden, weight_decay=optimizer.muon_decay)
    average = AveragedModel(network, multi_avg_fn=moved, use_buffers=True) if is_averaged else None
    spent, began = [], time.perf_counter()
    network.train()
    for step, batch in enumerate(batches):
        planes, legal, policy, outcome, _, end = map(torch.from_numpy, batch)
        with torch.autocast("cpu", torch.bfloat16, enabled=multiplies_bfloat16()):
            answers = [each.float() for each in network(planes.contiguous(memory_format=torch.channels_last))]
        losses = policy_losses(answers[0], legal, policy) + outcome_losses(answers[1], outcome)
        if network.shape.future_planes:
            losses = losses + AVERAGED.future_weight * future_losses(answers[2], end)
        network.zero_grad()
        losses.mean().backward()  # type: ignore[no-untyped-call]  # torch's stubs leave it out
        share = 1.0 if is_averaged else (1 + math.cos(math.pi * step / steps)) / 2
        adamw.step(share * STEP_SIZE)
        muon.step(share * optimizer.muon)
        if average is not None:
            average.update_parameters(network)
        spent.append(time.perf_counter() - began)
        began = time.perf_counter()
    if average is not None:
        network.load_state_dict(average.module.state_dict())
    return spent


@torch.no_grad()
def moved(averages: Any, current: Any, count: Any) -> None:
    """The moving average of a run's training, a step further."""
    get_ema_multi_avg_fn(average_decay(AVERAGED, int(count)))(averages, current, count)  # type: ignore[no-untyped-call]  # stub gap


def judge(network: ResNet, rules: Rules, sets: list[PositionSet]) -> dict[str, float]:
    """Mistakes of the bare policy and errors of the values, means over the sets."""
    wrong, errors = [], []
    for positions in sets:
        with torch.no_grad():
            policy, outcome, *_ = network(torch.from_numpy(rules.encode(positions.states)))
        legal = rules.describe(positions.states.copy()).legal
        choice = np.where(legal, policy.numpy(), -np.inf).argmax(axis=1)
        chances = torch.softmax(outcome, -1).numpy()
        wrong.append((positions.outcomes[np.arange(len(choice)), choice] < positions.best).mean())
        errors.append(((chances[:, 0] - chances[:, 2] - positions.best) ** 2).mean())
    return {"mistakes": float(np.mean(wrong)), "value_error": float(np.mean(errors))}


def play_speeds(network: ResNet, rules: Rules) -> dict[str, int]:
    """Forward passes/s of one core, by the precision of the tower."""
    planes = rules.encode(random_positions(rules, PLAY_BATCH, seed=0))
    plain = ResNet(network.shape.playing)
    plain.load_state_dict(of_playing(network.state_dict()))
    ranges = measured_ranges(plain, torch.from_numpy(planes))
    return {"int8": passes_per_second(plain, ranges, planes), "float32": passes_per_second(plain, None, planes)}


def passes_per_second(network: ResNet, ranges: Ranges | None, planes: npt.NDArray[np.float32]) -> int:
    """Median of nine looks of a tenth of a second."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(to_onnx(network.eval(), {}, ranges), options, ["CPUExecutionProvider"])
    speeds = []
    for _ in range(10):
        began, runs = time.perf_counter(), 0
        while time.perf_counter() - began < 0.1:
            session.run(None, {"planes": planes})
            runs += 1
        speeds.append(runs * len(planes) / (time.perf_counter() - began))
    return round(float(np.median(speeds[1:])))


def table_of(found: dict[str, Any]) -> Table:
    """What was found so far."""
    table = Table(box=SIMPLE_HEAD)
    for column in ("network", "steps", "samples/s", "passes/s int8", "float32", "policy mistakes", "value error"):
        table.add_column(column, justify="left" if column == "network" else "right", no_wrap=True)
    for name, of in found.items():
        speeds = of["forward_passes_per_second"]
        shown = [f"{speeds[kind]:,}" for kind in ("int8", "float32")] if speeds else ["-", "-"]
        cells = [f"{of['steps']:,}", f"{of['samples_per_second']:,}", *shown]
        table.add_row(name, *cells, f"{of['mistakes']:.2%}", f"{of['value_error']:.3f}")
    return table


def main() -> None:
    """Train all, print tables on the way, then JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the run whose games are learnt")
    parser.add_argument("--positions", type=Path, required=True, help="folder of the test sets")
    parser.add_argument("--minutes", type=float, default=3.0, help="of training, each (default 3)")
    parser.add_argument("--only", nargs="+", choices=sorted(NETWORKS), metavar="NETWORK", help=", ".join(NETWORKS))
    parser.add_argument(
        "--optimizers", action="store_true", help=f"one network, of --only or {OPTIMIZED}, by {', '.join(OPTIMIZERS)}"
    )
    parser.add_argument("--average", action="store_true", help="one step size; judge the moving average of the weights")
    arguments = parser.parse_args()
    if arguments.optimizers and len(arguments.only or []) > 1:
        parser.error("--optimizers trains one network: name one with --only")
    arguments.network = (arguments.only or [OPTIMIZED])[0]
    torch.set_num_threads(usable_cores())
    layout = RunLayout(arguments.data)
    settings = settings_of_run(layout.settings)
    arguments.batch = settings.training.batch_size
    rules = load_rules(settings.game.name)
    sets, games, found = test_sets(arguments.positions, rules, arguments.data), Games(layout, settings, rules), {}
    for name in OPTIMIZERS if arguments.optimizers else arguments.only or NETWORKS:
        found[name] = learnt(name, games, rules, sets, arguments)
        console.print(table_of(found))
    about: dict[str, Any] = {"round": games.round, "window": games.positions}
    if arguments.optimizers:
        about["network"] = arguments.network
    how = {"minutes": arguments.minutes, "average": arguments.average}
    json.dump({"machine": facts(), **about, **how, "networks": found}, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
