"""Groups of rows, each without which a score is computed again: what intervals are made of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple

import torch
from torch import Tensor

from torchdisentangle.functional.row_hash import hash_content, hash_index

NUM_GROUPS = 20
_HASHED: ContextVar[dict[Any, Any] | None] = ContextVar("_HASHED", default=None)


class Groups(NamedTuple):
    """What tells rows from others that have the same positions.

    Args:
        sizes: number of rows of each group, ``(20,)``.
        factors: mean of each factor in each group, ``(20, F)``.

    Example:
        >>> groups = Groups(torch.tensor([3, 2]), torch.tensor([[0.5], [1.0]]))
        >>> groups.of_same_rows(groups), groups.of_same_rows(groups._replace(factors=2 * groups.factors))
        (True, False)
    """

    sizes: Tensor
    factors: Tensor

    def of_same_rows(self, other: Groups) -> bool:
        """Whether both are of the same rows, to rounding of sums in another order."""
        if not torch.equal(self.sizes, other.sizes) or self.factors.shape != other.factors.shape:
            return False
        return torch.allclose(self.factors, other.factors, rtol=1e-9, atol=1e-9)


def row_groups(columns: Sequence[Tensor], index: Tensor | None, seed: int = 0) -> Tensor:
    """The group of every row: by its index, or without one by what it holds.

    Args:
        columns: of the rows, each ``(n, width)``.
        index: global positions of the rows, ``(n,)`` integers.
        seed: another seed makes other groups.

    Returns:
        ``(n,)`` integers from 0 to 19, on the device of the first column; the same for any split of the rows, but for
        rows without an index that are equal to others.

    Example:
        >>> row_groups([torch.zeros(4, 1)], torch.arange(4))
        tensor([14, 19, 14,  6])
    """
    if index is not None:
        return groups_of_keys(hash_index(index.to(columns[0].device), seed))
    hashed = _HASHED.get()
    if hashed is None:
        return groups_of_keys(hash_content(columns, seed))
    which = seed, *((x.data_ptr(), x.shape, x.stride(), x.dtype, x.device) for x in columns)
    if which not in hashed:  # with the columns, so that their memory is not used again
        hashed[which] = groups_of_keys(hash_content(columns, seed)), columns
    return hashed[which][0]


@contextmanager
def hashed_once() -> Iterator[None]:
    """Inside this context the same rows are hashed once, however many states ask for their groups.

    The rows must not change meanwhile: it is for one update of several metrics.
    """
    token = _HASHED.set({})
    try:
        yield
    finally:
        _HASHED.reset(token)


def groups_of_keys(keys: Tensor) -> Tensor:
    """The group of every row from its hash, ``(n,)`` integers from 0 to 19."""
    return keys.remainder(NUM_GROUPS)


def group_sizes(groups: Tensor) -> Tensor:
    """Number of rows of each group, ``(20,)``."""
    return torch.bincount(groups, minlength=NUM_GROUPS)
