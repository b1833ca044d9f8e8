r"""What happens to codes if one factor is held or moved: formulas of the FactorVAE, beta-VAE and IRS scores."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def alike_but_for(labels: Tensor, factor: int) -> Tensor:
    """Groups of rows that agree in all factors but one.

    Args:
        labels: values of the factors, ``(n, F)`` integers.
        factor: the one in which rows of a group may differ.

    Returns:
        The number of each row's group, ``(n,)`` integers from 0, in the order of the other factors' values.

    Example:
        >>> alike_but_for(torch.tensor([[0, 5], [1, 5], [0, 3]]), factor=0)
        tensor([1, 1, 0])
    """
    others = torch.cat([labels[:, :factor], labels[:, factor + 1 :], torch.zeros_like(labels[:, :1])], dim=1)
    return others.unique(dim=0, return_inverse=True)[1]


def majority_vote_accuracy(votes: Tensor, test_votes: Tensor | None = None) -> Tensor:
    r"""Accuracy of the classifier that guesses, for each code, the factor that voted for it most often.

    .. math:: A = \sum_d T_{f(d), d} \Big/ \sum_{fd} T_{fd}, \quad f(d) = \arg\max_f V_{fd}

    Args:
        votes: how often factor ``f`` chose code ``d``, ``(F, D)``, to learn the majority from.
        test_votes: other votes to be classified, ``(F, D)``; by default the same.

    Returns:
        A scalar in [0, 1], ``1/F`` at chance; 0 without votes.

    Reference:
        Kim & Mnih, *Disentangling by Factorising*, ICML 2018.

    Example:
        >>> majority_vote_accuracy(torch.tensor([[3, 1, 0], [0, 1, 5]]))
        tensor(0.9000)
    """
    tested = votes if test_votes is None else test_votes
    right = tested.gather(0, votes.argmax(0, keepdim=True)).sum()
    return right / tested.sum().clamp(min=torch.finfo(torch.float32).tiny)


def above_chance(accuracy: Tensor, num_classes: int) -> Tensor:
    r"""Accuracy rescaled so that chance is 0 and perfection 1.

    .. math:: (A - 1/F) / (1 - 1/F)

    Args:
        accuracy: in [0, 1].
        num_classes: ``F``; with a single class, which cannot be missed, the result is the accuracy.

    Returns:
        A tensor of the same shape, negative below chance.

    Example:
        >>> above_chance(torch.tensor([1.0, 0.25]), 4)
        tensor([1., 0.])
    """
    return accuracy if num_classes < 2 else (accuracy - 1 / num_classes) / (1 - 1 / num_classes)


def interventional_robustness(codes: Tensor, labels: Tensor, quantile: float = 1.0, consistent: bool = True) -> Tensor:
    r"""Interventional robustness of every code with respect to every factor.

    .. math::

        \mathrm{IRS}_{df} = 1 - \frac{\mathbb{E}_v \, Q_{x : y_f = v} | z_d - \bar z_{d \mid f = v} |}
                                     {Q_x | z_d - \bar z_d |}

    with :math:`Q` the quantile over rows (the maximum, by default) and all values ``v`` weighted equally: 1 if fixing
    the factor fixes the code, whatever the others do.

    Args:
        codes: ``(N, D)``.
        labels: values of the factors, ``(N, F)`` integers. Values with a single row are left out.
        quantile: in (0, 1]; 1 is the paper's worst case, less ignores the rarest rows.
        consistent: whether the denominator is the same quantile, or always the maximum.

    Returns:
        ``(D, F)``, at most 1 and at worst about 0, below which small groups may push it; 0 for a constant code, NaN
        for a factor without two values that have two rows each.

    Reference:
        Suter et al., *Robustly Disentangled Causal Mechanisms*, ICML 2019.

    Example:
        >>> codes = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
        >>> interventional_robustness(codes, torch.tensor([[0], [0], [1], [1]]))
        tensor([[1.],
                [0.]])
    """
    total = maximal_deviation(codes, quantile if consistent else 1.0)
    matrix = []
    for column in labels.unbind(1):
        groups = [codes[column == value] for value in column.unique()]
        deviations = [maximal_deviation(group, quantile) for group in groups if len(group) > 1]
        if len(deviations) < 2:
            matrix.append(torch.full_like(total, torch.nan))
            continue
        relative = torch.stack(deviations).mean(0) / total.where(total > 0, torch.ones_like(total))
        matrix.append(torch.where(total > 0, 1 - relative, 0.0))
    return torch.stack(matrix, dim=1)


def maximal_deviation(codes: Tensor, quantile: float = 1.0) -> Tensor:
    r"""Quantile of the deviations :math:`|z_d - \bar z_d|` from the mean.

    Args:
        codes: ``(N, D)``.
        quantile: 1 for the maximum.

    Returns:
        ``(D,)`` in the codes' unit; 0 for a constant code.

    Example:
        >>> maximal_deviation(torch.tensor([[0.0], [1.0], [5.0]]))
        tensor([3.])
    """
    deviations = (codes - codes.mean(0)).abs()
    constant = codes.amax(0) == codes.amin(0)  # exactly so, where the mean is rounded
    position = quantile * (len(codes) - 1)  # torch.quantile refuses large inputs
    low, high = math.floor(position), math.ceil(position)
    largest = deviations.topk(len(codes) - low, dim=0).values  # in descending order; mostly few
    return largest[-1].lerp(largest[low - high - 1], position - low).masked_fill(constant, 0.0)


def irs_score(matrix: Tensor, deviation: Tensor) -> Tensor:
    r"""Interventional robustness score: the best factor of each code, averaged with the codes' extents as weights.

    .. math:: \mathrm{IRS} = \sum_d w_d \max_f \mathrm{IRS}_{df} \Big/ \sum_d w_d, \quad w_d = \max | z_d - \bar z_d |

    Args:
        matrix: ``(D, F)`` of :func:`interventional_robustness`; factors that are NaN are left out.
        deviation: the weights ``(D,)``.

    Returns:
        A scalar, at most 1; 0 if all codes are constant.

    Reference:
        Suter et al., ICML 2019.

    Example:
        >>> irs_score(torch.tensor([[1.0, 0.0], [0.5, 0.25]]), torch.tensor([1.0, 1.0]))
        tensor(0.7500)
    """
    best = matrix[:, ~matrix.isnan().any(0)].amax(1)
    total = deviation.sum()
    return (best * deviation).sum() / total.where(total > 0, torch.ones_like(total))
