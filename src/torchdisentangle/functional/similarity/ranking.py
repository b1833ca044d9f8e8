r"""Unsupervised disentanglement ranking (UDR): are the latents of two models the same up to order, signs and scales?

:math:`R_{ab}` says how strongly latent ``a`` of one model is related to latent ``b`` of another.
"""

from __future__ import annotations

import math

import torch
from scipy.stats import rankdata, t
from torch import Tensor

from torchdisentangle.functional.elbo.gaussian import gaussian_kl
from torchdisentangle.functional.supervised.identifiability import correlation_matrix


def informative_latents(mean: Tensor, log_variance: Tensor, threshold: float = 0.01) -> Tensor:
    r"""Which latents tell anything about the data: their mean KL divergence from the prior exceeds a threshold.

    .. math:: \frac1N \sum_i \tfrac12 \left( \mu_i^2 + \sigma_i^2 - \log \sigma_i^2 - 1 \right) > \tau

    Args:
        mean: of diagonal Gaussian posteriors, ``(N, d)``.
        log_variance: ``(N, d)``.
        threshold: :math:`\tau` in nats.

    Returns:
        ``(d,)`` booleans.

    Example:
        >>> informative_latents(torch.tensor([[0.0, 1.0], [0.0, -1.0]]), torch.tensor([[0.0, -2.0], [0.0, -2.0]]))
        tensor([False,  True])
    """
    return gaussian_kl(mean, log_variance).mean(0) > threshold


def rank_correlations(mean_a: Tensor, mean_b: Tensor) -> Tensor:
    """Absolute rank correlation (Spearman) of all pairs of latents.

    Args:
        mean_a: posterior means of one model, ``(N, d_a)``.
        mean_b: of the other at the same points, ``(N, d_b)``.

    Returns:
        ``(d_a, d_b)`` in [0, 1], in float64; 0 for a constant latent.

    Example:
        >>> rank_correlations(torch.tensor([[0.0], [1.0], [5.0]]), torch.tensor([[3.0, 1.0], [2.0, 1.0], [-9.0, 1.0]]))
        tensor([[1., 0.]], dtype=torch.float64)
    """
    return absolute_correlations(column_ranks(mean_a), column_ranks(mean_b))


def column_ranks(columns: Tensor) -> Tensor:
    """Ranks of the entries of each column, ties averaged.

    Args:
        columns: ``(N, d)``.

    Returns:
        ``(N, d)`` in float64, from 1.

    Example:
        >>> column_ranks(torch.tensor([[0.5, 2.0], [0.1, 2.0]]))
        tensor([[2.0000, 1.5000],
                [1.0000, 1.5000]], dtype=torch.float64)
    """
    return torch.as_tensor(rankdata(columns.detach().double().cpu().numpy(), axis=0), device=columns.device)


def absolute_correlations(columns_a: Tensor, columns_b: Tensor) -> Tensor:
    """Absolute correlation of each column with each of others.

    Args:
        columns_a: ``(N, d_a)``.
        columns_b: ``(N, d_b)``.

    Returns:
        ``(d_a, d_b)`` in [0, 1]; 0 for a constant column.

    Example:
        >>> columns = torch.tensor([[0.0, 7.0], [1.0, 7.0], [2.0, 7.0]])
        >>> absolute_correlations(-columns[:, :1], columns)
        tensor([[1., 0.]])
    """
    both = torch.cat([columns_a, columns_b], dim=1)
    width = columns_a.shape[1]
    return correlation_matrix(both.mean(0), both.mT.cov())[:width, width:].abs()


def chance_correlation(num_points: int, num_pairs: int, significance: float = 0.05) -> float:
    r"""The absolute correlation that the largest of many exceeds by chance alone, with a small probability.

    .. math:: \Pr \Bigl[ \max_m |r_m| > c \Bigr] = \alpha, \quad r_m \sqrt{\frac{N - 2}{1 - r_m^2}} \sim t_{N - 2}

    of independent pairs of unrelated quantities, exactly for Pearson's correlations of a normal one with any other, and
    closely for rank correlations.

    Args:
        num_points: ``N``, at least 3.
        num_pairs: number of correlations.
        significance: :math:`\alpha`, in (0, 1).

    Returns:
        :math:`c` in (0, 1).

    Raises:
        ValueError: for fewer points, or a significance that is no probability.

    Example:
        >>> round(chance_correlation(1000, 1), 3), round(chance_correlation(1000, 100), 3)
        (0.062, 0.11)
    """
    if num_points < 3 or not 0 < significance < 1:
        raise ValueError(f"3 points and a significance between 0 and 1 are needed, got {num_points} and {significance}")
    of_one = -math.expm1(math.log1p(-significance) / num_pairs)
    beyond = float(t.isf(of_one / 2, num_points - 2))
    return beyond / math.hypot(beyond, math.sqrt(num_points - 2))


def relation_score(relations: Tensor) -> Tensor:
    r"""How far every latent of one model is related to a single latent of the other, and the other way round.

    .. math:: \frac12 \left[ \frac{1}{d_b} \sum_b \frac{(\max_a R_{ab})^2}{\sum_a R_{ab}}
              + \frac{1}{d_a} \sum_a \frac{(\max_b R_{ab})^2}{\sum_b R_{ab}} \right]

    with 0 for a latent that is related to none.

    Args:
        relations: :math:`R`, non-negative, ``(d_a, d_b)``.

    Returns:
        A scalar; between 0 and 1 for relations between 0 and 1, and 0 if a model has no latents.

    Reference:
        Duan et al., *Unsupervised model selection for variational disentangled representation learning*, ICLR 2020.

    Example:
        >>> relation_score(torch.eye(3)), relation_score(torch.ones(2, 2))
        (tensor(1.), tensor(0.5000))
    """
    if relations.numel() == 0:
        return relations.new_zeros(())
    sides = [(relations.amax(dim).square() / relations.sum(dim)).nan_to_num(0.0).mean() for dim in (0, 1)]
    return torch.stack(sides).mean()
