"""What more can be learnt from the same games: further targets, and positions that count more than others.

    python benchmarks/lessons.py --data data --positions FOLDER
    python benchmarks/lessons.py --data data --positions FOLDER --minutes 4 --only "as runs learn" "the reply"

Takes the newest window of a run of Connect Four, and trains its kind of network from nothing on it for so many minutes
on all cores, as runs do and with one lesson more at a time, whose head play does not need; with a step size that falls
to nothing along a cosine. Then: mistakes of the bare policy and squared error of the values, means over the six public
test sets (see connect4_strength.py). Letters: n positions, A actions.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from connect4_strength import test_sets
from machine import facts
from refusals import errors_in_a_line
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from teaching import Course, Games, fresh, judge, steps_within, taught, usual_loss
from torch import Tensor, nn
from torch.nn import functional

from selfplay.arena.player import open_model
from selfplay.config import settings_of_run
from selfplay.games.game import Rules
from selfplay.games.registry import load_rules
from selfplay.machine import usable_cores
from selfplay.network.checkpoint import network_shape
from selfplay.network.resnet import NetworkShape, ResNet, convolution
from selfplay.rundir.layout import RunLayout
from selfplay.samples.batch_file import plies_to_learn, read_batch
from selfplay.samples.pool import Draw, Samples
from selfplay.samples.positions import dense
from selfplay.training.loss import policy_losses

# KataGo, "Other Methods Implemented in KataGo", for the soft policy and the weight of surprise.
SOFTNESS, SOFT_WEIGHT = 0.25, 8.0  # power of the probabilities, and how much the loss counts
SURPRISE_SHARE = 0.5  # of all weight that goes by surprise
REPLY_WEIGHT = 0.15  # of the opponent's reply (Wu 2019, 3.4)
LEFT_SCALE, LEFT_WEIGHT = 20.0, 1.0  # plies that count as one, and how much the loss counts (Leela Chess Zero)
LEAST = 1e-9  # probability that counts as none
console = Console(stderr=True, width=120)


class Page(NamedTuple):
    """A minibatch, and what is known beyond it."""

    samples: Samples
    reply: Samples  # the game's next positions, or where there is none the same ones
    has_reply: npt.NDArray[np.float32]  # [n] 1 = there is one
    plies_left: npt.NDArray[np.float32]  # [n] up to the last move that the player to move makes
    surprise: npt.NDArray[np.float32]  # [n] of `surprises`, 1 on average over the window

    @property
    def planes(self) -> npt.NDArray[np.float32]:
        """What the network sees."""
        return self.samples.planes


def pages(games: Games, surprise: npt.NDArray[np.float32], steps: int) -> Iterator[Page]:
    """So many, the same for everybody. Positions of a game follow each other in the window, and players take turns."""
    window, pool = games.window, games.pool
    for draw in pool.draws(window, steps=steps, rng=np.random.default_rng(0)):
        ahead = window.positions.ahead[draw.rows]
        has_reply = ahead > 0
        yield Page(
            pool.samples(window, draw),
            pool.samples(window, Draw(draw.rows + has_reply, draw.symmetries)),
            has_reply.astype(np.float32),
            ahead.astype(np.float32),
            surprise[draw.rows],
        )


def surprises(run: RunLayout, games: Games, rules: Rules) -> npt.NDArray[np.float32]:
    """How far the policy of each position of the window [n] is from what the network held likely that played it: the
    Kullback-Leibler divergence, over its mean."""
    lengths: Counter[int] = Counter()
    for batch in map(read_batch, run.batch_files()):
        lengths[batch.round] += sum(len(plies_to_learn(game)) for game in batch.games)
    window, number, last = games.window, games.round, games.positions
    found = np.empty(last)
    while last > 0:  # the rounds lie in order, the oldest in part
        rows = np.arange(max(0, last - lengths[number]), last)
        player = open_model(run.model(number - 1), rules, simulations=1)
        prior = player.glance(window.positions.states[rows]).priors
        target = dense(window.positions, window.ends, rows, actions=prior.shape[1])
        found[rows] = (target * np.log(np.maximum(target, LEAST) / np.maximum(prior, LEAST))).sum(axis=1)
        last, number = int(rows[0]), number - 1
    normal: npt.NDArray[np.float32] = (found / found.mean()).astype(np.float32)
    return normal


# --- lessons: losses [n] of a network's answers to a page ---------------------------------------------------------


def as_runs_learn(answers: list[Tensor], page: Page) -> Tensor:
    """Policy, outcome and the board at the end."""
    return usual_loss(answers, page.samples)


def by_surprise(answers: list[Tensor], page: Page) -> Tensor:
    """The same, where search found something else than the network thought counting more."""
    weight = (1 - SURPRISE_SHARE) + SURPRISE_SHARE * torch.from_numpy(page.surprise)
    return weight * usual_loss(answers, page.samples)


def soft_policy(answers: list[Tensor], page: Page) -> Tensor:
    """And the policy made flatter: what good moves beside the best are worth."""
    flat = torch.from_numpy(page.samples.policy) ** SOFTNESS
    target, legal = flat / flat.sum(dim=1, keepdim=True), torch.from_numpy(page.samples.legal)
    return usual_loss(answers[:-1], page.samples) + SOFT_WEIGHT * policy_losses(answers[-1], legal, target)


def reply(answers: list[Tensor], page: Page) -> Tensor:
    """And the policy of the opponent's next move."""
    losses = policy_losses(answers[-1], torch.from_numpy(page.reply.legal), torch.from_numpy(page.reply.policy))
    return usual_loss(answers[:-1], page.samples) + REPLY_WEIGHT * torch.from_numpy(page.has_reply) * losses


def plies_left(answers: list[Tensor], page: Page) -> Tensor:
    """And how long the game goes on."""
    target = torch.from_numpy(page.plies_left) / LEFT_SCALE
    losses = functional.huber_loss(answers[-1][:, 0], target, reduction="none")
    return usual_loss(answers[:-1], page.samples) + LEFT_WEIGHT * losses


class Lesson(NamedTuple):
    """What is learnt, and with which further head."""

    loss: Callable[[list[Tensor], Page], Tensor]
    head: Literal["none", "policy", "number"] = "none"


LESSONS = {
    "as runs learn": Lesson(as_runs_learn),
    "surprise counts more": Lesson(by_surprise),
    "a soft policy": Lesson(soft_policy, "policy"),
    "the reply": Lesson(reply, "policy"),
    "plies left": Lesson(plies_left, "number"),
}


class Pupil(ResNet):
    """A network with one head more."""

    def __init__(self, shape: NetworkShape, *, outputs: int) -> None:
        super().__init__(shape)
        channels = shape.settings.policy_channels
        self.further = nn.Sequential(
            convolution(shape.settings.channels, channels, 1),
            nn.Flatten(),
            nn.Linear(channels * shape.board[0] * shape.board[1], outputs),
        )

    @property
    def heads(self) -> list[nn.Module]:
        """The usual ones, then that."""
        return [*super().heads, self.further]


def kind_for(lesson: Lesson, shape: NetworkShape) -> Callable[[NetworkShape], ResNet]:
    """The networks that take the lesson."""
    if lesson.head == "none":
        return ResNet
    return partial(Pupil, outputs=shape.actions if lesson.head == "policy" else 1)


def table_of(found: dict[str, Any]) -> Table:
    """What was found so far."""
    table = Table(box=SIMPLE_HEAD)
    for column in ("lesson", "steps", "samples/s", "policy mistakes", "value error"):
        table.add_column(column, justify="left" if column == "lesson" else "right", no_wrap=True)
    for name, of in found.items():
        cells = [f"{of['steps']:,}", f"{of['samples_per_second']:,}", f"{of['mistakes']:.2%}"]
        table.add_row(name, *cells, f"{of['value_error']:.3f}")
    return table


@errors_in_a_line()
def main() -> None:
    """Teach all, print tables on the way, then JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the run whose games are learnt")
    parser.add_argument("--positions", type=Path, required=True, help="folder of the test sets")
    parser.add_argument("--minutes", type=float, default=1.5, help="of training, each (default 1.5)")
    parser.add_argument("--only", nargs="+", choices=sorted(LESSONS), metavar="LESSON", help=", ".join(LESSONS))
    arguments = parser.parse_args()
    torch.set_num_threads(usable_cores())
    layout = RunLayout(arguments.data)
    settings = settings_of_run(layout.settings)
    if settings.training.duplicates != 1.0:
        parser.error("in this run equal positions are made one (training.duplicates): replies cannot be told")
    if settings.search.has_quick_moves:
        parser.error("in this run moves are left out (search.full_share, search.decided_value): replies cannot be told")
    if settings.selfplay.lag or settings.selfplay.gate:
        parser.error("in this run a round is not played by the model before it (selfplay.lag, selfplay.gate)")
    rules = load_rules(settings.game.name)
    sets, games, found = test_sets(arguments.positions, rules, arguments.data), Games(layout, settings, rules), {}
    shape = network_shape(rules.info, settings.network)
    batches = partial(pages, games, surprises(layout, games, rules))
    for name in arguments.only or LESSONS:
        kind, course = kind_for(LESSONS[name], shape), Course(batches, loss=LESSONS[name].loss)
        make = partial(fresh, kind, shape)
        network, done = taught(make, course, steps=steps_within(make, course, minutes=arguments.minutes))
        found[name] = {**done, **judge(network, rules, sets)}
        console.print(table_of(found))
    about = {"round": games.round, "window": games.positions, "minutes": arguments.minutes}
    json.dump({"machine": facts(), **about, "lessons": found}, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
