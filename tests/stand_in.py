"""A stand-in for a GPU, on any machine: what mixes tensors of two devices fails, as it would on a GPU.

Its tensors say that they are of the device ``meta``, which every build of PyTorch knows, and hold their numbers on the
CPU.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

from torchdisentangle.functional.device import float64_device

STAND_IN = "meta"
_INDEXING = ("index", "index_put", "index_put_", "_index_put_impl_")  # an index on the CPU is sent to the device
_SENDING = ("_to_copy", "copy_", *_INDEXING)


class OnDevice(Tensor):
    """A tensor that says that it lies on another device, which may refuse float64 as Apple's does."""

    values_on_cpu: Tensor

    @staticmethod
    def __new__(cls, values: Tensor) -> OnDevice:
        tensor = Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
            cls, values.shape, dtype=values.dtype, device=STAND_IN, strides=values.stride()
        )
        tensor.values_on_cpu = values
        return tensor

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _done(func, args, kwargs or {})

    def tolist(self) -> Any:
        return self.cpu().tolist()

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec)

    def __repr__(self) -> str:  # type: ignore[override]
        return f"OnDevice({self.values_on_cpu})"


class StandIn(TorchDispatchMode):
    """Inside this context tensors can be made on the device, and sent there: how often is in ``sent``."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = 0
        self._numbers = _NumbersAreSent()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = _done(func, args, kwargs or {})
        here = any(not isinstance(tensor, OnDevice) for tensor in _tensors(args))
        self.sent += isinstance(result, OnDevice) and here and func.overloadpacket.__name__ in _SENDING
        return result

    def __enter__(self) -> StandIn:
        self._numbers.__enter__()
        return super().__enter__()

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        self._numbers.__exit__(*error)


class _NumbersAreSent(TorchFunctionMode):
    """Tensors of Python's numbers, and indices that are lists, are made on the CPU and sent, in sight of the others."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is Tensor.new_tensor and isinstance(args[0], OnDevice):
            return torch.tensor(args[1], dtype=kwargs.get("dtype", args[0].dtype)).to(STAND_IN)
        if func in (torch.tensor, torch.as_tensor) and _is_stand_in(kwargs.get("device")):
            return func(*args, **{**kwargs, "device": None}).to(STAND_IN)
        if func in (Tensor.__getitem__, Tensor.__setitem__):
            parts = args[1] if isinstance(args[1], tuple) else (args[1],)
            parts = tuple(torch.tensor(part) if isinstance(part, list) and part else part for part in parts)
            args = (args[0], parts, *args[2:])
        return func(*args, **kwargs)


def _done(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """What an operation returns, on the device where it would return it; an error if a GPU would refuse it."""
    name, device, tensors = func.overloadpacket.__name__, kwargs.get("device"), _tensors((args, kwargs))
    there = [tensor for tensor in tensors if isinstance(tensor, OnDevice)]
    here = [tensor for tensor in tensors if not isinstance(tensor, OnDevice)]
    if any(tensor.is_meta for tensor in here):
        raise RuntimeError(f"{func} takes a tensor that was made on the device out of sight")
    at_home = isinstance(args[0], OnDevice) if name in _SENDING else bool(there)
    if there and here:
        only_scalars = at_home and not any(tensor.ndim for tensor in here) and any(tensor.ndim for tensor in there)
        if not only_scalars and (name not in _SENDING or (name in _INDEXING and not at_home)):
            raise RuntimeError(f"{func} mixes devices: {_shapes(there)} there, {_shapes(here)} here")
    goes = at_home if device is None else _is_stand_in(device)
    if goes and kwargs.get("generator") is not None:
        raise RuntimeError(f"{func} draws on the device from a generator of the CPU")
    if device is not None:
        kwargs = {**kwargs, "device": torch.device("cpu")}
    knows_float64 = float64_device(STAND_IN).type == STAND_IN
    if there and name == "_to_copy" and kwargs.get("dtype") is torch.float64 and not knows_float64:
        raise TypeError("this device cannot convert to float64, not even on the way to another")
    values = {id(tensor.values_on_cpu): tensor for tensor in there}
    args, kwargs = tree_map_only(OnDevice, lambda tensor: tensor.values_on_cpu, (args, kwargs))
    if name == "_efficientzerotensor":
        func = torch.ops.aten.zeros.default  # the others have no numbers to hold
    result = func(*args, **kwargs)
    if not goes:
        return result

    def back(tensor: Tensor) -> OnDevice:
        if tensor.dtype is torch.float64 and not knows_float64:
            raise TypeError(f"{func} makes float64 where there is none")
        return (
            values[id(tensor)] if id(tensor) in values else OnDevice(tensor)
        )  # an operation in place returns what it was given

    return tree_map_only(Tensor, back, result)


def _tensors(values: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(values) if isinstance(leaf, Tensor)]


def _is_stand_in(device: Any) -> bool:
    return device is not None and torch.device(device).type == STAND_IN


def _shapes(tensors: list[Tensor]) -> list[tuple[int, ...]]:
    return [tuple(tensor.shape) for tensor in tensors]
