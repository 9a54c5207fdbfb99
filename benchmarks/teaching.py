"""Teaching networks from a run's games alone: what the supervised benchmarks share (`networks.py`, `lessons.py`).

The newest window of a run of Connect Four, minutes of training on it on all cores, and what came of them, against
perfect play. Step sizes fall to nothing along a cosine, or the moving average of the weights is judged. Letters: n
positions.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from selfplay.arena.positions import PositionSet
from selfplay.games.game import Rules
from selfplay.machine import multiplies_bfloat16
from selfplay.network.resnet import NetworkShape, ResNet
from selfplay.rundir.facts import ModelsOnDisk
from selfplay.rundir.gates import PlayingModels
from selfplay.rundir.layout import RunLayout
from selfplay.samples.collector import RunIdentity
from selfplay.samples.pool import Samples, TrainingDataPool
from selfplay.settings import Settings, TrainingSettings
from selfplay.training.adamw import AdamW
from selfplay.training.learner import average_decay, hidden_weights
from selfplay.training.loss import future_losses, outcome_losses, policy_losses
from selfplay.training.muon import Muon

SPEED_STEPS = 12  # that tell how many fit into the time; the first of them warm up
STEP_SIZE = 0.004  # AdamW's
AVERAGED = TrainingSettings(average_decay=0.997)  # as in the preset of half an hour


class Optimizer(NamedTuple):
    """How a network's weights are moved."""

    weight_decay: float = 1e-4  # AdamW's
    muon: float = 0.0  # step size of Muon for the weights of the blocks; 0 = AdamW moves them too
    muon_decay: float = 0.0
    is_averaged: bool = False  # one step size, and what is judged is the moving average


class Games:
    """The newest window of a run."""

    def __init__(self, layout: RunLayout, settings: Settings, rules: Rules) -> None:
        playing = PlayingModels(layout, ModelsOnDisk(layout), settings.selfplay)
        identity = RunIdentity.of(settings, rules, playing.plays)
        self.pool = TrainingDataPool(lambda: layout.batch_files, identity, settings.training, future=True)
        self.pool.collect()
        self.round = layout.newest_round()
        self.window = self.pool.window(self.round)
        self.positions = len(self.window.learnt)

    def minibatches(self, steps: int) -> Iterator[Samples]:
        """The same for everybody, as far as they go."""
        return self.pool.minibatches(self.window, steps=steps, rng=np.random.default_rng(0))


def usual_loss(answers: list[Tensor], batch: Samples) -> Tensor:
    """Losses [n] of a network's answers, as runs have them."""
    _, legal, policy, outcome, _, end = map(torch.from_numpy, batch)
    losses = policy_losses(answers[0], legal, policy) + outcome_losses(answers[1], outcome)
    if len(answers) > 2:
        losses = losses + AVERAGED.future_weight * future_losses(answers[2], end)
    return losses


class Course(NamedTuple):
    """What is taught, and how."""

    batches: Callable[[int], Iterator[Any]]  # so many minibatches, with `planes`; the same ones at every call
    optimizer: Optimizer = Optimizer()
    loss: Callable[[list[Tensor], Any], Tensor] = usual_loss  # [n] of answers and a minibatch


def fresh(kind: Callable[[NetworkShape], ResNet], shape: NetworkShape) -> ResNet:
    """A network that has learnt nothing."""
    torch.manual_seed(0)
    return kind(shape).to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]  # stub gap


def steps_within(make: Callable[[], ResNet], course: Course, *, minutes: float) -> int:
    """How many steps of a course fit into so many minutes, by the first few."""
    trial = fit(make(), course, SPEED_STEPS)
    return max(1, round(60 * minutes / float(np.median(trial[SPEED_STEPS // 2 :]))))


def taught(make: Callable[[], ResNet], course: Course, *, steps: int) -> tuple[ResNet, dict[str, int]]:
    """A network after so many steps of a course, and what these took."""
    network = make()
    spent = fit(network, course, steps)
    size = len(next(course.batches(1)).planes)
    done = {"steps": steps, "seconds": round(sum(spent)), "samples_per_second": round(steps * size / sum(spent))}
    return network.eval(), done


def fit(network: ResNet, course: Course, steps: int) -> list[float]:
    """Train so many steps; seconds of each. What is averaged ends as its average."""
    optimizer = course.optimizer
    hidden = hidden_weights(network) if optimizer.muon else {}
    others = {name: parameter for name, parameter in network.named_parameters() if name not in hidden}
    adamw, muon = AdamW(others, weight_decay=optimizer.weight_decay), Muon(hidden, weight_decay=optimizer.muon_decay)
    average = AveragedModel(network, multi_avg_fn=moved, use_buffers=True) if optimizer.is_averaged else None
    spent, began = [], time.perf_counter()
    network.train()
    for step, batch in enumerate(course.batches(steps)):
        planes = torch.from_numpy(batch.planes).contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16, enabled=multiplies_bfloat16()):
            answers = [each.float() for each in network(planes)]
        network.zero_grad()
        course.loss(answers, batch).mean().backward()  # type: ignore[no-untyped-call]  # torch's stubs leave it out
        share = 1.0 if optimizer.is_averaged else (1 + math.cos(math.pi * step / steps)) / 2
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
