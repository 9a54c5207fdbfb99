"""`Trainer`: a model that learns from samples. Knows nothing of processes, pools or rounds' files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from selfplay.config import Settings
from selfplay.games.game import GameInfo
from selfplay.games.registry import load_rules
from selfplay.network.card import check_game
from selfplay.network.checkpoint import (
    Checkpoint,
    load_checkpoint,
    make_checkpoint,
    network_shape,
    save_checkpoint,
    untrained,
)
from selfplay.network.resnet import ResNet
from selfplay.samples.pool import Samples
from selfplay.training.loss import Losses, entropy, outcome_loss, policy_loss


class Trainer:
    """Trains the network of a checkpoint.

    >>> trainer = Trainer.from_file("model.pt")
    >>> losses = trainer.train_on_samples(samples)
    >>> trainer.save_model("better.pt")

    On the CPU the same checkpoint, samples and number of threads give the same bits.
    """

    def __init__(self, checkpoint: Checkpoint, info: GameInfo) -> None:
        self._start = checkpoint
        self._info = info
        self._settings = checkpoint.settings.training
        torch.set_num_threads(self._settings.threads or 1)
        torch.use_deterministic_algorithms(True)
        self.steps = checkpoint.steps
        self._network = ResNet(network_shape(info, checkpoint.settings.network))
        self._network.load_state_dict(checkpoint.weights)
        self._network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # stub gap
        self._network.train()
        self._average = {name: tensor.clone() for name, tensor in checkpoint.average.items()}
        self._optimizer = torch.optim.AdamW(
            self._network.parameters(),
            lr=self._settings.learning_rate,
            weight_decay=self._settings.weight_decay,
        )
        if checkpoint.optimizer:
            self._optimizer.load_state_dict(checkpoint.optimizer)

    @classmethod
    def from_file(cls, path: str | Path, *, rules_spec: str | None = None) -> Trainer:
        """The trainer of a saved model. Raises `ModelError`, also where the game's rules are not the model's."""
        checkpoint = load_checkpoint(Path(path))
        info = load_rules(rules_spec or checkpoint.card.spec).info
        check_game(checkpoint.card, info, Path(path))
        return cls(checkpoint, info)

    @classmethod
    def new(cls, info: GameInfo, settings: Settings) -> Trainer:
        """The trainer of an untrained model."""
        return cls(untrained(info, settings), info)

    def train_on_samples(self, samples: Samples) -> Losses:
        """Optimizer steps over samples [n], `batch_size` at a time in the order given; mean losses before each."""
        size = self._settings.batch_size
        parts = [Samples._make(c[i : i + size] for c in samples) for i in range(0, len(samples.planes), size)]
        losses = np.array([self._step(part) for part in parts])
        weights = np.array([len(part.planes) for part in parts])
        policy, value, floor = (float(mean) for mean in weights @ losses / weights.sum())
        return Losses(policy, value, floor)

    def checkpoint(self, *, round_number: int) -> Checkpoint:
        """The model as it stands, a child of the one this trainer started from."""
        return make_checkpoint(
            self._info,
            self._start.settings,
            weights={name: tensor.detach().clone() for name, tensor in self._network.state_dict().items()},
            average={name: tensor.clone() for name, tensor in self._average.items()},
            optimizer=self._optimizer.state_dict(),
            steps=self.steps,
            round_number=round_number,
            parent=self._start.card.fingerprint,
        )

    def save_model(self, path: str | Path, *, round_number: int | None = None) -> Checkpoint:
        """Write the model and its inference twin; the round is one more than at the start unless given."""
        number = self._start.card.round + 1 if round_number is None else round_number
        checkpoint = self.checkpoint(round_number=number)
        save_checkpoint(checkpoint, Path(path))
        return checkpoint

    def _step(self, samples: Samples) -> tuple[float, float, float]:
        planes, legal, policy, outcome = (torch.from_numpy(column) for column in samples)
        planes = planes.contiguous(memory_format=torch.channels_last)
        policy_logits, outcome_logits = self._network(planes)
        losses = policy_loss(policy_logits, legal, policy), outcome_loss(outcome_logits, outcome)
        total = losses[0] + self._settings.value_weight * losses[1]
        self._optimizer.zero_grad()
        total.backward()  # type: ignore[no-untyped-call]  # torch's stubs leave it out
        torch.nn.utils.clip_grad_norm_(self._network.parameters(), self._settings.gradient_clip)
        self._optimizer.step()
        self.steps += 1
        self._move_average()
        return losses[0].item(), losses[1].item(), entropy(policy).item()

    @torch.no_grad()
    def _move_average(self) -> None:
        """Exponential moving average of weights and batch statistics, with a short memory in the first steps."""
        decay = min(self._settings.average_decay, (1 + self.steps) / (10 + self.steps))
        current: dict[str, Tensor] = self._network.state_dict()
        for name, average in self._average.items():
            if average.is_floating_point():
                average.lerp_(current[name], 1.0 - decay)
            else:
                average.copy_(current[name])
