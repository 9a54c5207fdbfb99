"""Looks at everything in a checkpoint before it is used: it may come from a stranger.

torch reads it without running code (`weights_only=True`), but what it then holds may be any plain value: tensors of
other shapes, of a size that no file holds, tables that refer to themselves. Errors are ValueErrors.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from selfplay.network.resnet import NetworkShape, ResNet

MOST_BYTES = 64 << 30  # of a checkpoint; the largest network that the settings allow takes about 25 GB
_MOST_VALUES = 1000  # in what is plain: settings, card, how a round was trained
_KEPT = ({"exp_avg", "exp_avg_sq", "step"}, {"momentum"})  # of a parameter, by AdamW and by Muon


def check_plain(value: object, *, what: str) -> None:
    """Texts, numbers, tables and lists, not too many, however they refer to each other."""
    waiting, seen = [value], 0
    while waiting:
        item, seen = waiting.pop(), seen + 1
        if seen > _MOST_VALUES:
            raise ValueError(f"{what}: more than {_MOST_VALUES} values")
        if type(item) is dict:
            waiting += [*item.keys(), *item.values()][: 2 * _MOST_VALUES]
        elif type(item) in (list, tuple):
            waiting += list(item)[:_MOST_VALUES]  # type: ignore[call-overload]  # a list or a tuple
        elif item is not None and type(item) not in (str, int, float, bool):
            raise ValueError(f"{what}: found a {type(item).__name__}")
        elif type(item) is str and len(item) > 4096:
            raise ValueError(f"{what}: a text of {len(item):,} characters")


def check_tensors(tensors: object, shape: NetworkShape, *, what: str) -> None:
    """Exactly the tensors of the network, of its types and shapes."""
    with torch.device("meta"):
        expected = ResNet(shape).state_dict()
    found = _table(tensors, what)
    if missing := expected.keys() - found.keys():
        raise ValueError(f"{what}: {len(missing)} tensors are missing, the first is {min(missing)}")
    if extra := found.keys() - expected.keys():
        raise ValueError(f"{what}: {len(extra)} unknown tensors, the first is {min(extra, key=str)}")
    for name, model in expected.items():
        _check_tensor(found[name], model.dtype, model.shape, what=f"{what}: {name}")


def check_optimizer(optimizer: object, weights: Mapping[str, Tensor]) -> None:
    """For some parameters of the network, what AdamW or Muon keeps of them."""
    for name, fields in _table(optimizer, "optimizer").items():
        if name not in weights:
            raise ValueError(f"optimizer: unknown parameter {name}")
        if _table(fields, f"optimizer: {name}").keys() not in _KEPT:
            found, expected = sorted(map(str, fields)), [sorted(kept) for kept in _KEPT]
            raise ValueError(f"optimizer: {name}: found the fields {found}, expected one of {expected}")
        for field, value in fields.items():
            shape = () if field == "step" else weights[name].shape
            _check_tensor(value, torch.float32, shape, what=f"optimizer: {name}: {field}")


def _table(value: object, what: str) -> dict[Any, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{what}: found a {type(value).__name__}, expected a table")
    return value


def _check_tensor(value: object, dtype: torch.dtype, shape: tuple[int, ...], *, what: str) -> None:
    if not isinstance(value, Tensor) or value.layout != torch.strided or value.device.type != "cpu":
        raise ValueError(f"{what}: not a plain tensor")
    if value.dtype != dtype or value.shape != shape:
        raise ValueError(f"{what}: found {value.dtype} {tuple(value.shape)}, expected {dtype} {tuple(shape)}")
    if value.untyped_storage().nbytes() < value.numel() * value.element_size():
        raise ValueError(f"{what}: more numbers than the file holds")
