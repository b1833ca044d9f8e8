"""Groups of rows that share one factor, or all but one, found among the rows there are; and votes of such groups.

The scores of interventions ask for rows in which one factor is held, or moved, and find them: rows that agree in one
factor (and, the factors being independent, differ in the others at random), or in all but one. Where a data set can be
asked for images of any factors, :func:`~torchdisentangle.datasets.intervention_factors` says which rows to encode, so
that such groups exist, and the metric is updated with them as with any others.
"""

from __future__ import annotations

import torch
from torch import Tensor

from torchdisentangle.functional.supervised.intervention import alike_but_for

_PIECE = 2**22  # numbers that are gathered at once


def draw_differences(
    codes: Tensor, labels: Tensor, num_groups: int, num_pairs: int, generator: torch.Generator
) -> Tensor:
    """Mean absolute difference of the codes of random pairs of rows that share a factor's value.

    Args:
        codes: ``(n, D)``.
        labels: values of the factors, ``(n, F)`` integers.
        num_groups: in all; each factor gets its share.
        num_pairs: of each group. A pair's first row is any that has a partner, the second any of its partners.
        generator: of the random choices.

    Returns:
        ``(F, num_groups / F, D)``; NaN for a factor of which no two rows share a value.
    """
    share = -(-num_groups // labels.shape[1])
    features = codes.new_full((labels.shape[1], share, codes.shape[1]), torch.nan)
    at_once = max(1, _PIECE // (num_pairs * codes.shape[1]))
    for feature, column in zip(features, labels.unbind(1), strict=True):
        order = column.argsort(stable=True)  # rows of one value are neighbours
        _, size = column.unique(return_counts=True)
        start = (size.cumsum(0) - size).repeat_interleave(size)
        size = size.repeat_interleave(size)
        paired = (size > 1).nonzero()[:, 0]
        if len(paired) == 0:
            continue
        for groups in torch.arange(share).split(at_once):
            shape = (len(groups), num_pairs)
            first = paired[torch.randint(len(paired), shape, generator=generator)]
            step = (torch.rand(shape, generator=generator, dtype=torch.float64) * (size[first] - 1)).long() + 1
            second = start[first] + (first - start[first] + step) % size[first]
            feature[groups] = (codes[order[first]] - codes[order[second]]).abs().mean(1)
    return features


def draw_variances(
    codes: Tensor, labels: Tensor, num_groups: int, group_size: int, generator: torch.Generator
) -> list[Tensor]:
    """Variances of the codes in random groups of rows that share a factor's value.

    Args:
        codes: ``(n, D)``.
        labels: values of the factors, ``(n, F)`` integers.
        num_groups: in all; each factor gets its share.
        group_size: rows of a group, different ones; fewer where fewer have the value, which is uniform over those that
            two rows have.
        generator: of the random choices.

    Returns:
        For each factor ``(num_groups / F, D)``, or ``(0, D)`` if no two rows share a value.
    """
    share = -(-num_groups // labels.shape[1])
    variances = []
    for column in labels.unbind(1):
        rows_of_values = [(column == value).nonzero()[:, 0] for value in column.unique()]
        rows_of_values = [rows for rows in rows_of_values if len(rows) > 1]
        if not rows_of_values:
            variances.append(codes.new_zeros(0, codes.shape[1]))
            continue
        counts = torch.randint(len(rows_of_values), (share,), generator=generator).bincount(
            minlength=len(rows_of_values)
        )
        parts = []
        for rows, count in zip(rows_of_values, counts.tolist(), strict=True):
            if count == 0:
                continue
            drawn = torch.rand(count, len(rows), generator=generator)
            chosen = drawn.topk(min(group_size, len(rows)), largest=False).indices
            parts.append(codes[rows[chosen]].var(1))
        variances.append(torch.cat(parts))
    return variances


def variances_of_groups(codes: Tensor, labels: Tensor, factor: int) -> Tensor:
    """Variances of the codes in every group of rows that agree in all factors but one.

    Args:
        codes: ``(n, D)``.
        labels: values of the factors, ``(n, F)`` integers.
        factor: the one that moves; groups in which it does not are left out.

    Returns:
        ``(G, D)``, in the order of the other factors' values.
    """
    moved = labels[:, factor]
    group = alike_but_for(labels, factor)
    size = group.bincount()
    lowest, highest = (
        torch.zeros_like(size).scatter_reduce(0, group, moved, reduce, include_self=False)
        for reduce in ("amin", "amax")
    )
    counted = size[:, None].to(codes.dtype)
    mean = codes.new_zeros(len(size), codes.shape[1]).index_add(0, group, codes) / counted
    deviations = (codes - mean[group]).square()
    variance = torch.zeros_like(mean).index_add(0, group, deviations) / (counted - 1).clamp(min=1)
    return variance[highest > lowest]


def active_codes(codes: Tensor, prune_threshold: float) -> tuple[Tensor, Tensor]:
    """Variances of the codes, and which codes are neither constant nor below a standard deviation, both ``(D,)``."""
    variance = codes.var(0)
    return variance, (codes.amax(0) > codes.amin(0)) & (variance.sqrt() >= prune_threshold)


def shares_of_votes(votes: list[Tensor], num_codes: int) -> Tensor:
    """Share of each factor's groups that choose each code, ``(F, D)``.

    Args:
        votes: for each factor, the code that each of its groups chooses, integers.
        num_codes: ``D``.

    Example:
        >>> shares_of_votes([torch.tensor([0, 0, 1, 0]), torch.tensor([1])], 2)
        tensor([[0.7500, 0.2500],
                [0.0000, 1.0000]], dtype=torch.float64)
    """
    return torch.stack([torch.bincount(chosen, minlength=num_codes).double() / len(chosen) for chosen in votes])
