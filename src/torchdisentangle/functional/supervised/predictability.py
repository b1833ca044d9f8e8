r"""How well single codes, or all of them, predict factors: formulas of SAP and explicitness."""

from __future__ import annotations

import torch
from torch import Tensor

_CONSTANT = 1e-12  # a standard deviation below this share of the mean is rounding
_FARTHEST = 1e30  # standard deviations


def standardize(codes: Tensor, rows: slice = slice(None)) -> Tensor:
    """Codes with mean zero and standard deviation one.

    Args:
        codes: ``(n, D)``.
        rows: which rows have that mean and deviation, such as those that a predictor is trained on.

    Returns:
        ``(n, D)``; 0 for a constant code, and at most 1e30, for predictors that compute in single precision.

    Example:
        >>> standardize(torch.tensor([[0.0, 5.0], [1.0, 5.0], [2.0, 5.0]]))
        tensor([[-1.,  0.],
                [ 0.,  0.],
                [ 1.,  0.]])
    """
    deviation = codes[rows].std(0)
    standard = (codes - codes[rows].mean(0)) / deviation.where(deviation > 0, torch.ones_like(deviation))
    return standard.clamp(-_FARTHEST, _FARTHEST)


def is_constant(mean: Tensor, variance: Tensor) -> Tensor:
    """Whether columns are constant but for rounding, booleans of the shape of ``mean``."""
    return variance <= (_CONSTANT * mean).square()


def squared_correlation(mean: Tensor, covariance: Tensor, num_codes: int) -> Tensor:
    r"""Squared correlation of every code with every factor.

    .. math:: R^2_{df} = \operatorname{cov}(z_d, y_f)^2 / (\operatorname{var} z_d \operatorname{var} y_f)

    Args:
        mean: of codes and factors, one after the other, ``(D + F,)``.
        covariance: of the same, ``(D + F, D + F)``.
        num_codes: ``D``.

    Returns:
        ``(D, F)`` in [0, 1]; 0 for a constant code, NaN for a constant factor.

    Reference:
        Kumar et al., *Variational Inference of Disentangled Latent Concepts from Unlabeled Observations*, ICLR 2018,
        Section 3.

    Example:
        >>> squared_correlation(torch.zeros(3), torch.tensor([[4.0, 0, 1], [0, 1, 0], [1, 0, 1]]), num_codes=2)
        tensor([[0.2500],
                [0.0000]])
    """
    variance = covariance.diagonal()
    constant = is_constant(mean, variance)
    safe = variance.masked_fill(constant, 1.0)
    squared = covariance[:num_codes, num_codes:].square() / (safe[:num_codes, None] * safe[num_codes:])
    squared = squared.clamp(max=1).masked_fill(constant[:num_codes, None], 0.0)
    return squared.masked_fill(constant[num_codes:], torch.nan)


def predictability_gap(scores: Tensor) -> Tensor:
    r"""Separated attribute predictability of each factor: what the best code is ahead of the second best.

    .. math:: \mathrm{SAP}_f = S_{(1) f} - S_{(2) f}

    Args:
        scores: how well code ``d`` predicts factor ``f``, ``(D, F)``.

    Returns:
        ``(F,)``; with a single code its score. NaN for a factor with a score that is NaN.

    Reference:
        Kumar et al., ICLR 2018, Section 3.

    Example:
        >>> predictability_gap(torch.tensor([[1.0, 0.5], [0.25, 0.5], [0.0, 0.0]]))
        tensor([0.7500, 0.0000])
    """
    if scores.ndim != 2 or scores.numel() == 0:
        raise ValueError(f"scores must have shape (D, F), got {tuple(scores.shape)}")
    if len(scores) == 1:
        return scores[0]
    best, second = scores.topk(2, dim=0).values
    return best - second


def one_vs_rest_auc(scores: Tensor, labels: Tensor) -> Tensor:
    r"""Area under the ROC curve of each class against all others.

    .. math:: \mathrm{AUC}_v = P(s_v(x) > s_v(x')) + \tfrac12 P(s_v(x) = s_v(x')), \quad y(x) = v,\ y(x') \ne v

    Args:
        scores: of each class, ``(N, V)``; larger for rows that look more like the class.
        labels: the rows' classes, ``(N,)`` integers.

    Returns:
        ``(V,)`` in [0, 1], 0.5 at chance; NaN for a class of which there are no rows, or nothing but rows.

    Reference:
        Mann & Whitney, 1947 (the area is their statistic over the number of pairs).

    Example:
        >>> one_vs_rest_auc(torch.tensor([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7]]), torch.tensor([0, 1, 1]))
        tensor([1., 1.], dtype=torch.float64)
    """
    areas = []
    for value, column in enumerate(scores.unbind(1)):
        inside = labels == value
        positives, negatives = inside.sum().double(), (~inside).sum().double()
        _, rank_of, ties = column.unique(return_inverse=True, return_counts=True)
        midranks = ties.cumsum(0).double() - 0.5 * (ties - 1)
        wins = midranks[rank_of][inside].sum() - positives * (positives + 1) / 2
        areas.append(wins / (positives * negatives))
    return torch.stack(areas)
