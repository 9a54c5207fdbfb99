"""ONNX nodes for the modules of a network, one after another.

In float32 all stays as it is, and ONNX Runtime folds batch normalisation when it loads the file.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper
from torch import Tensor, nn

from selfplay.network.resnet import Block, ResNet

OPSET = 17


class Builder:
    """Collects nodes and weights; every value is named after the module that computes it."""

    domains: ClassVar[dict[str, int]] = {"": OPSET}  # of the nodes' kinds, with their versions

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []

    def network(self, network: ResNet) -> tuple[str, str]:
        """Names of the values that hold the logits of policy and outcome."""
        features = self.module(network.tower, "tower", self.module(network.stem, "stem", "planes"))
        return self.module(network.policy, "policy", features), self.module(network.outcome, "results", features)

    def module(self, module: nn.Module, path: str, source: str) -> str:
        """Nodes that compute the module's answer to the value `source`; the name of the answer."""
        match module:
            case nn.Sequential():
                for name, part in module.named_children():
                    source = self.module(part, f"{path}.{name}", source)
                return source
            case Block():
                return self.block(module, path, source)
            case nn.Conv2d():
                height, width = (int(pad) for pad in module.padding)
                weight = self.weight(f"{path}.weight", module.weight)
                return self.add("Conv", [source, weight], output=path, pads=[height, width, height, width])
            case nn.BatchNorm2d():
                names = ("weight", "bias", "running_mean", "running_var")
                inputs = [self.weight(f"{path}.{name}", getattr(module, name)) for name in names]
                return self.add("BatchNormalization", [source, *inputs], output=path, epsilon=module.eps)
            case nn.Linear():
                inputs = [self.weight(f"{path}.weight", module.weight), self.weight(f"{path}.bias", module.bias)]
                return self.add("Gemm", [source, *inputs], output=path, transB=1)
            case nn.ReLU():
                return self.add("Relu", [source], output=path)
            case nn.Flatten():
                return self.add("Flatten", [source], output=path, axis=1)
        raise TypeError(f"no ONNX form for {type(module).__name__}; add it to onnx_builder.py")

    def block(self, module: Block, path: str, source: str) -> str:
        """Layers with a bypass around them."""
        inner = source
        for name, layer in module.layers().items():
            inner = self.module(layer, f"{path}.{name}", inner)
        return self.module(module.activation, path, self.add("Add", [source, inner], output=f"{path}.sum"))

    def add(self, kind: str, inputs: list[str], *, output: str, **attributes: Any) -> str:
        """A node; the name of its output."""
        self.nodes.append(helper.make_node(kind, inputs, [output], name=output, **attributes))
        return output

    def weight(self, name: str, tensor: Tensor) -> str:
        """A tensor of the network; its name."""
        return self.array(name, tensor.detach().cpu().numpy())

    def array(self, name: str, array: npt.NDArray[Any]) -> str:
        """Numbers that belong to the file; their name."""
        self.weights.append(numpy_helper.from_array(np.asarray(array, order="C"), name))
        return name
