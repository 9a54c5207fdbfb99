"""From a torch network to the ONNX file that workers play with.

Each module of the network becomes a few ONNX nodes, in 32 bits (`onnx_builder.py`) or with a tower that computes in 8
(`onnx_int8.py`). That takes milliseconds and no further package, where torch's own exporter takes seconds at the start
of every run. `tests/network/test_network.py` holds the results against torch's.
Letters: n positions, P planes, H × W board, A actions.
"""

from __future__ import annotations

from collections.abc import Mapping

import onnx
from onnx import TensorProto, helper

from selfplay.network.onnx_builder import Builder
from selfplay.network.onnx_int8 import Int8Builder
from selfplay.network.quantization import Observations
from selfplay.network.resnet import ResNet

_IR_VERSION = 8  # read by every ONNX Runtime since 1.12


def to_onnx(network: ResNet, metadata: Mapping[str, str], seen: Observations | None = None) -> bytes:
    """The network in inference mode as an ONNX file.

    Input "planes" [n, P, H, W] float32; outputs "policy_logits" [n, A] and "outcome" [n, 3] (probabilities of win,
    draw, loss for the player to move). The same network gives the same bytes.

    Args:
        network: all of it in float32.
        metadata: texts to write into the file.
        seen: the tower's values, for a file whose tower computes in 8 bits; None = all in float32.

    Raises:
        TypeError: the network has a module that has no form here.
    """
    builder = Builder() if seen is None else Int8Builder(seen)
    logits, outcome = builder.network(network)
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
    versions = [helper.make_opsetid(domain, version) for domain, version in builder.domains.items()]
    model = helper.make_model(graph, opset_imports=versions, producer_name="selfplay")
    model.ir_version = _IR_VERSION
    helper.set_model_props(model, dict(sorted(metadata.items())))
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString(deterministic=True))
