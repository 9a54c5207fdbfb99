"""Muon: steps of weights seen as matrices, made orthogonal before they are taken.

Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks", with the decoupled weight decay of Liu et
al. 2025, "Muon is Scalable for LLM Training". A gradient's few strong directions drown its many weak ones; here all are
followed alike. For the hidden layers alone: what reads planes and what says moves learns by `AdamW`.

Not `torch.optim.Muon`: it takes no convolutions, one matrix at a time, rounds to bfloat16, which cores without such
numbers do slowly, and loads torch's compiler. Knows nothing of losses and ranks. Letters: k matrices of r rows and c
columns.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

_MOMENTUM = 0.95
_COEFFICIENTS = 3.4445, -4.7750, 2.0315  # of the polynomial a x + b x^3 + c x^5; these and the rest are Jordan's
_ITERATIONS = 5
_EPSILON = 1e-7
FIELD = "momentum"  # what is kept of a parameter, with the name that checkpoints give it


class Muon:
    """Moves parameters by their gradients; see `AdamW`, whose methods these are.

    Args:
        parameters: by name, each of two dimensions or more: outputs first, all others are its columns.
        weight_decay: decoupled: times the step size.
    """

    def __init__(self, parameters: Mapping[str, nn.Parameter], *, weight_decay: float) -> None:
        self._parameters = dict(parameters)
        self._weight_decay = weight_decay
        self._momentum: dict[str, Tensor] = {}  # like the parameter: mean of its gradient; of those that moved before

    @torch.no_grad()
    def step(self, step_size: float) -> None:
        """One step of every parameter that has a gradient."""
        alike: dict[torch.Size, list[tuple[nn.Parameter, Tensor]]] = {}
        for name, parameter in self._parameters.items():
            if parameter.grad is not None:
                ahead = self._looked_ahead(name, parameter.grad).flatten(1)
                alike.setdefault(ahead.shape, []).append((parameter, ahead))
        for (rows, columns), moved in alike.items():
            directions = orthogonal(torch.stack([ahead for _, ahead in moved]))
            scale = max(1.0, rows / columns) ** 0.5
            for (parameter, _), direction in zip(moved, directions, strict=True):
                parameter.mul_(1.0 - step_size * self._weight_decay)
                parameter.add_(direction.view(parameter.shape), alpha=-step_size * scale)

    def state(self) -> dict[str, dict[str, Tensor]]:
        """A copy on the CPU: name of a parameter -> its momentum, by field; nothing of one that has not moved yet."""
        return {name: {FIELD: momentum.cpu().clone()} for name, momentum in self._momentum.items()}

    def load(self, state: Mapping[str, Mapping[str, Any]]) -> None:
        """Copy what a state says of these parameters; it may tell of others too, and of what `AdamW` kept of these."""
        self._momentum = {}
        for name, parameter in self._parameters.items():
            if FIELD in state.get(name, {}):
                self._momentum[name] = _nothing(parameter).copy_(state[name][FIELD])

    def _looked_ahead(self, name: str, gradient: Tensor) -> Tensor:
        """The momentum after this gradient and, about, the next (Nesterov's)."""
        if name not in self._momentum:
            self._momentum[name] = _nothing(self._parameters[name])
        momentum = self._momentum[name].lerp_(gradient, 1.0 - _MOMENTUM)
        return gradient.lerp(momentum, _MOMENTUM)


def orthogonal(matrices: Tensor) -> Tensor:
    """Matrices [k, r, c] with the same directions, and singular values near 1 (0.7 to 1.2) in place of their own.

    By Newton's and Schulz's iteration, which needs products alone. Directions weaker than about a thousandth of the
    strongest are left weaker.
    """
    first, third, fifth = _COEFFICIENTS
    is_tall = matrices.shape[1] > matrices.shape[2]
    found = matrices.mT if is_tall else matrices
    found = found / found.norm(dim=(1, 2), keepdim=True).clamp(min=_EPSILON)
    for _ in range(_ITERATIONS):
        square = found @ found.mT
        found = torch.baddbmm(found, torch.baddbmm(square, square, square, beta=third, alpha=fifth), found, beta=first)
    return found.mT.contiguous() if is_tall else found


def _nothing(parameter: nn.Parameter) -> Tensor:
    """In the parameter's memory layout."""
    return torch.zeros_like(parameter, requires_grad=False)
