"""Networks judged by torch on a GPU, with products in bfloat16 if the model's run has asked for that.

Batches are padded to one fixed shape, so that a row's bits do not depend on how many other rows came along.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from selfplay.errors import ModelError
from selfplay.evaluation.evaluator import Evaluation, Positions, judge
from selfplay.network.checkpoint import load_checkpoint, playing_network

PADDED_ROWS = 64


def cuda_is_usable() -> bool:
    """Whether this torch can compute on a GPU here."""
    return torch.cuda.is_available()


class TorchEvaluator:
    """The network of a checkpoint (.pt) on `device` ("cuda", or "cpu" for tests).

    Raises `ModelError` where the file cannot be used or the device is not there.
    """

    def __init__(self, path: Path, *, device: str) -> None:
        checkpoint = load_checkpoint(path)
        self.card = checkpoint.card
        self._device = torch.device(device)
        if device == "cuda" and not cuda_is_usable():
            raise ModelError(
                f"{path}: the run plays on a GPU (selfplay.device = cuda), but torch finds none here; "
                "go on where one is, or start a run with --set selfplay.device=cpu"
            )
        self._in_bfloat16 = checkpoint.settings.selfplay.precision == "bfloat16"
        network = playing_network(checkpoint).to(self._device)
        self._network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # stub gap

    def evaluate(self, positions: Positions) -> Evaluation:
        return judge(self._run, positions, rows=PADDED_ROWS)

    @torch.inference_mode()
    def _run(self, planes: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Policy logits and outcome probabilities of at most PADDED_ROWS positions."""
        padded = torch.zeros((PADDED_ROWS, *planes.shape[1:]), device=self._device)
        padded[: len(planes)] = torch.from_numpy(planes)
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._in_bfloat16):
            logits, outcomes = self._network(padded.to(memory_format=torch.channels_last))
        logits, chances = logits[: len(planes)].float(), torch.softmax(outcomes[: len(planes)].float(), dim=-1)
        return logits.cpu().numpy(), chances.cpu().numpy()
