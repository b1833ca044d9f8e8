r"""How well the values of a factor are those of a single code, cut into bins of equally many rows: formulas of SNC."""

from __future__ import annotations

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor


def equal_count_edges(code: Tensor, num_bins: int) -> Tensor:
    """Inner edges of bins with as equally many rows as equal values allow.

    Args:
        code: ``(n,)``.
        num_bins: how many.

    Returns:
        Ascending edges, at most ``num_bins - 1`` different ones, each in the middle between two values that occur.

    Example:
        >>> equal_count_edges(torch.tensor([0.0, 0.0, 0.0, 1.0, 5.0]), 2)
        tensor([0.5000])
    """
    values, counts = code.unique(return_counts=True)
    if len(values) < 2:
        return values[:0]
    below = counts.cumsum(0)[:-1].double()  # rows below each gap
    wanted = len(code) * torch.arange(1, num_bins, dtype=torch.float64, device=code.device) / num_bins
    gaps = (below - wanted[:, None]).abs().argmin(1).unique()
    return values[gaps].lerp(values[gaps + 1], 0.5)


def bins_of_factor(code: Tensor, num_values: int, train: slice = slice(None)) -> Tensor:
    """Bins of a code, as many as a factor has values, by the training rows, ``(n,)`` integers.

    Args:
        code: ``(n,)``.
        num_values: ``V``.
        train: the rows whose counts are equal.

    Example:
        >>> bins_of_factor(torch.tensor([3.0, 1.0, 2.0, 9.0]), 2)
        tensor([1, 0, 0, 1])
    """
    return torch.bucketize(code.contiguous(), equal_count_edges(code[train], num_values))


def values_of_bins(bins: Tensor, values: Tensor, num_values: int) -> Tensor:
    """The one-to-one map of bins to values under which most rows are right.

    Args:
        bins: ``(n,)`` integers from 0 to ``V - 1``.
        values: of the factor, ``(n,)`` integers from 0 to ``V - 1``.
        num_values: ``V``.

    Returns:
        The value of each bin, ``(V,)``.

    Example:
        >>> values_of_bins(torch.tensor([0, 0, 1, 1]), torch.tensor([1, 1, 0, 1]), 2)
        tensor([1, 0])
    """
    table = torch.bincount(bins * num_values + values, minlength=num_values**2).view(num_values, num_values)
    return torch.as_tensor(linear_sum_assignment(table.cpu().numpy(), maximize=True)[1], device=bins.device)
