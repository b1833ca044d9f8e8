"""Sums whose first dimension grows when a new value or class is seen."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def add_growing(a: Tensor, b: Tensor, name: str = "state") -> Tensor:
    """``a + b``, where a scalar adds to anything and the shorter first dimension is filled up with zeros.

    Args:
        a: a sum.
        b: another.
        name: what to call it in an error.

    Returns:
        The total, in the larger of the two shapes.

    Raises:
        ValueError: if the shapes differ beyond the first dimension.

    Example:
        >>> add_growing(torch.ones(1, 2), torch.ones(3, 2)).sum(1)
        tensor([4., 2., 2.])
    """
    if a.ndim and b.ndim and a.shape != b.shape:
        _check_shapes(a.shape, b.shape, name)
        length = max(len(a), len(b))
        a, b = _filled_up(a, length), _filled_up(b, length)
    return a + b


def grown(total: Tensor, shape: Sequence[int], name: str = "state") -> Tensor:
    """A sum to which increments of a shape can be added in place: itself, if it is large enough.

    A table of counts may be much larger than the number of counts in a batch; adding tables then takes longer than
    counting.

    Args:
        total: a sum; a scalar is zero.
        shape: of the increments.
        name: what to call it in an error.

    Returns:
        The total, contiguous, at least as long as the increments.

    Raises:
        ValueError: if the shapes differ beyond the first dimension.

    Example:
        >>> total = torch.ones(2, 2)
        >>> grown(total, (1, 2)) is total, grown(total, (3, 2))
        (True, tensor([[1., 1.],
                [1., 1.],
                [0., 0.]]))
    """
    if not total.ndim:
        return total.new_zeros(tuple(shape))
    _check_shapes(total.shape, shape, name)
    if total.is_inference() and not torch.is_inference_mode_enabled():
        total = total.clone()  # nothing else may write to it
    return _filled_up(total, shape[0]).contiguous()


def _filled_up(total: Tensor, length: int) -> Tensor:
    missing = length - len(total)
    return total if missing <= 0 else torch.cat([total, total.new_zeros(missing, *total.shape[1:])])


def _check_shapes(a: Sequence[int], b: Sequence[int], name: str) -> None:
    if tuple(a[1:]) != tuple(b[1:]):
        raise ValueError(f"{name}: sums of shapes {tuple(a)} and {tuple(b)} do not belong together")
