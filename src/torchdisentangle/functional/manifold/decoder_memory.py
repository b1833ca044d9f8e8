"""How many bytes of tensors are alive at once while a piece of code runs."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Hashable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode


class PeakMemory(TorchDispatchMode):
    """Context that measures the bytes of tensors created inside it, on any device: at once and in all.

    Every storage is counted once, from the operation that creates it until it is freed; tensors that existed before
    are not counted. Allocator overhead and workspaces inside a kernel are not seen.

    Example:
        >>> with PeakMemory() as memory:
        ...     x = torch.zeros(1000, dtype=torch.float64)
        ...     y = (x + 1).sum()
        >>> memory.peak, memory.total
        (16008, 16008)
    """

    def __init__(self) -> None:
        super().__init__()
        self.live: int = 0
        self.peak: int = 0
        self.total: int = 0
        self._alive: dict[int, weakref.ref] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        for leaf in result if isinstance(result, (tuple, list)) else (result,):
            if _is_plain(leaf):
                self._count(leaf, (*args, *kwargs.values()))
        return result

    def _count(self, tensor: Tensor, arguments: tuple) -> None:
        storage = tensor.untyped_storage()
        key, size = storage._cdata, storage.nbytes()
        if key in self._alive or any(key == _key(argument) for argument in arguments if _is_plain(argument)):
            return  # known, or from before

        def free(_: weakref.ref) -> None:
            del self._alive[key]
            self.live -= size

        self._alive[key] = weakref.ref(storage, free)
        self.live += size
        self.total += size
        self.peak = max(self.peak, self.live)


class Footprint(NamedTuple):
    """Bytes of tensors that a piece of code made: the most that were alive at once, and all of them."""

    peak: int
    total: int


_footprints: weakref.WeakKeyDictionary[Any, dict[Hashable, Footprint]] = weakref.WeakKeyDictionary()


def with_footprint(function: Callable[..., Any], inputs: Hashable, work: Callable[[], Any]) -> tuple[Any, Footprint]:
    """Do some work with a function, and tell the footprint of that, which is measured only once.

    Args:
        function: what the work does with it is taken to have the same footprint for the same inputs, as long as the
            function, or the object whose method it is, exists.
        inputs: what the footprint depends on.
        work: what to do.

    Returns:
        The work's result, and its footprint.

    Example:
        >>> def double(x):
        ...     return x + x
        >>> for _ in range(2):
        ...     result, footprint = with_footprint(double, 10, lambda: double(torch.ones(10)))
        ...     print(footprint)
        Footprint(peak=80, total=80)
        Footprint(peak=80, total=80)
    """
    owner, key = getattr(function, "__self__", function), (getattr(function, "__name__", None), inputs)
    try:
        known = _footprints.setdefault(owner, {})
    except TypeError:  # neither hashable nor weakly referable: measured every time
        known = {}
    if key in known:
        return work(), known[key]
    with PeakMemory() as memory:
        result = work()
    known[key] = Footprint(memory.peak, memory.total)
    return result, known[key]


def _is_plain(leaf: Any) -> bool:
    return isinstance(leaf, Tensor) and leaf.layout is torch.strided


def _key(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata


def reuse_freed_memory() -> None:
    """Have the C library keep the memory of freed tensors for the next ones.

    The GNU C library returns large freed blocks to the system and maps them anew, page by page, which can take longer
    than the computation. It keeps blocks up to the size of the largest that was freed so far, if that is at most
    32 MiB. So a block of nearly that size is reserved, never touched, and freed. Elsewhere this does nothing.
    """
    torch.UntypedStorage(2**25 - 2**16)
