"""Interventional robustness of several parts of the rows at once, such as all rows but one group after the other."""

from __future__ import annotations

import torch
from torch import Tensor


def robustness_of_parts(
    codes: Tensor, labels: Tensor, parts: Tensor, quantile: float = 1.0, consistent: bool = True
) -> Tensor:
    """What :func:`~torchdisentangle.functional.interventional_robustness` is for each of several parts of the rows.

    Args:
        codes: ``(N, D)``.
        labels: values of the factors, ``(N, F)`` integers.
        parts: which rows are in each part, ``(P, N)`` booleans; cheap where they are most rows.
        quantile: in (0, 1].
        consistent: whether the denominator is the same quantile, or always the maximum.

    Returns:
        ``(P, D, F)``, up to rounding.

    Example:
        >>> codes, labels = torch.arange(6.0)[:, None], torch.tensor([[0], [0], [1], [1], [1], [1]])
        >>> robustness_of_parts(codes, labels, torch.tensor([[True] * 6, [True] * 4 + [False] * 2]))[:, 0, 0]
        tensor([0.6000, 0.6667])
    """
    total = deviations_of_parts(codes, parts, quantile if consistent else 1.0)
    matrix = []
    for column in labels.unbind(1):
        sizes, order = column.unique(return_counts=True)[1].tolist(), column.argsort(stable=True)
        inside, num_values = torch.zeros_like(total), torch.zeros_like(total[:, :1])
        for of_value, staying in zip(codes[order].split(sizes), parts[:, order].split(sizes, 1), strict=True):
            several = staying.sum(1, keepdim=True) > 1
            inside += deviations_of_parts(of_value, staying, quantile).where(several, 0.0)
            num_values += several
        relative = inside / num_values.clamp(min=1) / total.where(total > 0, 1.0)
        matrix.append(torch.where(total > 0, 1 - relative, 0.0).masked_fill(num_values < 2, torch.nan))
    return torch.stack(matrix, dim=2)


def deviations_of_parts(codes: Tensor, parts: Tensor, quantile: float = 1.0) -> Tensor:
    """Quantiles of the deviations from the mean of each part of the rows.

    Whatever the mean is, the rows farthest from it are among the smallest or the largest: so all parts look at the same
    few rows, which are found once.

    Args:
        codes: ``(N, D)``.
        parts: which rows are in each part, ``(P, N)`` booleans.
        quantile: 1 for the maximum.

    Returns:
        ``(P, D)``, 0 where the code is constant; for a part without rows, whatever.

    Example:
        >>> deviations_of_parts(torch.tensor([[0.0], [1.0], [5.0]]), torch.tensor([[True] * 3, [True, True, False]]))
        tensor([[3.0000],
                [0.5000]])
    """
    size = parts.sum(1)
    position = quantile * (size - 1).double()
    low, high = position.floor(), position.ceil()
    rank = (size - 1 - low).long().clamp(min=0)  # in descending order; mostly small
    farthest = int(rank.max()) + 1
    mean = (parts.to(codes) @ codes / size[:, None])[..., None]
    by_code, staying = _both_ends(codes.mT.contiguous(), parts, farthest)
    outside = ~staying
    constant = by_code.masked_fill(outside, -torch.inf).amax(2) == by_code.masked_fill(outside, torch.inf).amin(2)
    largest = (by_code - mean).abs().masked_fill(outside, -1.0).topk(farthest).values
    found, above = (
        largest.gather(2, at[:, None, None].expand(-1, largest.shape[1], 1))[..., 0]
        for at in (rank, (rank - (high - low).long()).clamp(min=0))
    )
    return found.lerp(above, (position - low).to(codes)[:, None]).masked_fill(constant, 0.0)  # the mean is rounded


def _both_ends(by_code: Tensor, parts: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Enough of the smallest and the largest codes that ``count`` of each are in every part, and who is in it.

    Args:
        by_code: ``(D, N)``.
        parts: ``(P, N)`` booleans.
        count: how many of each end.

    Returns:
        ``(D, M)``, and booleans ``(P, D, M)``; all codes where the ends would be many of them.
    """
    reach = count + count // 4 + 8
    while 4 * reach < by_code.shape[1]:
        ends = torch.cat([by_code.topk(reach, largest=largest, sorted=False).indices for largest in (False, True)], 1)
        staying = parts[:, ends]
        if staying.unflatten(2, (2, reach)).sum(3).min() >= count:
            return by_code.gather(1, ends), staying
        reach *= 2
    return by_code, parts[:, None].expand(-1, len(by_code), -1)
