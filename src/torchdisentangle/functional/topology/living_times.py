r"""Relative living times of holes, their averages and distances.

A filtration of a point cloud opens and closes holes (one-dimensional homology classes). The relative living time
:math:`\mathrm{RLT}_i` is the share of the filtration during which exactly :math:`i` holes are open: a distribution over
hole counts.
"""

from __future__ import annotations

import torch
from torch import Tensor


def relative_living_times(intervals: Tensor, alpha_max: float, max_holes: int = 100) -> Tensor:
    r"""Share of a filtration during which exactly ``i`` holes are open, for each ``i``.

    .. math:: \mathrm{RLT}_i = \frac{1}{\alpha_{\max}} \, \bigl| \{ \alpha \in [0, \alpha_{\max}] : \beta_1(\alpha) = i
              \} \bigr|

    Args:
        intervals: births and deaths of the holes, ``(k, 2)``; a hole is open in ``[birth, death)``, and infinite deaths
            count as ``alpha_max``.
        alpha_max: end of the filtration; at 0 (all points coincide) no hole is ever open.
        max_holes: ``H``; as many holes or more share the last entry.

    Returns:
        ``(H + 1,)`` in float64; the entries sum to 1.

    Raises:
        ValueError: if the intervals have another shape, or ``max_holes`` is not positive.

    Reference:
        Khrulkov & Oseledets, *Geometry Score*, ICML 2018.

    Example:
        >>> relative_living_times(torch.tensor([[0.2, 0.6], [0.4, 0.8]]), 1.0, max_holes=3)
        tensor([0.4000, 0.4000, 0.2000, 0.0000], dtype=torch.float64)
    """
    if intervals.ndim != 2 or intervals.shape[1] != 2:
        raise ValueError(f"intervals must have shape (k, 2), got {tuple(intervals.shape)}")
    if max_holes < 1:
        raise ValueError(f"max_holes must be at least 1, got {max_holes}")
    if alpha_max <= 0:
        return torch.zeros(max_holes + 1, dtype=torch.float64).index_fill(0, torch.tensor(0), 1.0)
    births, deaths = intervals.double().clamp(0.0, alpha_max).unbind(1)
    ends = torch.tensor([0.0, alpha_max], dtype=torch.float64)
    moments, order = torch.cat([births, deaths, ends]).sort()
    steps = torch.cat([torch.ones_like(births), -torch.ones_like(deaths), torch.zeros(2)])[order]
    holes = steps.cumsum(0).round().long()[:-1].clamp(0, max_holes)
    return torch.bincount(holes, moments.diff(), minlength=max_holes + 1) / alpha_max


def quantile_function(distribution: Tensor, num_levels: int = 512) -> Tensor:
    r"""Quantiles of distributions over 0, 1, 2, ... at equally spaced levels.

    .. math:: Q(u_k), \quad u_k = \frac{k + 1/2}{L}, \quad Q(u) = \min \Bigl\{ i : \sum_{j \le i} p_j \ge u \Bigr\}

    Args:
        distribution: ``(..., H + 1)``, entries that sum to 1.
        num_levels: ``L``.

    Returns:
        ``(..., L)`` whole numbers in float64. Their average over distributions is the quantile function of the exact
        Wasserstein-2 barycentre (in one dimension quantile functions average), and the mean absolute difference of two
        is their Wasserstein-1 distance, both to the resolution of the levels.

    Reference:
        Peyré & Cuturi, *Computational Optimal Transport*, 2019, Remarks 2.30 and 9.6.

    Example:
        >>> quantile_function(torch.tensor([0.5, 0.0, 0.5]), num_levels=4)
        tensor([0., 0., 2., 2.], dtype=torch.float64)
    """
    levels = (torch.arange(num_levels, dtype=torch.float64, device=distribution.device) + 0.5) / num_levels
    cumulative = distribution.double().cumsum(-1)
    found = torch.searchsorted(cumulative, levels.expand(*cumulative.shape[:-1], -1).contiguous())
    return found.clamp(max=distribution.shape[-1] - 1).double()


def entropic_barycenter(
    distributions: Tensor, epsilon: float = 1e-2, max_steps: int = 100, tol: float = 1e-4
) -> Tensor:
    r"""Entropy-regularised Wasserstein barycentre of distributions over 0, 1, 2, ..., with equal weights.

    Iterative Bregman projections with the cost :math:`(i - j)^2 / (H - 1)^2`. It is blurred: with the default
    :math:`\varepsilon` over 100 positions a point mass becomes a bell with a standard deviation of seven positions;
    prefer averaged quantile functions, and keep this for comparison with published scores.

    Args:
        distributions: ``(n, H)``.
        epsilon: :math:`\varepsilon`, weight of the entropy.
        max_steps: of the iteration.
        tol: stop when the barycentre moves, and its mass differs from 1, by less than this.

    Returns:
        ``(H,)`` in float64.

    Reference:
        Benamou et al., *Iterative Bregman projections for regularized transportation problems*, 2015; used so by Zhou
        et al., ICLR 2021.

    Example:
        >>> masses = torch.eye(5, dtype=torch.float64)[[1, 3]]
        >>> entropic_barycenter(masses).round(decimals=3)
        tensor([0.0000, 0.0020, 0.9960, 0.0020, 0.0000], dtype=torch.float64)
    """
    rows = distributions.double()
    position = torch.arange(rows.shape[1], dtype=torch.float64, device=rows.device)
    kernel = torch.exp(-(((position[:, None] - position) / max(rows.shape[1] - 1, 1)).square()) / epsilon)
    scaling = torch.ones_like(rows)
    center = torch.zeros_like(position)
    for _ in range(max_steps):
        pushed = (rows / (scaling @ kernel).clamp(min=1e-300)) @ kernel
        previous, center = center, (scaling * pushed).clamp(min=1e-300).log().mean(0).exp()
        scaling = center / pushed.clamp(min=1e-300)
        if (center - previous).norm() <= tol and (1 - center.sum()).abs() <= tol:
            break
    return center


def geometry_score(living_times_a: Tensor, living_times_b: Tensor) -> Tensor:
    r"""Geometry Score between two point clouds, from their mean relative living times.

    .. math:: \sum_i \left( \mathrm{MRLT}^a_i - \mathrm{MRLT}^b_i \right)^2

    Args:
        living_times_a: mean relative living times of one cloud, ``(H,)``.
        living_times_b: of the other.

    Returns:
        A scalar between 0 (same topology) and 2.

    Reference:
        Khrulkov & Oseledets, *Geometry Score*, ICML 2018.

    Example:
        >>> geometry_score(torch.tensor([0.0, 1.0]), torch.tensor([1.0, 0.0]))
        tensor(2.)
    """
    return (living_times_a - living_times_b).square().sum(-1)
