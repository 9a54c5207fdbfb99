"""Networks judged by torch on a GPU, the tower in bfloat16 if the model's run has asked for that.

Every pass has one fixed shape, so that a row's bits do not depend on how many other rows came along; on a GPU it is
recorded once as a CUDA graph, and a pass is then one launch instead of one per layer. What workers ask is
gathered into such passes by one process for each GPU: `gpu_service.py`.
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
from selfplay.evaluation.evaluator import NetworkEvaluator
from selfplay.network.checkpoint import load_checkpoint, playing_network
from selfplay.network.resnet import ResNet

ROWS = 1024  # of every pass; fewer positions are padded
_WARM_UP = 3  # passes before one is recorded: libraries choose their algorithms in the first ones

Outputs = tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]  # logits [n, A], outcome probabilities [n, 3]
Forward = Callable[[Tensor], tuple[Tensor, Tensor]]


def cuda_is_usable() -> bool:
    """Whether this torch can compute on a GPU here."""
    return torch.cuda.is_available()


class TorchNetwork:
    """The network of a checkpoint (.pt) on `device` ("cuda", or "cpu" for tests), so many `rows` in a pass.

    Raises `ModelError` where the file cannot be used or the device is not there.
    """

    def __init__(self, path: Path, *, device: str, rows: int = ROWS) -> None:
        checkpoint = load_checkpoint(path)
        self.card = checkpoint.card
        self.rows = rows
        self._device = device
        if device == "cuda" and not cuda_is_usable():
            raise ModelError(
                f"{path}: the run plays on a GPU (selfplay.device = cuda), but torch finds none here; "
                "go on where one is, or start a run with --set selfplay.device=cpu"
            )
        torch.backends.cudnn.deterministic = True
        low = checkpoint.settings.selfplay.precision == "bfloat16"
        self._forward = _forward(playing_network(checkpoint).to(device), torch.bfloat16 if low else torch.float32)

    def lane(self) -> Lane:
        """Room for one pass under way. Passes of several lanes overlap: copies of one, arithmetic of another."""
        shape = self.rows, self.card.planes, self.card.rows, self.card.columns
        return GpuLane(self._forward, shape) if self._device == "cuda" else Lane(self._forward, shape)


class Lane:
    """A pass: write `planes`, `begin`, and `finish` gives what came of it, until the next one begins."""

    def __init__(self, forward: Forward, shape: tuple[int, int, int, int]) -> None:
        self._host = torch.zeros(shape)
        self.planes: npt.NDArray[np.float32] = self._host.numpy()  # [rows, P, H, W]; rows left as they were harm nobody
        self._forward = forward
        self._outputs = (np.empty(0, np.float32), np.empty(0, np.float32))

    @torch.inference_mode()
    def begin(self) -> None:
        """Have all rows judged."""
        logits, outcomes = self._forward(self._host.contiguous(memory_format=torch.channels_last))
        self._outputs = logits.numpy(), outcomes.numpy()

    def is_done(self) -> bool:
        """Whether `finish` need not wait."""
        return True

    def finish(self) -> Outputs:
        """Wait for what was begun."""
        return self._outputs


class GpuLane(Lane):
    """A pass on a stream of its own; while it is waited for, this thread sleeps."""

    @torch.inference_mode()
    def __init__(self, forward: Forward, shape: tuple[int, int, int, int]) -> None:
        super().__init__(forward, shape)
        # Pinned memory is what a GPU can copy from and to by itself.
        self._host = self._host.pin_memory()
        self.planes = self._host.numpy()
        self._planes = self._host.to("cuda").to(memory_format=torch.channels_last)
        self._stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]  # stub gap
        self._done = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]  # stub gap
        self._graph, self._answers = self._record()
        self._pinned = [torch.empty(answer.shape, pin_memory=True) for answer in self._answers]
        self._outputs = self._pinned[0].numpy(), self._pinned[1].numpy()

    def _record(self) -> tuple[torch.cuda.CUDAGraph, tuple[Tensor, Tensor]]:
        """A pass over these very planes, and where each of its replays leaves what it finds."""
        self._stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._stream):
            for _ in range(_WARM_UP):
                self._forward(self._planes)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=self._stream):
            answers = self._forward(self._planes)
        return graph, answers

    @torch.inference_mode()
    def begin(self) -> None:
        with torch.cuda.stream(self._stream):
            self._planes.copy_(self._host, non_blocking=True)
            self._graph.replay()
            for pinned, answer in zip(self._pinned, self._answers, strict=True):
                pinned.copy_(answer, non_blocking=True)
            self._done.record()

    def is_done(self) -> bool:
        return bool(self._done.query())  # type: ignore[no-untyped-call]  # stub gap

    def finish(self) -> Outputs:
        self._done.synchronize()
        return self._outputs


class TorchEvaluator(NetworkEvaluator):
    """A network that is asked by this process alone, one pass after the other; raises as `TorchNetwork` does."""

    def __init__(self, path: Path, *, device: str, rows: int = ROWS) -> None:
        network = TorchNetwork(path, device=device, rows=rows)
        self.card, self.rows = network.card, rows
        self._lane = network.lane()

    def run(self, planes: npt.NDArray[np.float32]) -> Outputs:
        self._lane.planes[: len(planes)] = planes
        self._lane.begin()
        logits, outcomes = self._lane.finish()
        return logits[: len(planes)], outcomes[: len(planes)]


def _forward(network: ResNet, precision: torch.dtype) -> Forward:
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
