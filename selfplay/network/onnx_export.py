"""From a torch network to the ONNX file that workers play with.

The network is traced symbolically (torch.fx) and each of the few operations it uses becomes one ONNX node; an
operation that is not in the table below is an error. That takes milliseconds and no further package, where torch's
own exporter takes seconds at the start of every run. `tests/test_onnx_export.py` holds the two against each other.
Batch normalisation stays as it is: ONNX Runtime folds it when it loads the file.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, fx, nn

OPSET = 17
_IR_VERSION = 8  # read by every ONNX Runtime since 1.12


def to_onnx(network: nn.Module, planes_shape: tuple[int, int, int], metadata: Mapping[str, str]) -> bytes:
    """The network in inference mode as an ONNX file.

    Input "planes" [n, P, H, W] float32; outputs "policy_logits" [n, A] and "outcome" [n, 3] (probabilities of win,
    draw, loss for the player to move). The same network gives the same bytes.

    Raises:
        TypeError: the network uses an operation that has no entry here.
    """
    builder = _Builder(network)
    logits, outcome = builder.run()
    builder.add("Identity", [logits], output="policy_logits")
    builder.add("Softmax", [outcome], output="outcome", axis=-1)
    graph = helper.make_graph(
        builder.nodes,
        "selfplay",
        [helper.make_tensor_value_info("planes", TensorProto.FLOAT, ["n", *planes_shape])],
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
    """Walks the traced network and collects ONNX nodes; values are named after fx's nodes."""

    def __init__(self, network: nn.Module) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self._network = network
        self._graph = fx.symbolic_trace(network).graph

    def run(self) -> tuple[str, str]:
        """Names of the values that hold the two results."""
        for node in self._graph.nodes:
            if node.op == "placeholder":
                assert node.name == "planes", "the network's forward takes `planes`"
            elif node.op == "call_module":
                module = self._network.get_submodule(node.target)
                self._module(module)(module, node.target, node.args[0].name, node.name)
            elif node.op == "call_function" and node.target in (operator.add, torch.add):
                self.add("Add", [argument.name for argument in node.args], output=node.name)
            elif node.op == "output":
                logits, outcome = node.args[0]
                return logits.name, outcome.name
            else:
                raise TypeError(f"no ONNX form for {node.op} {node.target}; add it to onnx_export.py")
        raise AssertionError("a traced graph ends with its output")

    def add(self, kind: str, inputs: list[str], *, output: str, **attributes: Any) -> None:
        self.nodes.append(helper.make_node(kind, inputs, [output], name=output, **attributes))

    def _weight(self, name: str, tensor: Tensor) -> str:
        array = np.ascontiguousarray(tensor.detach().cpu().numpy())
        self.weights.append(numpy_helper.from_array(array, name))
        return name

    def _module(self, module: nn.Module) -> Callable[[Any, str, str, str], None]:
        table: dict[type[nn.Module], Callable[[Any, str, str, str], None]] = {
            nn.Conv2d: self._convolution,
            nn.BatchNorm2d: self._batch_norm,
            nn.Linear: self._linear,
            nn.ReLU: lambda _, __, source, name: self.add("Relu", [source], output=name),
            nn.Flatten: lambda _, __, source, name: self.add("Flatten", [source], output=name, axis=1),
        }
        if type(module) not in table:
            raise TypeError(f"no ONNX form for {type(module).__name__}; add it to onnx_export.py")
        return table[type(module)]

    def _convolution(self, module: nn.Conv2d, path: str, source: str, name: str) -> None:
        pad_height, pad_width = (int(pad) for pad in module.padding)
        weight = self._weight(f"{path}.weight", module.weight)
        self.add("Conv", [source, weight], output=name, pads=[pad_height, pad_width, pad_height, pad_width])

    def _batch_norm(self, module: nn.BatchNorm2d, path: str, source: str, name: str) -> None:
        assert module.running_mean is not None
        assert module.running_var is not None
        tensors = {
            "weight": module.weight,
            "bias": module.bias,
            "running_mean": module.running_mean,
            "running_var": module.running_var,
        }
        inputs = [self._weight(f"{path}.{key}", tensor) for key, tensor in tensors.items()]
        self.add("BatchNormalization", [source, *inputs], output=name, epsilon=module.eps)

    def _linear(self, module: nn.Linear, path: str, source: str, name: str) -> None:
        inputs = [self._weight(f"{path}.weight", module.weight), self._weight(f"{path}.bias", module.bias)]
        self.add("Gemm", [source, *inputs], output=name, transB=1)
