"""AdamW: Loshchilov and Hutter 2019, "Decoupled Weight Decay Regularization". The arithmetic is torch's fused kernel.

Not `torch.optim.AdamW`: that class loads torch's compiler when it is made, which takes two seconds and 70 MB of every
process that trains. The function behind it, just as public, does not. Knows nothing of losses and ranks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.optim.adamw import adamw

_BETAS, _EPSILON = (0.9, 0.999), 1e-8  # of the paper, and torch's defaults


class Moments(NamedTuple):
    """What is kept of a parameter, with the names that checkpoints give it."""

    exp_avg: Tensor  # like the parameter: mean of its gradient
    exp_avg_sq: Tensor  # likewise of its square
    step: Tensor  # [] float32: steps it has taken


class AdamW:
    """Moves parameters by their gradients.

    Args:
        parameters: by name; they stay on their device and in their memory layout.
        weight_decay: decoupled: times the step size.
    """

    def __init__(self, parameters: Mapping[str, nn.Parameter], *, weight_decay: float) -> None:
        self._parameters = dict(parameters)
        self._weight_decay = weight_decay
        self._moments: dict[str, Moments] = {}  # of those that moved before

    @torch.no_grad()
    def step(self, step_size: float) -> None:
        """One step of every parameter that has a gradient."""
        moved = {name: parameter for name, parameter in self._parameters.items() if parameter.grad is not None}
        for name, parameter in moved.items():
            if name not in self._moments:
                self._moments[name] = _no_moments(parameter)
        moments = [self._moments[name] for name in moved]
        adamw(
            list(moved.values()),
            [parameter.grad for parameter in moved.values() if parameter.grad is not None],
            [of.exp_avg for of in moments],
            [of.exp_avg_sq for of in moments],
            [],
            [of.step for of in moments],
            fused=True,
            amsgrad=False,
            beta1=_BETAS[0],
            beta2=_BETAS[1],
            lr=step_size,
            weight_decay=self._weight_decay,
            eps=_EPSILON,
            maximize=False,
        )

    def state(self) -> dict[str, dict[str, Tensor]]:
        """A copy on the CPU: name of a parameter -> its `Moments`, by field; nothing of one that has not moved yet."""
        return {
            name: {field: tensor.cpu().clone() for field, tensor in kept._asdict().items()}
            for name, kept in self._moments.items()
        }

    def load(self, state: Mapping[str, Mapping[str, Any]]) -> None:
        """Copy what a state says of these parameters; it may tell of others too, and of what `Muon` kept of these."""
        self._moments = {}
        for name, parameter in self._parameters.items():
            if state.get(name, {}).keys() >= set(Moments._fields):
                self._moments[name] = moments = _no_moments(parameter)
                for field, tensor in moments._asdict().items():
                    tensor.copy_(state[name][field])


def _no_moments(parameter: nn.Parameter) -> Moments:
    """In the parameter's memory layout: the kernel goes through all of them in the order they lie in."""
    return Moments(
        torch.zeros_like(parameter, requires_grad=False),
        torch.zeros_like(parameter, requires_grad=False),
        torch.zeros((), dtype=torch.float32, device=parameter.device),
    )
