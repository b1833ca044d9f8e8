r"""Overlap and multiplicity of codes in pairs of rows that differ in one factor alone: formulas of OMES."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from torchdisentangle.functional.supervised.intervention import alike_but_for

Pool = Literal["average", "max"]


def paired_correlation(codes: Tensor, labels: Tensor, factor: int) -> Tensor:
    r"""Correlation of each code between rows that differ in one factor and agree in all others.

    .. math:: \rho_k = \operatorname{corr}(z_k(x), z_k(x')), \quad y_f(x) \ne y_f(x'), \; y_g(x) = y_g(x') \; (g \ne f)

    over all such pairs, in both orders, from sums over groups: no pair is formed.

    Args:
        codes: ``(N, D)``.
        labels: values of the factors, ``(N, F)`` integers from 0.
        factor: ``f``.

    Returns:
        ``(D,)``; NaN if there are no such pairs, and 1 for a code that is constant over them.

    Example:
        >>> labels = torch.cartesian_prod(torch.arange(3), torch.arange(3))
        >>> paired_correlation(labels.double(), labels, 0)  # -1 / (V - 1), and 1
        tensor([-0.5000,  1.0000], dtype=torch.float64)
    """
    codes = (codes - codes.mean(0)).double()
    group = alike_but_for(labels, factor)
    cell = torch.stack([group, labels[:, factor]], 1).unique(dim=0, return_inverse=True)[1]
    ones = torch.ones_like(codes[:, :1])
    partners = (_sums(ones, group) - _sums(ones, cell)).round()  # of every row, (N, 1)
    of_partners = _sums(codes, group) - _sums(codes, cell)
    num_pairs = partners.sum()
    mean = (partners * codes).sum(0) / num_pairs
    square = (partners * codes.square()).sum(0) / num_pairs
    variance, covariance = square - mean.square(), (codes * of_partners).sum(0) / num_pairs - mean.square()
    constant = variance <= 1e-12 * square  # rounding
    correlation = (covariance / variance.masked_fill(constant, 1.0)).clamp(-1, 1)
    return correlation.masked_fill(constant, 1.0) if num_pairs > 0 else torch.full_like(mean, torch.nan)


def omes_per_factor(association: Tensor, alpha: float = 0.5, pool: Pool = "average") -> Tensor:
    r"""Overlap-multiplicity encoding score (OMES) of every factor.

    .. math::

        O_{kf} = 1 - \frac1F \sum_g \bigl| [g = f] - S_{kg} \bigr|, \quad
        M_{kf} = 1 - \frac1D \sum_l \bigl| [l = k] - S_{lf} \bigr|, \quad
        \mathrm{OMES}_f = \frac{\sum_k S_{kf}^2 (\alpha O_{kf} + (1 - \alpha) M_{kf})}{\sum_k S_{kf}}

    Overlap is a code that answers to several factors, multiplicity a factor that several codes answer to.

    Args:
        association: how much code ``k`` answers to factor ``f``, :math:`S` ``(D, F)`` in [0, 1].
        alpha: weight of overlap against multiplicity.
        pool: ``"average"`` as above, or ``"max"`` over codes of :math:`S_{kf} O_{kf}` and of :math:`S_{kf} M_{kf}`.

    Returns:
        ``(F,)`` in [0, 1]; 0 for a factor that no code answers to.

    Reference:
        Dapueto, Noceti & Odone, *Transferring disentangled representations: bridging the gap between synthetic and real
        images*, NeurIPS 2024.

    Example:
        >>> omes_per_factor(torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]))
        tensor([0.8333, 1.0000])
    """
    num_codes, num_factors = association.shape
    off_factor = association.sum(1, keepdim=True) - association + (1 - association).abs()
    off_code = association.sum(0) - association + (1 - association).abs()
    overlap, multiplicity = 1 - off_factor / num_factors, 1 - off_code / num_codes
    if pool == "max":
        return alpha * (association * overlap).amax(0) + (1 - alpha) * (association * multiplicity).amax(0)
    total = association.sum(0)
    weighted = (association.square() * (alpha * overlap + (1 - alpha) * multiplicity)).sum(0)
    return weighted / total.where(total > 0, torch.ones_like(total))


def _sums(rows: Tensor, group: Tensor) -> Tensor:
    """Sum of the rows of every row's group, ``(N, k)``."""
    return rows.new_zeros(int(group.max()) + 1, rows.shape[1]).index_add(0, group, rows)[group]
