"""Sums over rows of products over all dimensions but one, without dividing by that one.

The product of all dimensions divided by the one would lose digits where that one is narrow. So what comes before a
dimension is multiplied by what comes after it.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import accumulate

import torch
from torch import Tensor

from torchdisentangle.functional.underflow import LogSums, log_sums


def log_sums_of_products(factors: Tensor, shift: Tensor, log_weights: Tensor | None = None) -> LogSums:
    r"""Log-sums :math:`\log \sum_n w_n \prod_{j \ne i} f_{sjn} + \sum_{j \ne i} t_{sj}`, without new exponentials.

    Args:
        factors: :math:`f`, ``(S, d, n)``, of which the largest over rows is 1.
        shift: :math:`t`, ``(S, d)``.
        log_weights: :math:`\log w`, ``(n,)``; by default 0.

    Returns:
        The log-sums ``(S, d)``, without what underflows.

    Example:
        >>> factors = torch.tensor([[[1.0, 0.5], [0.2, 1.0]]]).double()
        >>> log_sums_of_products(factors, torch.zeros(1, 2).double()).value.exp()
        tensor([[1.2000, 1.5000]], dtype=torch.float64)
    """
    others = 1 - torch.eye(shift.shape[1], dtype=shift.dtype, device=shift.device)
    total_shift, weights = shift @ others, None
    if log_weights is not None:
        heaviest = log_weights.amax(0)
        total_shift, weights = total_shift + heaviest, (log_weights - heaviest).exp()
    before, after = _around(factors, torch.mul, 1.0, weights)
    sums = [(a * b).sum(-1) for a, b in zip(before, after, strict=True)]
    return log_sums(torch.stack(sums, dim=1), total_shift)


def log_sums_of_sums(terms: Tensor, log_weights: Tensor | None = None) -> Tensor:
    r"""The same from logarithms, :math:`\log \sum_n w_n e^{\sum_{j \ne i} x_{sjn}}`: nothing underflows.

    Args:
        terms: :math:`x`, ``(S, d, n)``.
        log_weights: :math:`\log w`, ``(n,)``; by default 0.

    Returns:
        The log-sums ``(S, d)``.

    Example:
        >>> log_sums_of_sums(torch.tensor([[[1.0, 0.5], [0.2, 1.0]]]).double().log()).exp()
        tensor([[1.2000, 1.5000]], dtype=torch.float64)
    """
    before, after = _around(terms, torch.add, 0.0, log_weights)
    return torch.stack([(a + b).logsumexp(-1) for a, b in zip(before, after, strict=True)], dim=1)


def _around(
    columns: Tensor, operation: Callable[[Tensor, Tensor], Tensor], neutral: float, first: Tensor | None
) -> tuple[list[Tensor], list[Tensor]]:
    """What comes before each dimension, beginning with ``first``, and what comes after it."""
    each = columns.unbind(1)
    nothing = torch.full_like(each[0], neutral)
    before = accumulate(each[:-1], operation, initial=nothing if first is None else first.expand_as(nothing))
    return list(before), list(accumulate(each[:0:-1], operation, initial=nothing))[::-1]
