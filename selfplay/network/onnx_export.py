"""From a torch network to the ONNX file that workers play with.

Each module of the network becomes a few ONNX nodes; a module that has no form here is an error. That takes
milliseconds and no further package, where torch's own exporter takes seconds at the start of every run.
`tests/network/test_network.py` holds the two against each other. In float32 all stays as it is, and ONNX Runtime folds
batch normalisation when it loads the file; in int8 the tower computes in 8 bits (`quantization.py`).
Letters: n positions, P planes, H × W board, A actions, O × I × 3 × 3 the weights of a convolution.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from selfplay.network.quantization import Ranges, Scale, quantized, scale_of
from selfplay.network.resnet import ResidualBlock, ResNet

OPSET = 17
_IR_VERSION = 8  # read by every ONNX Runtime since 1.12


def to_onnx(network: ResNet, metadata: Mapping[str, str], ranges: Ranges | None = None) -> bytes:
    """The network in inference mode as an ONNX file.

    Input "planes" [n, P, H, W] float32; outputs "policy_logits" [n, A] and "outcome" [n, 3] (probabilities of win,
    draw, loss for the player to move). The same network gives the same bytes.

    Args:
        network: all of it in float32.
        metadata: texts to write into the file.
        ranges: of the tower's values, for a file whose tower computes in 8 bits; None = all in float32.

    Raises:
        TypeError: the network has a module that has no form here.
    """
    builder = _Builder() if ranges is None else _Int8Builder(ranges)
    features = builder.module(network.tower, "tower", builder.module(network.stem, "stem", "planes"))
    logits, outcome = (
        builder.module(head, name, features)
        for head, name in ((network.policy, "policy"), (network.outcome, "outcome_logits"))
    )
    builder.add("Identity", [logits], output="policy_logits")
    builder.add("Softmax", [outcome], output="outcome", axis=-1)
    shape = network.shape
    graph = helper.make_graph(
        builder.nodes,
        "selfplay",
        [helper.make_tensor_value_info("planes", TensorProto.FLOAT, ["n", shape.planes, *shape.board])],
        [
            helper.make_tensor_value_info("policy_logits", TensorProto.FLOAT, ["n", None]),
            helper.make_tensor_value_info("outcome", TensorProto.FLOAT, ["n", 3]),
        ],
        builder.weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="selfplay")
    model.ir_version = _IR_VERSION
    helper.set_model_props(model, dict(sorted(metadata.items())))
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString(deterministic=True))


class _Builder:
    """Collects nodes and weights; every value is named after the module that computes it."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []

    def module(self, module: nn.Module, path: str, source: str) -> str:
        """Nodes that compute the module's answer to the value `source`; the name of the answer."""
        match module:
            case nn.Sequential():
                for name, part in module.named_children():
                    source = self.module(part, f"{path}.{name}", source)
                return source
            case ResidualBlock():
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
        raise TypeError(f"no ONNX form for {type(module).__name__}; add it to onnx_export.py")

    def block(self, module: ResidualBlock, path: str, source: str) -> str:
        """Two convolutions around a bypass."""
        inner = self.module(module.second, f"{path}.second", self.module(module.first, f"{path}.first", source))
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


class _Int8Builder(_Builder):
    """Between stem and heads every value is a byte with a scale (`quantization.py`).

    Written as pairs of QuantizeLinear and DequantizeLinear around the usual nodes, which every ONNX runtime
    understands and ONNX Runtime turns into convolutions of whole numbers. A value's name here is that of the floats
    which its bytes stand for.
    """

    def __init__(self, ranges: Ranges) -> None:
        super().__init__()
        self._scales = {name: scale_of(found) for name, found in ranges.items()}
        self._scale_of: dict[str, Scale] = {}  # of the bytes behind a value

    def module(self, module: nn.Module, path: str, source: str) -> str:
        answer = super().module(module, path, source)
        return self._through_bytes(answer, "stem") if path == "stem" else answer

    def block(self, module: ResidualBlock, path: str, source: str) -> str:
        inner = self._convolution(
            module.second, f"{path}.second", self._convolution(module.first, f"{path}.first", source)
        )
        # A range from 0 on has no bytes below: becoming bytes is the ReLU, here and after the first convolution.
        return self._through_bytes(self.add("Add", [source, inner], output=f"{path}.sum"), path)

    def _convolution(self, module: nn.Sequential, path: str, source: str) -> str:
        """Convolution and normalisation, from bytes to bytes."""
        convolution, normalisation = module[0], module[1]
        assert isinstance(convolution, nn.Conv2d)
        assert isinstance(normalisation, nn.BatchNorm2d)
        weights, sizes, bias = quantized(convolution, normalisation)
        sizes_of_sums = sizes * self._scale_of[source].size  # what a sum of products stands for
        counts = np.rint(bias / sizes_of_sums).clip(-(2**30), 2**30).astype(np.int32)
        weight, offset = (
            self._floats(f"{path}.weight", weights, sizes),
            self._floats(f"{path}.bias", counts, sizes_of_sums),
        )
        return self._through_bytes(self.add("Conv", [source, weight, offset], output=f"{path}.sum", pads=[1] * 4), path)

    def _floats(self, name: str, whole: npt.NDArray[Any], sizes: npt.NDArray[np.float32]) -> str:
        """What whole numbers [O, ...] stand for, by their sizes [O]."""
        zeros = self.array(f"{name}.zeros", np.zeros(len(sizes), whole.dtype))
        inputs = [self.array(f"{name}.whole", whole), self.array(f"{name}.sizes", sizes), zeros]
        return self.add("DequantizeLinear", inputs, output=name, axis=0)

    def _through_bytes(self, value: str, path: str) -> str:
        """The floats that are left of a value when it has been bytes."""
        scale = self._scales[path]
        pair = [self.array(f"{path}.size", np.array(scale.size)), self.array(f"{path}.zero", np.array(scale.zero))]
        self.add("QuantizeLinear", [value, *pair], output=f"{path}.bytes")
        self.add("DequantizeLinear", [f"{path}.bytes", *pair], output=f"{path}.floats")
        self._scale_of[f"{path}.floats"] = scale
        return f"{path}.floats"
