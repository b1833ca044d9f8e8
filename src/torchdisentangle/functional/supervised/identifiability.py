r"""How far codes are the factors up to order and scale (MCC), or up to a linear map (:math:`R^2`, CCA).

All are read from the correlations of codes and factors side by side, :math:`\rho` of shape ``(d + F, d + F)``, in which
a constant column has correlation 0, also with itself; so all are exact for any number of rows.
"""

from __future__ import annotations

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from torchdisentangle.functional.supervised.predictability import is_constant

_DEPENDENT = 1e-10  # an eigenvalue below this share of the largest is that of codes that depend on each other


def correlation_matrix(mean: Tensor, covariance: Tensor) -> Tensor:
    """Correlations of columns.

    Args:
        mean: of the columns, ``(width,)``.
        covariance: of the same, ``(width, width)``.

    Returns:
        ``(width, width)`` in [-1, 1]; 0 for a constant column, also on the diagonal.

    Example:
        >>> correlation_matrix(torch.zeros(3), torch.tensor([[4.0, 1, 0], [1, 1, 0], [0, 0, 0]]))
        tensor([[1.0000, 0.5000, 0.0000],
                [0.5000, 1.0000, 0.0000],
                [0.0000, 0.0000, 0.0000]])
    """
    constant = is_constant(mean, covariance.diagonal())
    deviation = covariance.diagonal().masked_fill(constant, 1.0).sqrt()
    correlation = (covariance / deviation / deviation[:, None]).clamp(-1, 1)
    return correlation.masked_fill(constant | constant[:, None], 0.0)


def match_codes(correlation: Tensor) -> Tensor:
    r"""The one-to-one map of factors to codes with the largest sum of absolute correlations.

    .. math:: \arg\max_\pi \sum_f \left| \rho_{\pi(f) f} \right|

    Args:
        correlation: of every code with every factor, ``(d, F)``.

    Returns:
        The code of each factor, ``(F,)`` integers; -1 for a factor without one, where there are fewer codes than
        factors.

    Reference:
        Hyvärinen & Morioka, *Unsupervised feature extraction by time-contrastive learning and nonlinear ICA*, NeurIPS
        2016.

    Example:
        >>> match_codes(torch.tensor([[0.9, 0.8], [-0.8, 0.1]]))
        tensor([1, 0])
    """
    chosen, factors = linear_sum_assignment(correlation.detach().abs().cpu().numpy(), maximize=True)
    codes = torch.full(correlation.shape[1:], -1)
    codes[torch.as_tensor(factors)] = torch.as_tensor(chosen)
    return codes.to(correlation.device)


def matched_correlation(correlation: Tensor, codes: Tensor) -> Tensor:
    """Absolute correlation of every factor with its code.

    Args:
        correlation: ``(d, F)``.
        codes: of the factors, ``(F,)`` integers, such as :func:`match_codes`; -1 for none.

    Returns:
        ``(F,)`` in [0, 1]; 0 for a factor without a code.

    Example:
        >>> matched_correlation(torch.tensor([[0.9, -0.8]]), torch.tensor([-1, 0]))
        tensor([0.0000, 0.8000])
    """
    found = correlation.abs().gather(0, codes.clamp(min=0)[None])[0]
    return found.masked_fill(codes < 0, 0.0)


def linear_r2(correlation: Tensor, num_codes: int) -> Tensor:
    r"""Share of each factor's variance that a linear function of all codes explains.

    .. math:: R^2_f = \rho_{fz} \, \rho_{zz}^{+} \, \rho_{zf}

    Args:
        correlation: of codes and factors, ``(d + F, d + F)``.
        num_codes: ``d``.

    Returns:
        ``(F,)`` in [0, 1]; NaN for a constant factor.

    Example:
        >>> linear_r2(torch.tensor([[1.0, 0.0, 0.6], [0.0, 1.0, 0.6], [0.6, 0.6, 1.0]]), num_codes=2)
        tensor([0.7200])
    """
    known = _whitening(correlation[:num_codes, :num_codes]).mT @ correlation[:num_codes, num_codes:]
    constant = correlation.diagonal()[num_codes:] == 0
    return known.square().sum(0).clamp(max=1).masked_fill(constant, torch.nan)


def canonical_correlations(correlation: Tensor, num_codes: int) -> Tensor:
    r"""Canonical correlations of codes and factors: of the best pairs of linear functions, in descending order.

    .. math:: \operatorname{singular\ values\ of}\ \rho_{zz}^{-1/2} \, \rho_{zf} \, \rho_{ff}^{-1/2}

    Args:
        correlation: of codes and factors, ``(d + F, d + F)``.
        num_codes: ``d``.

    Returns:
        ``(min(d, F),)`` in [0, 1]; 0 for pairs that constant or dependent columns leave out.

    Reference:
        Hotelling, *Relations between two sets of variates*, Biometrika 1936.

    Example:
        >>> canonical_correlations(torch.tensor([[1.0, 0.0, 0.6], [0.0, 1.0, 0.6], [0.6, 0.6, 1.0]]), num_codes=2)
        tensor([0.8485])
    """
    codes, factors = (_whitening(correlation[part, part]) for part in (slice(num_codes), slice(num_codes, None)))
    found = torch.linalg.svdvals(codes.mT @ correlation[:num_codes, num_codes:] @ factors).clamp(max=1)
    all_pairs = correlation.new_zeros(min(num_codes, len(correlation) - num_codes))
    all_pairs[: len(found)] = found
    return all_pairs


def _whitening(correlation: Tensor) -> Tensor:
    """A map ``(d, rank)`` to uncorrelated variables of variance one."""
    values, vectors = torch.linalg.eigh(correlation)
    kept = values > _DEPENDENT * values[-1].clamp(min=_DEPENDENT)
    return vectors[:, kept] / values[kept].sqrt()
