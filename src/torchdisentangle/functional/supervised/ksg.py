"""Mutual information of numbers with numbers, from distances to nearest neighbours."""

from __future__ import annotations

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from torchdisentangle.functional.supervised.ross import check_neighbours
from torchdisentangle.functional.supervised.sorted_neighbours import count_within


def ksg_mutual_information(codes: Tensor, factors: Tensor, num_neighbours: int = 3) -> Tensor:
    r"""Mutual information of every code with every continuous factor, by nearest neighbours.

    .. math:: I = \psi(N) + \langle \psi(k_i) - \psi(n_{x,i}) - \psi(n_{y,i}) \rangle

    with :math:`k_i = k` and :math:`n_x, n_y` the numbers of rows, itself among them, that are nearer to row ``i`` in
    one variable than its ``k``-th neighbour is in the larger of both distances. Both variables are standardised first.
    Where the ``k``-th neighbour is an equal pair, :math:`k_i` and :math:`n` count the rows that are equal.

    The estimate of strong dependence is too small: a variable's information about itself is infinite, and its estimate
    grows as :math:`\log N`. Cost: a k-d tree of each pair, on the CPU.

    Args:
        codes: ``(N, d)``.
        factors: ``(N, F)``.
        num_neighbours: ``k``, less than ``N``.

    Returns:
        ``(d, F)`` in nats, at least 0, in float64.

    Raises:
        ValueError: if the shapes do not fit, or there are not more rows than neighbours.

    Reference:
        Kraskov, Stögbauer & Grassberger, *Estimating mutual information*, Physical Review E 2004 (the first of its two
        estimators); for ties, Gao et al., *Estimating mutual information for discrete-continuous mixtures*, NeurIPS
        2017.

    Example:
        >>> noise = torch.randn(2, 4000, 1, generator=torch.Generator().manual_seed(0))
        >>> factor = 0.8 * noise[0] + 0.6 * noise[1]  # correlation 0.8: -log(1 - 0.64) / 2 = 0.5108
        >>> bool((ksg_mutual_information(noise[0], factor) - 0.5108).abs() < 0.05)
        True
    """
    check_neighbours(num_neighbours)
    if codes.ndim != 2 or factors.ndim != 2 or len(codes) != len(factors):
        shapes = f"{tuple(codes.shape)} and {tuple(factors.shape)}"
        raise ValueError(f"codes (N, d) and factors (N, F) of the same rows are needed, got {shapes}")
    if len(codes) <= num_neighbours:
        raise ValueError(f"{num_neighbours} neighbours need more rows, got {len(codes)}")
    xs, ys = (_Column.all_of(values) for values in (codes, factors))
    information = torch.tensor([[_of_pair(x, y, num_neighbours) for y in ys] for x in xs], dtype=torch.float64)
    return information.to(codes.device)


def informational_correlation(information: Tensor) -> Tensor:
    r"""Mutual information on a scale from 0 to 1: the correlation of two normal variables that have it.

    .. math:: r = \sqrt{1 - e^{-2 I}}

    A continuous variable has no entropy that its information could be divided by; this scale needs none.

    Args:
        information: in nats, at least 0, of any shape.

    Returns:
        The same shape.

    Reference:
        Linfoot, *An informational measure of correlation*, Information and Control 1957.

    Example:
        >>> informational_correlation(torch.tensor([0.0, 0.5108, torch.inf]))
        tensor([0.0000, 0.8000, 1.0000])
    """
    return (-torch.expm1(-2 * information)).sqrt()


class _Column:
    """A standardised variable, and its numbers in ascending order."""

    def __init__(self, values: Tensor) -> None:
        deviation = values.std(correction=0)
        self.values = ((values - values.mean()) / deviation.where(deviation > 0, 1.0)).contiguous()
        ordered, self.order = self.values.sort()
        self.ordered, self.num_rows = ordered[None], torch.full_like(self.order, len(values))

    @classmethod
    def all_of(cls, values: Tensor) -> list[_Column]:
        return [cls(column) for column in values.detach().cpu().double().unbind(1)]

    def mean_digamma(self, radius: Tensor) -> Tensor:
        """Mean of the digamma function of how many numbers are nearer than each one's radius."""
        near = count_within(self.ordered, 0 * self.num_rows, self.num_rows, radius[self.order][None])
        return torch.digamma(near.double()).mean()


def _of_pair(x: _Column, y: _Column, num_neighbours: int) -> float:
    pairs = np.stack([x.values.numpy(), y.values.numpy()], 1)
    distance, _ = cKDTree(pairs).query(pairs, k=[num_neighbours + 1], p=np.inf)  # the nearest is the row itself
    radius = torch.from_numpy(distance[:, 0])
    neighbours = torch.full_like(radius, num_neighbours)
    if (radius == 0).any():
        _, place, repeats = np.unique(pairs, axis=0, return_inverse=True, return_counts=True)
        neighbours = neighbours.where(radius > 0, torch.from_numpy(repeats[place.reshape(-1)]).double())
    of_rows = torch.digamma(torch.tensor(len(radius), dtype=torch.float64)) + torch.digamma(neighbours).mean()
    return float((of_rows - x.mean_digamma(radius) - y.mean_digamma(radius)).clamp(min=0))
