"""Groups of rows that share one factor, or all but one, found among the rows there are; and votes of such groups.

The scores of interventions ask for rows in which one factor is held, or moved, and find them: rows that agree in one
factor (and, the factors being independent, differ in the others at random), or in all but one. Where a data set can be
asked for images of any factors, :func:`~torchdisentangle.datasets.intervention_factors` says which rows to encode, so
that such groups exist, and the metric is updated with them as with any others.
"""

from __future__ import annotations

import torch
from torch import Tensor

from torchdisentangle.functional.row_hash import hash_index
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
    codes: Tensor, labels: Tensor, keys: Tensor, parts: Tensor, num_groups: int, group_size: int, seed: int = 0
) -> Tensor:
    """Variances of the codes in random groups of rows that share a factor's value, for several parts of the rows.

    A group is the first rows in an order that is drawn for it, and that depends on the rows alone. So where parts have
    most rows in common, so have their groups; and each part has the groups that it would have by itself.

    Args:
        codes: ``(n, D)``.
        labels: values of the factors, ``(n, F)`` integers.
        keys: a random integer for each row, ``(n,)``, different ones.
        parts: which rows are in each part, ``(P, n)`` booleans.
        num_groups: of each part in all; each factor gets its share.
        group_size: rows of a group, different ones; fewer where fewer have the value, which is uniform over those that
            two rows have.
        seed: of the random choices.

    Returns:
        ``(P, F, num_groups / F, D)``; NaN for a factor of which no two rows share a value.
    """
    num_factors = labels.shape[1]
    share = -(-num_groups // num_factors)
    draws = hash_index(-1 - torch.arange(num_factors * share), seed).view(num_factors, share)  # no key of a row
    in_any = parts.any(0).nonzero()[:, 0]
    codes, labels, keys, parts = codes[in_any], labels[in_any], keys[in_any], parts[:, in_any]
    variances = codes.new_full((len(parts), num_factors, share, codes.shape[1]), torch.nan)
    for variance, column, draw in zip(variances.unbind(1), labels.unbind(1), draws, strict=True):
        order, sizes = column.argsort(stable=True), column.unique(return_counts=True)[1].tolist()
        by_value = [codes[order].split(sizes), keys[order].split(sizes), parts[:, order].split(sizes, 1)]
        repeated = torch.stack([inside.sum(1) > 1 for inside in by_value[2]], 1)
        for pattern in repeated.unique(dim=0):  # mostly all parts have the same values
            alike = (repeated == pattern).all(1).nonzero()
            values = pattern.nonzero()[:, 0].tolist()
            chosen = draw.remainder(max(len(values), 1))
            for number, value in enumerate(values):
                own_codes, own_keys, inside = (of_values[value] for of_values in by_value)
                at_once = max(1, _PIECE // (len(own_keys) * max(len(alike), 2 * codes.shape[1])))
                for groups in (chosen == number).nonzero()[:, 0].split(at_once):
                    variance[alike, groups] = _drawn_variances(
                        own_codes, own_keys, inside[alike[:, 0]], draw[groups, None], group_size
                    )
    return variances


def _drawn_variances(codes: Tensor, keys: Tensor, parts: Tensor, draws: Tensor, size: int) -> Tensor:
    """Variances of codes in the first ``size`` rows of each part, in an order for each draw, ``(P, c, D)``.

    Random numbers times an odd number (modulo ``2 ** 64``) are other random numbers, one for each row.
    """
    reach = size + len(codes) - int(parts.sum(1).min())  # as many rows hold the first ones of every part
    first = (keys * (draws | 1)).topk(min(reach, len(codes)), largest=False).indices
    inside = parts[:, first].transpose(0, 1)
    weights = (inside & (inside.cumsum(2, dtype=torch.int32) <= size)).to(codes)
    steps = codes - codes[0]
    steps = steps - steps.mean(0)
    num_rows = weights.sum(2, keepdim=True)
    sums, squares = (weights @ torch.cat([steps, steps.square()], 1)[first]).chunk(2, dim=2)
    products = squares - sums.square() / num_rows
    equal = products <= num_rows * torch.finfo(codes.dtype).eps * squares  # up to rounding
    return (products.masked_fill(equal, 0.0) / (num_rows - 1)).transpose(0, 1)


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
