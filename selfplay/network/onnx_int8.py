"""ONNX nodes for a network whose tower computes in 8 bits (`quantization.py`), as ONNX Runtime likes it best.

Between stem and heads every value is bytes [n, H, W, C], channels last: convolutions of whole numbers then need no
reordering between them. ONNX itself has no such convolution; ONNX Runtime has one of the same name. The heads work on
floats again. Letters: n positions, H × W board, C channels, O outputs.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from torch import nn

from selfplay.network.onnx_builder import OPSET, Builder
from selfplay.network.onnx_check import DOMAIN
from selfplay.network.quantization import Observations, folded, quantized, scale_of
from selfplay.network.resnet import Block, ResNet


class Int8Builder(Builder):
    """Collects nodes and weights; a value in the tower has the name of the module that computes it.

    Args:
        seen: the values that become bytes.
    """

    domains: ClassVar[dict[str, int]] = {"": OPSET, DOMAIN: 1}

    def __init__(self, seen: Observations) -> None:
        super().__init__()
        self._scales = {name: scale_of(found.low, found.high) for name, found in seen.items()}
        self._means = {name: found.mean for name, found in seen.items()}
        self._names: dict[str, list[str]] = {}  # of the scales: size and zero, as they stand in the file

    def network(self, network: ResNet) -> tuple[str, str]:
        floats = self.module(network.stem, "stem.floats", "planes")
        planes_first = self.add("QuantizeLinear", [floats, *self._scale("stem")], output="stem.planes")
        features = self.add("Transpose", [planes_first], output="stem", perm=[0, 2, 3, 1])
        for number, block in enumerate(network.tower):
            assert isinstance(block, Block)
            features = self.block(block, f"tower.{number}", features)
        floats = self.add("DequantizeLinear", [features, *self._scale(features)], output="features")
        shape = self.array("cells", np.array([-1, network.shape.settings.channels]))
        cells = self.add("Reshape", [floats, shape], output="features.cells")  # [n · H · W, C]
        return self._head(network.policy, "policy", cells), self._head(network.outcome, "results", cells)

    def block(self, module: Block, path: str, source: str) -> str:
        inner = source
        for name, layer in module.layers().items():
            assert isinstance(layer, nn.Sequential)
            inner = self._convolution(layer, f"{path}.{name}", inner)
        # A range from 0 on has no bytes below: becoming bytes is the ReLU, here and after convolutions.
        inputs = [source, *self._scale(source), inner, *self._scale(inner), *self._scale(path)]
        return self.add("QLinearAdd", inputs, output=path, domain=DOMAIN)

    def _convolution(self, module: nn.Sequential, path: str, source: str) -> str:
        """Convolution and normalisation, from bytes to bytes."""
        convolution, normalisation = _parts(module)
        weights, sizes, bias = quantized(convolution, normalisation, self._scales[source], self._means[source])
        weight = [
            self.array(f"{path}.weight", weights),
            self.array(f"{path}.weight.sizes", sizes),
            self.array(f"{path}.weight.zeros", np.zeros(len(sizes), np.int8)),
        ]
        inputs = [source, *self._scale(source), *weight, *self._scale(path), self.array(f"{path}.bias", bias)]
        pads = [weights.shape[-1] // 2] * 4
        return self.add("QLinearConv", inputs, output=path, domain=DOMAIN, channels_last=1, pads=pads)

    def _head(self, module: nn.Sequential, path: str, cells: str) -> str:
        """A head over floats [n · H · W, C]; its convolution of 1 × 1 is a product in each cell."""
        convolution, _, linear, *rest = module
        assert isinstance(convolution, nn.Sequential)
        assert isinstance(linear, nn.Linear)
        weights, bias = folded(*_parts(convolution))
        outputs = len(bias)
        inputs = [self.floats(f"{path}.cells.weight", weights[:, :, 0, 0]), self.floats(f"{path}.cells.bias", bias)]
        values = self.add("Gemm", [cells, *inputs], output=f"{path}.cells.sum", transB=1)
        values = self.add("Relu", [values], output=f"{path}.cells")
        flat = self.array(f"{path}.shape", np.array([-1, linear.in_features]))
        values = self.add("Reshape", [values, flat], output=f"{path}.flat")  # cell by cell, not channel by channel
        weight = linear.weight.detach().cpu().numpy()
        by_cell = weight.reshape(len(weight), outputs, -1).transpose(0, 2, 1).reshape(weight.shape)
        inputs = [self.floats(f"{path}.weight", by_cell), self.weight(f"{path}.bias", linear.bias)]
        values = self.add("Gemm", [values, *inputs], output=path, transB=1)
        for number, part in enumerate(rest):
            values = self.module(part, f"{path}.{number}", values)
        return values

    def floats(self, name: str, array: npt.NDArray[Any]) -> str:
        """Numbers in 32 bits; their name."""
        return self.array(name, array.astype(np.float32))

    def _scale(self, path: str) -> list[str]:
        """Names of size and zero of a value's scale."""
        if path not in self._names:
            size, zero = self._scales[path]
            names = self.array(f"{path}.size", np.array(size)), self.array(f"{path}.zero", np.array(zero))
            self._names[path] = list(names)
        return self._names[path]


def _parts(module: nn.Sequential) -> tuple[nn.Conv2d, nn.BatchNorm2d]:
    convolution, normalisation = module[0], module[1]
    assert isinstance(convolution, nn.Conv2d)
    assert isinstance(normalisation, nn.BatchNorm2d)
    return convolution, normalisation
