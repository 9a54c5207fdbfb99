"""What training minimises. Letters: n positions, A actions, F planes of the board at the end, H × W board."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class Losses:
    """Means over positions, in nats."""

    policy: float  # cross-entropy of the policy against its target
    value: float  # cross-entropy of win/draw/loss against the game's outcome
    policy_floor: float  # entropy of the policy targets: what the policy loss cannot go below
    future: float = 0.0  # cross-entropy of the board at the end, per cell; 0 where the network does not foretell it

    @property
    def total(self) -> float:
        """Policy and value loss together, unweighted."""
        return self.policy + self.value


def policy_losses(logits: Tensor, legal: Tensor, target: Tensor) -> Tensor:
    """Cross-entropies [n] of the policy over legal actions; logits, legal, target [n, A].

    Illegal actions are left out as they are in play, so that no capacity goes into learning the rules.
    """
    masked = logits.masked_fill(~legal, float("-inf"))
    log_probabilities = functional.log_softmax(masked, dim=-1).masked_fill(~legal, 0.0)
    return -(target * log_probabilities).sum(dim=-1)


def outcome_losses(logits: Tensor, target: Tensor) -> Tensor:
    """Cross-entropies [n] of win/draw/loss; logits and target [n, 3]."""
    return -(target * functional.log_softmax(logits, dim=-1)).sum(dim=-1)


def future_losses(logits: Tensor, target: Tensor) -> Tensor:
    """Cross-entropies [n] of the planes at the end of the game, per cell: sums over planes, means over cells.

    logits and target [n, F, H, W]. A plane is taken for a probability in every cell: what is below 0 or above 1 counts
    as these.
    """
    cells = functional.binary_cross_entropy_with_logits(logits, target.clamp(0.0, 1.0), reduction="none")
    return cells.mean(dim=(2, 3)).sum(dim=1)


def entropies(target: Tensor) -> Tensor:
    """Entropies [n] of target distributions [n, A]."""
    return -torch.xlogy(target, target).sum(dim=-1)
