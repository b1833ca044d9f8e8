"""How much of a score is the model, how much its setting, how much the seed?"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence

import torch
from torch import Tensor


def variance_shares(scores: Tensor, *levels: Sequence[Hashable]) -> Tensor:
    r"""Shares of the variance of scores over runs that belong to nested levels, and to what is left.

    .. math:: x_{ijk} = m + a_i + b_{ij} + e_{ijk}, \qquad
              \hat\sigma_e^2 = M_e, \quad
              \hat\sigma_b^2 = \frac{M_b - M_e}{K}, \quad \hat\sigma_a^2 = \frac{M_a - M_b}{J K}

    with the mean squares :math:`M` of a balanced nested analysis of variance, of as many levels as are given. The
    estimates are unbiased, and chance does not count as an effect, as it does in shares of the sums of squares.
    Negative ones count as 0. The shares are the components divided by their sum.

    Args:
        scores: of ``n`` runs, ``(n,)``, or of several scores, ``(n, S)``.
        levels: what each run belongs to, the widest first, such as its model and its model's strength; each within the
            ones before. What is left is what differs between runs that are the same in all of them, such as the seed.

    Returns:
        ``(L + 1,)`` or ``(L + 1, S)`` for ``L`` levels, in float64, the rest last; NaN for a score that is the same for
        all runs, or has a NaN.

    Raises:
        ValueError: if a level has not one entry for every run, no level is given, or the groups of a level are not of
            one number of subgroups, of which there must be at least two.

    Reference:
        Searle, Casella & McCulloch, *Variance Components*, Wiley 1992.

    Example:
        >>> models, strengths = ["a"] * 4 + ["b"] * 4, [0, 0, 1, 1] * 2
        >>> scores = torch.tensor([1.0, 1.0, 2.0, 2.0, 5.0, 5.0, 6.0, 6.0])
        >>> variance_shares(scores, models, strengths)
        tensor([0.9394, 0.0606, 0.0000], dtype=torch.float64)
    """
    if not levels or any(len(level) != len(scores) for level in levels):
        raise ValueError(f"levels with an entry for each of {len(scores)} runs are needed")
    values = scores.detach().double()
    finest = list(zip(*levels, strict=True))
    keys = [[key[: depth + 1] for key in finest] for depth in range(len(levels))]
    counts = [1, *(len(set(level)) for level in keys), len(values)]
    for wide, fine, name in zip(counts, counts[1:], (*range(len(levels)), "rest"), strict=False):
        if fine < 2 * wide or fine % wide:
            raise ValueError(
                f"level {name} divides {wide} groups into {fine}: equally many, at least two each, are needed"
            )
    means = [values.mean(0, keepdim=True).expand_as(values), *(_group_means(values, level) for level in keys), values]
    squares = []
    for depth in range(len(counts) - 1):
        between = (means[depth + 1] - means[depth]).square().sum(0)
        squares.append(between / (counts[depth + 1] - counts[depth]))
    sizes = [len(values) / count for count in counts[1:]]
    below = [*squares[1:], torch.zeros_like(squares[0])]
    parts = torch.stack([(mine - its) / size for mine, its, size in zip(squares, below, sizes, strict=True)]).clamp(
        min=0
    )
    return parts / torch.where(parts.sum(0) > 0, parts.sum(0), math.nan)


def _group_means(values: Tensor, keys: Sequence[Hashable]) -> Tensor:
    """The mean of each run's group, like ``values``; an error unless all groups are of one size."""
    numbers: dict[Hashable, int] = {}
    group = torch.tensor([numbers.setdefault(key, len(numbers)) for key in keys])
    sizes = group.bincount()
    if bool((sizes != sizes[0]).any()):
        raise ValueError(f"groups of equally many runs are needed, got {sorted(set(sizes.tolist()))}")
    sums = values.new_zeros(len(numbers), *values.shape[1:]).index_add(0, group, values)
    return (sums / sizes[0])[group]
