"""Joint tables of codes and factors: how often each bin of each code met each value of each factor."""

from __future__ import annotations

import torch
from torch import Tensor


def joint_counts(bins: Tensor, values: Tensor, num_bins: int, num_values: int) -> Tensor:
    r"""Count pairs of code bins and factor values, for all codes and factors at once.

    .. math:: C_{fkbv} = \sum_n 1[b_{nk} = b] \, 1[y_{nf} = v]

    One ``bincount`` over a flattened index of the table: ``n d F`` increments, and as many numbers in memory. Integers
    add up to the same in any order, so a GPU gives the same counts every time.

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
    size = num_factors * d * num_bins * num_values
    dtype = torch.int32 if size < 2**31 else torch.int64  # half the memory traffic
    of_code = torch.arange(d, dtype=dtype, device=bins.device)[:, None] * (num_bins * num_values)
    of_factor = torch.arange(num_factors, dtype=dtype, device=bins.device)[:, None] * (d * num_bins * num_values)
    factor_part = values.mT.to(dtype).contiguous() + of_factor
    code_part = bins.mT.to(dtype).contiguous() * num_values + of_code
    cells = factor_part[:, None] + code_part
    return torch.bincount(cells.flatten(), minlength=size).view(num_factors, d, num_bins, num_values)


def joint_weights(weights: Tensor, values: Tensor, num_values: int) -> Tensor:
    r"""Sum the weights of code bins for each factor value, for all codes and factors at once.

    .. math:: C_{fkbv} = \sum_n Q_{nkb} \, 1[y_{nf} = v]

    Args:
        weights: of bins, ``(n, d, B)``, such as :func:`~torchdisentangle.functional.supervised.binning.soft_bins`.
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
    add = _added_by_product if weights.is_cuda else _added_one_by_one
    tables = [add(weights.flatten(1), column, num_values) for column in values.mT]
    return torch.stack(tables).view(len(tables), num_values, d, num_bins).permute(0, 2, 3, 1)


def _added_one_by_one(rows: Tensor, values: Tensor, num_values: int) -> Tensor:
    """Sums of the rows of each value, ``(V, k)``."""
    return rows.new_zeros(num_values, rows.shape[1]).index_add(0, values, rows)


def _added_by_product(rows: Tensor, values: Tensor, num_values: int) -> Tensor:
    """The same as a product of matrices: a GPU adds one by one in an order that changes from run to run."""
    one_hot = values == torch.arange(num_values, device=values.device)[:, None]
    return one_hot.to(rows) @ rows
