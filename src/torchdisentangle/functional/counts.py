"""Joint tables of codes and factors: how often each bin of each code met each value of each factor."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

_HARD_BLOCK, _SOFT_BLOCK = 2**18, 2**21  # numbers held at a time: what fits a cache, and 16 MiB


def joint_counts(bins: Tensor, values: Tensor, num_bins: int, num_values: int) -> Tensor:
    r"""Count pairs of code bins and factor values, for all codes and factors at once.

    .. math:: C_{fkbv} = \sum_n 1[b_{nk} = b] \, 1[y_{nf} = v]

    One pass of ``bincount`` over a flattened index of the table, in blocks of rows: ``n d F`` increments.

    Args:
        bins: bins of codes, ``(n, d)`` integers from 0 to ``num_bins - 1``.
        values: values of factors, ``(n, F)`` integers from 0 to ``num_values - 1``.
        num_bins: ``B``.
        num_values: ``V``, of the factor with most values.

    Returns:
        ``(F, d, B, V)`` integers.

    Example:
        >>> joint_counts(torch.tensor([[0], [1], [1]]), torch.tensor([[0], [1], [1]]), 2, 2)[0, 0]
        tensor([[1, 0],
                [0, 2]])
    """
    (_, d), (_, num_factors) = bins.shape, values.shape
    of_code = torch.arange(d, device=bins.device)[:, None] * num_bins * num_values
    of_factor = torch.arange(num_factors, device=bins.device)[:, None] * d * num_bins * num_values
    table = torch.zeros(num_factors * d * num_bins * num_values, dtype=torch.int64, device=bins.device)
    for rows in _blocks(len(bins), _HARD_BLOCK // max(d * num_factors, 1)):
        code_part = bins[rows].mT * num_values + of_code
        factor_part = values[rows].mT + of_factor
        cells = factor_part[:, None] + code_part
        table += torch.bincount(cells.flatten(), minlength=len(table))
    return table.view(num_factors, d, num_bins, num_values)


def joint_weights(weights: Tensor, values: Tensor, num_values: int) -> Tensor:
    r"""Sum the weights of code bins for each factor value, for all codes and factors at once.

    .. math:: C_{fkbv} = \sum_n Q_{nkb} \, 1[y_{nf} = v]

    Args:
        weights: of bins, ``(n, d, B)``, such as :func:`~torchdisentangle.functional.binning.soft_bins`.
        values: values of factors, ``(n, F)`` integers from 0 to ``num_values - 1``.
        num_values: ``V``, of the factor with most values.

    Returns:
        ``(F, d, B, V)`` of the dtype of the weights; differentiable with respect to them.

    Example:
        >>> joint_weights(torch.tensor([[[0.2, 0.8]], [[1.0, 0.0]]]), torch.tensor([[1], [1]]), 2)[0, 0]
        tensor([[0.0000, 1.2000],
                [0.0000, 0.8000]])
    """
    _, d, num_bins = weights.shape
    flat = weights.flatten(1)
    tables = [flat.new_zeros(num_values, d * num_bins).index_add(0, column, flat) for column in values.mT]
    return torch.stack(tables).view(len(tables), num_values, d, num_bins).permute(0, 2, 3, 1)


def soft_blocks(num_rows: int, d: int, num_bins: int) -> Iterator[slice]:
    """Blocks of rows whose soft bins fit in memory."""
    return _blocks(num_rows, _SOFT_BLOCK // max(d * num_bins, 1))


def _blocks(num_rows: int, size: int) -> Iterator[slice]:
    size = max(size, 1)
    return (slice(start, start + size) for start in range(0, num_rows, size))
