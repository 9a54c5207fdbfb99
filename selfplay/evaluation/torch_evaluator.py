"""Networks judged by torch on a GPU, the tower in bfloat16 if the model's run has asked for that.

Every pass has one fixed shape, so that a row's bits do not depend on how many other rows came along; on a GPU it is
recorded once as a CUDA graph, and a pass is then one launch instead of one per layer. Each worker has a GPU context of
its own: what many small passes cost is mostly their launches, which is what workers do side by side.
Letters: n positions, P planes, H × W board, A actions.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.utils import fusion

from selfplay.errors import ModelError
from selfplay.evaluation.evaluator import Evaluation, Positions, judge
from selfplay.network.checkpoint import load_checkpoint, playing_network
from selfplay.network.resnet import ResNet

ROWS = 256  # of every pass; fewer positions are padded
_WARM_UP = 3  # passes before one is recorded: libraries choose their algorithms in the first ones


def cuda_is_usable() -> bool:
    """Whether this torch can compute on a GPU here."""
    return torch.cuda.is_available()


class TorchEvaluator:
    """The network of a checkpoint (.pt) on `device` ("cuda", or "cpu" for tests), so many `rows` in a pass.

    Raises `ModelError` where the file cannot be used or the device is not there.
    """

    def __init__(self, path: Path, *, device: str, rows: int = ROWS) -> None:
        checkpoint = load_checkpoint(path)
        self.card = card = checkpoint.card
        if device == "cuda" and not cuda_is_usable():
            raise ModelError(
                f"{path}: the run plays on a GPU (selfplay.device = cuda), but torch finds none here; "
                "go on where one is, or start a run with --set selfplay.device=cpu"
            )
        self._gpu = device == "cuda"
        # Pinned memory is what a GPU can copy from and to by itself.
        self._host = torch.zeros((rows, card.planes, card.rows, card.columns), pin_memory=self._gpu)
        self._planes = self._host.to(device).to(memory_format=torch.channels_last)
        low = checkpoint.settings.selfplay.precision == "bfloat16"
        forward = _forward(playing_network(checkpoint).to(device), torch.bfloat16 if low else torch.float32)
        self._pass = _recorded(forward, self._planes) if self._gpu else lambda: forward(self._planes)

    def evaluate(self, positions: Positions) -> Evaluation:
        return judge(self.run, positions, rows=len(self._host))

    @torch.inference_mode()
    def run(self, planes: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """The bare network: planes [n, P, H, W], n at most `rows` -> (logits [n, A], outcome probabilities [n, 3])."""
        count = len(planes)
        self._host.numpy()[:count] = planes  # rows behind them keep what was there: none looks at another
        self._planes.copy_(self._host, non_blocking=True)
        logits, chances = self._pass()
        return logits.cpu().numpy()[:count], chances.cpu().numpy()[:count]


def _forward(network: ResNet, precision: torch.dtype) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
    """planes [n, P, H, W] -> logits [n, A] and outcome probabilities [n, 3] in float32, the tower at a precision.

    Batch normalisations become part of their convolutions. The heads stay in float32, as with 8 bits on a CPU.
    """
    for part in list(network.modules()):
        if isinstance(part, nn.Sequential) and isinstance(part[0], nn.Conv2d):
            convolution, normalisation = part[0], part[1]
            assert isinstance(normalisation, nn.BatchNorm2d)
            part[0], part[1] = fusion.fuse_conv_bn_eval(convolution, normalisation), nn.Identity()
    tower = nn.Sequential(network.stem, network.tower).to(precision)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # stub gap

    def forward(planes: Tensor) -> tuple[Tensor, Tensor]:
        features = tower(planes.to(precision)).float()
        return network.policy(features), torch.softmax(network.outcome(features), dim=-1)

    return forward


@torch.inference_mode()
def _recorded(
    forward: Callable[[Tensor], tuple[Tensor, Tensor]], planes: Tensor
) -> Callable[[], tuple[Tensor, Tensor]]:
    """A pass over these very planes as a CUDA graph; its outputs lie where the pass before left its own."""
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]  # stub gap
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(_WARM_UP):
            forward(planes)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        outputs = forward(planes)

    def replay() -> tuple[Tensor, Tensor]:
        graph.replay()
        return outputs

    return replay
