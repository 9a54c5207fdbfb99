"""Models whose heads say something: fresh ones say zero."""

from __future__ import annotations

import torch

from selfplay.network.checkpoint import make_checkpoint, save_checkpoint, untrained


def model_of(rules, settings, path, seed=0):
    """An untrained model with noise on what plays, saved with its inference twin; its path."""
    checkpoint = untrained(rules.info, settings)
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in checkpoint.average.items():
        if tensor.is_floating_point() and "running" not in name:
            tensor += 0.1 * torch.randn(tensor.shape, generator=generator)
    checkpoint = make_checkpoint(
        rules.info, settings, weights=checkpoint.weights, average=checkpoint.average,
        optimizer={}, steps=0, round_number=0, parent="",
    )  # fmt: skip
    save_checkpoint(checkpoint, path)
    return path
