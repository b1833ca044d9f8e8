"""How many bytes of tensors are alive at once while a piece of code runs."""

from __future__ import annotations

import weakref
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class PeakMemory(TorchDispatchMode):
    """Context that measures the peak of the bytes held by tensors created inside it, on any device.

    Every storage is counted once, from the operation that creates it until it is freed; tensors that existed before
    are not counted. Allocator overhead and workspaces inside a kernel are not seen.

    Example:
        >>> with PeakMemory() as memory:
        ...     x = torch.zeros(1000, dtype=torch.float64)
        ...     y = (x + 1).sum()
        >>> memory.peak
        16008
    """

    def __init__(self) -> None:
        super().__init__()
        self.live = 0
        self.peak = 0
        self._seen: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        inputs = {_key(leaf) for leaf in tree_leaves((args, kwargs)) if _is_plain(leaf)}
        result = func(*args, **kwargs)
        for leaf in tree_leaves(result):
            if _is_plain(leaf) and _key(leaf) not in inputs:
                self._count(leaf)
        return result

    def _count(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        key, size = _key(tensor), storage.nbytes()
        if key in self._seen:
            return
        self._seen.add(key)
        self.live += size
        self.peak = max(self.peak, self.live)
        weakref.finalize(storage, self._free, key, size)

    def _free(self, key: int, size: int) -> None:
        self._seen.discard(key)
        self.live -= size


def _is_plain(leaf: Any) -> bool:
    return isinstance(leaf, Tensor) and leaf.layout is torch.strided


def _key(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata
