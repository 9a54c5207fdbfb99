"""Looks at every node of an inference file before anything runs it: the file may come from a stranger.

Our files hold some fourteen kinds of nodes, a few attributes with known values, and weights as plain numbers
(`onnx_builder.py`, `onnx_int8.py`). Anything else is refused: loops, other libraries' nodes, weights in files
elsewhere. No torch.
"""

from __future__ import annotations

import math
from pathlib import Path

import onnx

from selfplay.errors import ModelDamaged
from selfplay.network.card import ModelCard

DOMAIN = "com.microsoft"  # of ONNX Runtime's own kinds of nodes
WEIGHT_BYTES: dict[int, int] = {
    onnx.TensorProto.INT64: 8,
    onnx.TensorProto.FLOAT: 4,
    onnx.TensorProto.INT32: 4,
    onnx.TensorProto.INT8: 1,
    onnx.TensorProto.UINT8: 1,
}
# Kind of node -> its attributes -> values that they may have; None = any number
KNOWN: dict[str, dict[str, tuple[object, ...] | None]] = {
    "Add": {},
    "BatchNormalization": {"epsilon": None},
    "Conv": {"pads": ((0, 0, 0, 0), (1, 1, 1, 1))},
    "DequantizeLinear": {},
    "Flatten": {"axis": (1,)},
    "Gemm": {"transB": (1,)},
    "Identity": {},
    "QuantizeLinear": {},
    "Relu": {},
    "Reshape": {},
    "Softmax": {"axis": (-1,)},
    "Transpose": {"perm": ((0, 2, 3, 1),)},
    f"{DOMAIN}.QLinearAdd": {},
    f"{DOMAIN}.QLinearConv": {"pads": ((0, 0, 0, 0), (1, 1, 1, 1)), "channels_last": (1,)},
}
MOST_NODES = 2000  # the largest network that the settings allow has about 600
_ATTRIBUTE = onnx.AttributeProto


def check_graph(model: onnx.ModelProto, card: ModelCard, path: Path) -> None:
    """Raises `ModelDamaged` where the file holds anything that a model of ours does not."""
    if (strange := _strange(model, card)) is not None:
        raise ModelDamaged(path, f"{path}: not a network that selfplay exports: {strange}")


def _strange(model: onnx.ModelProto, card: ModelCard) -> str | None:
    """The first thing that does not belong there."""
    graph = model.graph
    if model.functions or model.training_info or graph.sparse_initializer or graph.quantization_annotation:
        return "it has functions, training information, sparse or quantized weights"
    if {entry.domain for entry in model.opset_import} - {"", DOMAIN} or len(graph.node) > MOST_NODES:
        return f"it uses operations of {[entry.domain for entry in model.opset_import][:5]} in {len(graph.node)} nodes"
    inputs = [(value.name, _dims(value)) for value in graph.input]
    if inputs != [("planes", [None, card.planes, card.rows, card.columns])]:
        return f"its inputs are {inputs[:5]}, expected planes [n, {card.planes}, {card.rows}, {card.columns}]"
    if [value.name for value in graph.output] != ["policy_logits", "outcome"]:
        return f"its outputs are {[value.name for value in graph.output][:5]}"
    found = (_strange_weight(weight) for weight in graph.initializer)
    nodes = (_strange_node(node) for node in graph.node)
    return next((strange for strange in (*found, *nodes) if strange is not None), None)


def _dims(value: onnx.ValueInfoProto) -> list[int | None]:
    """The shape of a value, None where it is open."""
    return [dim.dim_value if dim.HasField("dim_value") else None for dim in value.type.tensor_type.shape.dim]


def _strange_weight(weight: onnx.TensorProto) -> str | None:
    if weight.data_location != onnx.TensorProto.DEFAULT or weight.external_data:
        return f"the weight {weight.name} lies in another file"
    size = WEIGHT_BYTES.get(weight.data_type)
    if size is None or any(dim < 1 for dim in weight.dims):
        return f"the weight {weight.name} is of type {weight.data_type} and shape {list(weight.dims)[:8]}"
    if size * math.prod(weight.dims) != len(weight.raw_data):
        return f"the weight {weight.name} of shape {list(weight.dims)[:8]} has {len(weight.raw_data)} bytes"
    return None


def _strange_node(node: onnx.NodeProto) -> str | None:
    kind = f"{node.domain}.{node.op_type}" if node.domain else node.op_type
    if kind not in KNOWN:
        return f"a node of kind {kind}"
    known = KNOWN[kind]
    for attribute in node.attribute:
        value = _value(attribute)
        allowed = known.get(attribute.name, ())
        if value is None or (allowed is not None and value not in allowed):
            return f"a node {kind} with {attribute.name} = {value}"
    return None


def _value(attribute: onnx.AttributeProto) -> object:
    """The value of an attribute that is a number or a list of whole numbers; None where it is something else."""
    match attribute.type:
        case _ATTRIBUTE.INT:
            return attribute.i
        case _ATTRIBUTE.INTS:
            return tuple(attribute.ints)
        case _ATTRIBUTE.FLOAT if math.isfinite(attribute.f):
            return attribute.f
    return None
