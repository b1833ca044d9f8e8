"""Joint tables of codes and factors: how often each bin of each code met each value of each factor."""

from __future__ import annotations

import torch
from torch import Tensor

from torchdisentangle.functional.device import sizes_of
from torchdisentangle.functional.row_blocks import row_blocks


def joint_counts(bins: Tensor, values: Tensor, num_bins: int, num_values: int) -> Tensor:
    r"""Count pairs of code bins and factor values, for all codes and factors at once.

    .. math:: C_{fkbv} = \sum_n 1[b_{nk} = b] \, 1[y_{nf} = v]

    Counts over a flattened index of the table: ``n d F`` increments, a block of rows at a time. Integers add up to the
    same in any order, so a GPU gives the same counts every time.

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
    (num_rows, d), num_factors = bins.shape, values.shape[1]
    table = torch.zeros(num_values, 1, num_factors, d, num_bins, dtype=torch.int64, device=bins.device)
    for rows in row_blocks(num_rows, d * num_factors, sizes_of(bins.device).numbers_each(4)):
        grouped_counts(bins[rows], values[rows], None, num_bins, num_values, into=table)
    return table[:, 0].permute(1, 2, 3, 0).contiguous()


def grouped_counts(
    bins: Tensor,
    values: Tensor,
    groups: Tensor | None,
    num_bins: int,
    num_values: int,
    num_groups: int = 1,
    into: Tensor | None = None,
) -> Tensor:
    r"""Count pairs of code bins and factor values in each of several groups of rows.

    .. math:: C_{vgfkb} = \sum_n 1[y_{nf} = v] \, 1[g_n = g] \, 1[b_{nk} = b]

    Args:
        bins: bins of codes, ``(n, d)`` integers from 0 to ``num_bins - 1``.
        values: values of factors, ``(n, F)`` integers from 0 to ``num_values - 1``.
        groups: of the rows, ``(n,)`` integers from 0 to ``num_groups - 1``; ``None``: all are in the first.
        num_bins: ``B``.
        num_values: ``V``, of the factor with most values.
        num_groups: ``G``.
        into: counts so far, contiguous, to which these are added in place; by default zeros.

    Returns:
        ``(V, G, F, d, B)`` integers: a new value is a new row of the table.

    Example:
        >>> grouped_counts(torch.tensor([[0], [1]]), torch.tensor([[0], [1]]), torch.tensor([0, 1]), 2, 2, 2).flatten(1)
        tensor([[1, 0, 0, 0],
                [0, 0, 0, 1]])
    """
    (_, d), (_, num_factors) = bins.shape, values.shape
    size = num_values * num_groups * num_factors * d * num_bins
    dtype = torch.int32 if size < 2**31 else torch.int64  # half the memory traffic
    first_bin = torch.arange(num_factors * d, dtype=dtype, device=bins.device).view(num_factors, d, 1) * num_bins
    factor_part = values.mT.to(dtype) * (num_groups * num_factors * d * num_bins)
    if groups is not None:
        factor_part = factor_part + groups.to(dtype) * (num_factors * d * num_bins)
    cells = factor_part.contiguous()[:, None] + (bins.mT.to(dtype).contiguous() + first_bin)
    table = counted(cells.flatten(), size, None if into is None else into.view(-1))
    return into if into is not None else table.view(num_values, num_groups, num_factors, d, num_bins)


def counted(cells: Tensor, size: int, into: Tensor | None = None) -> Tensor:
    """How often each number occurs.

    Args:
        cells: ``(n,)`` integers from 0 to ``size - 1``.
        size: of the table.
        into: counts so far, ``(m,)`` of int64 with ``m >= size``, to which these are added in place; by default zeros.

    Returns:
        ``(size,)`` integers.

    Example:
        >>> counted(torch.tensor([0, 2, 2]), 3)
        tensor([1, 0, 2])
    """
    if cells.device.type != "cpu":
        return _scattered(cells, size, into)
    if into is not None and len(into) > len(cells):
        return into.index_add_(0, cells, _ones(cells))
    counts = torch.bincount(cells, minlength=size if into is None else len(into))
    return counts if into is None else into.add_(counts)


def _scattered(cells: Tensor, size: int, into: Tensor | None = None) -> Tensor:
    """The same without a wait: ``bincount`` asks a GPU for the largest number."""
    table = cells.new_zeros(size, dtype=torch.int64) if into is None else into
    return table.scatter_add_(0, cells.long(), _ones(cells))


def _ones(cells: Tensor) -> Tensor:
    return cells.new_ones((), dtype=torch.int64).expand(len(cells))


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
