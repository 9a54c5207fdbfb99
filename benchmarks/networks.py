"""What networks of several kinds and sizes learn from the same games in the same time, against perfect play.

    python benchmarks/networks.py --data data --positions FOLDER
    python benchmarks/networks.py --data data --positions FOLDER --minutes 2 --only "5 x 64" "6 x 64 bottleneck"
    python benchmarks/networks.py --data data --positions FOLDER --steps 1000 --only "4 x 64, end foretold"
    python benchmarks/networks.py --data data --positions FOLDER --minutes 2 --optimizers
    python benchmarks/networks.py --data data --positions FOLDER --minutes 2 --optimizers --average

Takes the newest window of a run of Connect Four, and trains each network from nothing on it for so many minutes on all
cores, with a step size that falls to nothing along a cosine; with `--average`, as runs do, which know no end: with one
step size, and the moving average of the weights is judged. With `--steps` each is trained for so many steps instead,
however fast it or the machine is. With `--optimizers` the same network is trained in several ways. Then: mistakes of
the bare policy and squared error of the values, means over the six public test sets (see connect4_strength.py),
samples/s in training and forward passes/s in play (64 positions at once, one core, ONNX Runtime in 8 and in 32 bits).
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import onnxruntime
import torch
from connect4_strength import test_sets
from machine import facts
from refusals import errors_in_a_line
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from teaching import Course, Games, Optimizer, fresh, judge, steps_within, taught
from torch import Tensor, nn

from selfplay.config import settings_of_run
from selfplay.games.game import Rules
from selfplay.games.random_play import random_positions
from selfplay.games.registry import load_rules
from selfplay.machine import usable_cores
from selfplay.network.checkpoint import network_shape
from selfplay.network.onnx_export import to_onnx
from selfplay.network.quantization import Observations, observed
from selfplay.network.resnet import NetworkShape, ResidualBlock, ResNet, of_playing
from selfplay.rundir.layout import RunLayout
from selfplay.settings import NetworkSettings

PLAY_BATCH = 64
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


class GlobalBias(nn.Module):
    """Channels shifted by mean and maximum of all over the board: global pooling (Wu 2019, 3.3)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mix = nn.Linear(2 * channels, channels)

    def forward(self, features: Tensor) -> Tensor:
        pooled = torch.cat([features.mean((2, 3)), features.amax((2, 3))], dim=1)
        shifted: Tensor = features + self.mix(pooled)[:, :, None, None]
        return shifted


class Extended(ResNet):
    """The network with a part more, made for so many channels, at the end of every block."""

    def __init__(self, shape: NetworkShape, *, part: Callable[[int], nn.Module]) -> None:
        super().__init__(shape)
        for block in self.tower:
            assert isinstance(block, ResidualBlock)
            assert isinstance(block.second, nn.Sequential)
            block.second.append(part(shape.settings.channels))


class Blind(ResNet):
    """The network without the planes that say who began and which row a cell is in."""

    def forward(self, planes: Tensor) -> tuple[Tensor, ...]:
        seen = planes.clone()
        seen[:, 2:] = 0
        return super().forward(seen)


NARROW = {"block": "bottleneck"}
SQUEEZING, POOLING = partial(Extended, part=SqueezeExcitation), partial(Extended, part=GlobalBias)
NETWORKS: dict[str, tuple[Callable[[NetworkShape], ResNet], dict[str, Any]]] = {
    "4 x 32": (ResNet, {"blocks": 4, "channels": 32}),
    "4 x 32, end foretold": (ResNet, {"blocks": 4, "channels": 32, "future": True}),
    "4 x 32, stones alone": (Blind, {"blocks": 4, "channels": 32}),
    "4 x 32, squeeze and excitation": (SQUEEZING, {"blocks": 4, "channels": 32}),
    "4 x 32, heads twice as wide": (
        ResNet,
        {"blocks": 4, "channels": 32, "value_channels": 32, "policy_channels": 32, "value_hidden": 128},
    ),
    "8 x 32": (ResNet, {"blocks": 8, "channels": 32}),
    "8 x 32, end foretold": (ResNet, {"blocks": 8, "channels": 32, "future": True}),
    "6 x 48, end foretold": (ResNet, {"blocks": 6, "channels": 48, "future": True}),
    "4 x 64, end foretold": (ResNet, {"blocks": 4, "channels": 64, "future": True}),
    "4 x 64, end foretold, SE": (SQUEEZING, {"blocks": 4, "channels": 64, "future": True}),
    "4 x 64, end foretold, global pooling": (POOLING, {"blocks": 4, "channels": 64, "future": True}),
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
OPTIMIZERS = {
    "AdamW": Optimizer(),
    "AdamW, weight decay 0.5": Optimizer(weight_decay=0.5),
    "Muon": Optimizer(muon=0.02),
    "Muon, weight decay 0.3": Optimizer(muon=0.02, muon_decay=0.3),
}


def play_speeds(network: ResNet, rules: Rules) -> dict[str, int]:
    """Forward passes/s of one core, by the precision of the tower."""
    planes = rules.encode(random_positions(rules, PLAY_BATCH, seed=0))
    plain = ResNet(network.shape.playing)
    plain.load_state_dict(of_playing(network.state_dict()))
    seen = observed(plain, torch.from_numpy(planes))
    return {"int8": passes_per_second(plain, seen, planes), "float32": passes_per_second(plain, None, planes)}


def passes_per_second(network: ResNet, seen: Observations | None, planes: npt.NDArray[np.float32]) -> int:
    """Median of nine looks of a tenth of a second."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(to_onnx(network.eval(), {}, seen), options, ["CPUExecutionProvider"])
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


@errors_in_a_line()
def main() -> None:
    """Train all, print tables on the way, then JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the run whose games are learnt")
    parser.add_argument("--positions", type=Path, required=True, help="folder of the test sets")
    parser.add_argument("--minutes", type=float, default=3.0, help="of training, each (default 3)")
    parser.add_argument("--steps", type=int, help="of training, each, in place of minutes")
    parser.add_argument("--only", nargs="+", choices=sorted(NETWORKS), metavar="NETWORK", help=", ".join(NETWORKS))
    parser.add_argument(
        "--optimizers", action="store_true", help=f"one network, of --only or {OPTIMIZED}, by {', '.join(OPTIMIZERS)}"
    )
    parser.add_argument("--average", action="store_true", help="one step size; judge the moving average of the weights")
    arguments = parser.parse_args()
    if arguments.steps is not None and arguments.steps < 1:
        parser.error(f"--steps {arguments.steps}: expected at least 1")
    if arguments.optimizers and len(arguments.only or []) > 1:
        parser.error("--optimizers trains one network: name one with --only")
    optimized = (arguments.only or [OPTIMIZED])[0]
    torch.set_num_threads(usable_cores())
    layout = RunLayout(arguments.data)
    settings = settings_of_run(layout.settings)
    rules = load_rules(settings.game.name)
    sets, games, found = test_sets(arguments.positions, rules, arguments.data), Games(layout, settings, rules), {}
    for name in OPTIMIZERS if arguments.optimizers else arguments.only or NETWORKS:
        optimizer = (OPTIMIZERS[name] if arguments.optimizers else Optimizer())._replace(is_averaged=arguments.average)
        kind, sizes = NETWORKS[optimized if arguments.optimizers else name]
        shape = network_shape(rules.info, msgspec.structs.replace(NetworkSettings(), **sizes))
        course = Course(games.minibatches, optimizer)
        make = partial(fresh, kind, shape)
        steps = arguments.steps or steps_within(make, course, minutes=arguments.minutes)
        network, done = taught(make, course, steps=steps)
        speeds = play_speeds(network, rules) if kind is ResNet else None
        found[name] = {**done, "forward_passes_per_second": speeds, **judge(network, rules, sets)}
        console.print(table_of(found))
    about: dict[str, Any] = {"round": games.round, "window": games.positions}
    if arguments.optimizers:
        about["network"] = optimized
    budget = {"steps": arguments.steps} if arguments.steps else {"minutes": arguments.minutes}
    how = {**budget, "average": arguments.average}
    json.dump({"machine": facts(), **about, **how, "networks": found}, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
