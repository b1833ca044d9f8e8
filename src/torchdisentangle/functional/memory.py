"""How many bytes of tensors are alive at once while a piece of code runs, and how much work fits a budget of bytes."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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


class Pace:
    """How many samples, and directions of each, to differentiate at once.

    Memory grows at most in proportion to both, so that a small measured step tells what surely fits. Samples are taken
    together only once all directions are.

    Args:
        num_rows: samples in all.
        num_directions: directions in which each is differentiated.
        result_bytes: size of all derivatives of one sample.
        chunk_size: samples at a time, if that is prescribed.
        budget: bytes that may be alive at once, among them the derivatives of this piece and of the one before.

    Example:
        >>> pace = Pace(num_rows=100, num_directions=10, result_bytes=1000, chunk_size=None, budget=100_000)
        >>> pace.rows, pace.directions
        (2, 2)
        >>> pace.learn(4 * 400)
        >>> pace.rows, pace.directions
        (20, 10)
    """

    def __init__(
        self, num_rows: int, num_directions: int, result_bytes: int, chunk_size: int | None, budget: int | None
    ) -> None:
        self.num_rows, self.num_directions, self.result_bytes = num_rows, num_directions, result_bytes
        self.rows, self.directions = chunk_size or num_rows, num_directions
        self.budget = budget
        self.settled = chunk_size is not None or budget is None or (num_rows <= 2 and num_directions <= 2)
        if not self.settled:
            self.rows, self.directions = min(2, num_rows), min(2, num_directions)

    def learn(self, peak: int) -> None:
        """After a step of this many rows and directions had this many bytes alive, choose the next."""
        assert self.budget is not None
        cells = self.rows * self.directions
        of_direction, fewest = peak / cells, min(2, self.num_rows)
        fitting = int(self.budget / (of_direction * self.num_directions + self.result_bytes))
        if fitting >= fewest:
            self.rows, self.directions = min(fitting, self.num_rows), self.num_directions
            self.settled = self.rows == self.num_rows or self.rows * self.directions <= 2 * cells
        else:
            left = self.budget / fewest - 2 * self.result_bytes
            self.rows, self.directions = fewest, max(1, int(left / of_direction))
            self.settled = True

    @contextmanager
    def measure(self) -> Iterator[None]:
        """Context in which to differentiate a piece at this pace, from which the next is learnt if need be."""
        if self.settled:
            yield
            return
        with PeakMemory() as memory:
            yield
        self.learn(memory.peak)

    def collect(self, derivatives: Callable[[int, int], Tensor]) -> Tensor:
        """All directions' derivatives, taken as many at once as fit.

        Args:
            derivatives: from the first and last direction to their derivatives ``(directions, rows, ...)``.

        Returns:
            ``(num_directions, rows, ...)``.
        """
        if self.directions == self.num_directions:
            return derivatives(0, self.num_directions)
        result = None
        for start in range(0, self.num_directions, self.directions):
            part = derivatives(start, min(start + self.directions, self.num_directions))
            if result is None:
                result = part.new_empty(self.num_directions, *part.shape[1:])
            result[start : start + len(part)] = part
            del part  # before the next is computed
        assert result is not None
        return result


def _is_plain(leaf: Any) -> bool:
    return isinstance(leaf, Tensor) and leaf.layout is torch.strided


def _key(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata
