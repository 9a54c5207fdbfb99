"""A network's tower in 8 bits: which numbers stand for which.

A value between two layers is a byte b that stands for (b - zero) · size; a weight is a whole number from -64 to 64
that stands for itself times its output channel's size (Jacob et al. 2018, "Quantization and Training of Neural Networks
for Efficient Integer-Arithmetic-Only Inference"). Sums of such products are exact, in any order and on any processor.
Not up to 127: processors without VNNI add two products of a byte and a weight in 16 bits: 2 · 255 · 64 still fits.
Rounded weights err on average too, since values behind a ReLU do not average 0; biases make up for that (Nagel et al.
2019, "Data-Free Quantization Through Weight Equalization and Bias Correction", 4.2).
Letters: n positions, C channels, H × W board, O × I × k × k weights of a convolution.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from selfplay.errors import ModelError
from selfplay.network.resnet import Block, ResNet

LARGEST_WEIGHT = 64
_LARGEST_BYTE = 255
_LARGEST_BIAS = 1 << 30  # leaves room for the sum of products beside it
_SMALLEST_SIZE = 1e-9  # of a value that is always 0: its inverse is still a float


class Seen(NamedTuple):
    """Values that a module hands on, over some positions."""

    low: float  # 0 or below
    high: float  # 0 or above
    mean: npt.NDArray[np.float64]  # [C, H, W]


Observations = Mapping[str, Seen]  # by name of the module


class Scale(NamedTuple):
    """What a byte stands for: (byte - zero) · size."""

    size: np.float32
    zero: np.uint8


class Convolution(NamedTuple):
    """Convolution and batch normalisation as one, in whole numbers."""

    weights: npt.NDArray[np.int8]  # [O, I, k, k]
    sizes: npt.NDArray[np.float32]  # [O] what a weight of 1 stands for
    bias: npt.NDArray[np.int32]  # [O] in units of a weight of 1 times a byte of 1


def quantized_modules(network: ResNet) -> dict[str, nn.Module]:
    """The modules whose values become bytes, by name: the stem, the layers of each block, and the block."""
    found: dict[str, nn.Module] = {"stem": network.stem}
    for number, block in enumerate(network.tower):
        assert isinstance(block, Block)
        found.update({f"tower.{number}.{name}": layer for name, layer in block.layers().items()})
        found[f"tower.{number}"] = block
    return found


@torch.inference_mode()
def observed(network: ResNet, planes: Tensor) -> dict[str, Seen]:
    """All values that become bytes, over positions [n, P, H, W], in inference mode.

    Raises `ModelError` where they are not finite.
    """
    found: dict[str, Seen] = {}
    hooks = [
        module.register_forward_hook(lambda _, __, values, name=name: found.update({name: _seen(values)}))
        for name, module in quantized_modules(network).items()
    ]
    try:
        network.eval()(planes)
    finally:
        for hook in hooks:
            hook.remove()
    if not np.isfinite([(seen.low, seen.high) for seen in found.values()]).all():
        raise ModelError("the network's values are not finite: its weights are damaged, or training diverged")
    return found


def _seen(values: Tensor) -> Seen:
    return Seen(min(float(values.min()), 0.0), max(float(values.max()), 0.0), values.double().mean(dim=0).numpy())


def scale_of(low: float, high: float) -> Scale:
    """The scale that covers a range, which holds 0, exactly there too."""
    size = max((high - low) / _LARGEST_BYTE, _SMALLEST_SIZE)
    return Scale(np.float32(size), np.uint8(round(-low / size)))


def folded(
    convolution: nn.Conv2d, normalisation: nn.BatchNorm2d
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Weights [O, I, k, k] and bias [O] of a convolution without bias and the normalisation behind it, as one."""
    weights, mean, variance, gain, shift = (
        tensor.detach().cpu().double().numpy()
        for tensor in (
            convolution.weight,
            normalisation.running_mean,
            normalisation.running_var,
            normalisation.weight,
            normalisation.bias,
        )
        if tensor is not None
    )
    gain = gain / np.sqrt(variance + normalisation.eps)
    return weights * gain[:, None, None, None], shift - mean * gain


def quantized(
    convolution: nn.Conv2d, normalisation: nn.BatchNorm2d, source: Scale, mean: npt.NDArray[np.float64]
) -> Convolution:
    """A convolution without bias and the normalisation behind it, in whole numbers, for bytes of the scale `source`
    that stand for values of the mean [I, H, W].

    A channel whose weights are tiny beside its bias gets coarser ones: the bias, counted in products of weights and
    bytes, has to fit into 32 bits.
    """
    weights, bias = folded(convolution, normalisation)
    by_weight, by_bias = (
        np.abs(weights).max(axis=(1, 2, 3)) / LARGEST_WEIGHT,
        np.abs(bias) / source.size / _LARGEST_BIAS,
    )
    sizes = np.maximum(np.maximum(by_weight, by_bias), _SMALLEST_SIZE).astype(np.float32)
    whole = np.rint(weights / sizes[:, None, None, None]).clip(-LARGEST_WEIGHT, LARGEST_WEIGHT)
    error = whole * sizes.astype(float)[:, None, None, None] - weights
    bias = bias - (error * _mean_under(weights.shape[-1], mean)).sum(axis=(1, 2, 3))
    counts = np.rint(bias / (sizes.astype(float) * source.size))
    return Convolution(whole.astype(np.int8), sizes, counts.astype(np.int32))


def _mean_under(size: int, mean: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """What each weight of a convolution of size × size meets [I, k, k], over all cells of images of the mean [I, H, W]:
    zeros beyond the edge too."""
    edge = size // 2
    padded = np.pad(mean, ((0, 0), (edge, edge), (edge, edge)))
    met = np.lib.stride_tricks.sliding_window_view(padded, mean.shape[1:], axis=(1, 2))  # [I, k, k, H, W]
    means: npt.NDArray[np.float64] = met.mean(axis=(3, 4))
    return means
