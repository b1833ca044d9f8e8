"""Factors as numbered values."""

from __future__ import annotations

import torch
from torch import Tensor

from torchdisentangle.statistics.checks import Continuous, continuous_columns


def value_labels(factors: Tensor, continuous: Continuous = False, num_bins: int = 10) -> Tensor:
    """Number the values of each factor, in ascending order from 0.

    Args:
        factors: ``(n, F)``.
        continuous: the columns whose values are binned first, as for
            :func:`~torchdisentangle.statistics.checks.continuous_columns`.
        num_bins: how many bins, with equally many rows in each.

    Returns:
        ``(n, F)`` integers.

    Example:
        >>> value_labels(torch.tensor([[5.0], [7.0], [5.0], [20.0]]))[:, 0]
        tensor([0, 1, 0, 2])
        >>> value_labels(torch.linspace(0, 1, 6)[:, None], continuous=True, num_bins=3)[:, 0]
        tensor([0, 0, 1, 1, 2, 2])
    """
    share = torch.linspace(0, 1, num_bins + 1, dtype=torch.float64, device=factors.device)[1:-1]
    columns = []
    for column, real in zip(factors.unbind(1), continuous_columns(continuous, factors.shape[1]), strict=True):
        if real:
            column = torch.bucketize(column.double().contiguous(), column.double().quantile(share), right=True)
        columns.append(column.unique(return_inverse=True)[1])
    return torch.stack(columns, dim=1)
