r"""Scores from the mutual information between codes and factors: gaps between the best and the second best.

All take the matrix :math:`I_{kf} = I(z_k; y_f)`, ``(d, F)`` in nats, from
:func:`~torchdisentangle.functional.supervised.information.mutual_information` or any other estimator, and the factors'
entropies :math:`H(y_f) > 0`, ``(F,)``. With a single code or factor the second best is 0. All are differentiable.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

_TIE = 64.0  # units in the last place: information that differs by less is equal but for rounding


class TopTwo(NamedTuple):
    """Largest and second largest entry, and where the largest is."""

    best: Tensor
    second: Tensor
    where: Tensor


def top_two(values: Tensor, dim: int) -> TopTwo:
    """Largest and second largest entry along a dimension; the second of a single entry is 0.

    Example:
        >>> top_two(torch.tensor([[0.2, 0.9], [0.5, 0.1]]), dim=0)
        TopTwo(best=tensor([0.5000, 0.9000]), second=tensor([0.2000, 0.1000]), where=tensor([1, 0]))
    """
    top, index = values.topk(min(2, values.shape[dim]), dim=dim)
    best = top.select(dim, 0)
    second = top.select(dim, 1) if top.shape[dim] > 1 else torch.zeros_like(best)
    return TopTwo(best, second, index.select(dim, 0))


def mutual_information_gap(mutual_information: Tensor, factor_entropy: Tensor) -> Tensor:
    r"""Mutual information gap (MIG) of every factor: is it in one code only?

    .. math:: \mathrm{MIG}_f = \frac{I_{(1) f} - I_{(2) f}}{H(y_f)}

    Args:
        mutual_information: ``(d, F)`` in nats.
        factor_entropy: ``(F,)`` in nats, positive.

    Returns:
        ``(F,)``, between 0 (two codes know equally much, or none knows anything) and 1.

    Reference:
        Chen et al., *Isolating sources of disentanglement in variational autoencoders*, NeurIPS 2018.

    Example:
        >>> mutual_information_gap(torch.tensor([[0.6, 0.0], [0.1, 0.3]]), torch.tensor([0.7, 0.7]))
        tensor([0.7143, 0.4286])
    """
    best, second, _ = top_two(mutual_information, dim=0)
    return (best - second) / factor_entropy


def mutual_information_gap_sup(mutual_information: Tensor, factor_entropy: Tensor) -> Tensor:
    r"""MIG-sup of every code: does it know one factor only?

    .. math:: \mathrm{MIG\text{-}sup}_k = J_{k (1)} - J_{k (2)}, \quad J_{kf} = I_{kf} / H(y_f)

    Args:
        mutual_information: ``(d, F)`` in nats.
        factor_entropy: ``(F,)`` in nats, positive.

    Returns:
        ``(d,)``, between 0 and 1.

    Reference:
        Li et al., *Progressive learning and disentanglement of hierarchical representations*, ICLR 2020.

    Example:
        >>> mutual_information_gap_sup(torch.tensor([[0.7, 0.0], [0.35, 0.7]]), torch.tensor([0.7, 0.7]))
        tensor([1.0000, 0.5000])
    """
    best, second, _ = top_two(mutual_information / factor_entropy, dim=1)
    return best - second


def dci_mig(mutual_information: Tensor, factor_entropy: Tensor) -> Tensor:
    r"""DCIMIG: both at once, as far as codes that know one factor only cover the factors.

    .. math:: \mathrm{DCIMIG} = \frac{\sum_f \max_{k : f_k = f} g_k}{\sum_f H(y_f)}, \quad
              g_k = I_{k (1)} - I_{k (2)}, \; f_k = \arg\max_f I_{kf}

    Args:
        mutual_information: ``(d, F)`` in nats.
        factor_entropy: ``(F,)`` in nats.

    Returns:
        A scalar between 0 and 1.

    Reference:
        Sepliarskaia, Kiseleva & de Rijke, *How to not measure disentanglement*, 2019.

    Example:
        >>> dci_mig(torch.tensor([[0.7, 0.0], [0.35, 0.7]]), torch.tensor([0.7, 0.7]))
        tensor(0.7500)
    """
    best, second, factor = top_two(mutual_information, dim=1)
    mine = factor[:, None] == torch.arange(mutual_information.shape[1], device=factor.device)
    credited = torch.where(mine, (best - second)[:, None], 0.0)
    return credited.amax(0).sum() / factor_entropy.sum()


def jemmig(mutual_information: Tensor, joint_entropy: Tensor) -> Tensor:
    r"""Joint entropy minus mutual information gap (JEMMIG) of every factor. Lower is better.

    .. math:: \mathrm{JEMMIG}_f = H(z_{k^*}, y_f) - I_{(1) f} + I_{(2) f}, \quad k^* = \arg\max_k I_{kf}

    It is :math:`H(z_{k^*} | y_f) + H(y_f | z_{k^*}) + I_{(2) f}`, so beside a second code that knows the factor it
    punishes a best code that knows something else too. Of codes that know equally much, the one with the smallest
    joint entropy is the best one, so the order of codes does not matter.

    Args:
        mutual_information: ``(d, F)`` in nats.
        joint_entropy: :math:`H(z_k, y_f)`, ``(d, F)`` in nats.

    Returns:
        ``(F,)`` in nats; for ``B`` bins between 0 and :math:`H(y_f) + \log B`.

    Reference:
        Do & Tran, *Theory and evaluation metrics for learning disentangled representations*, ICLR 2020.

    Example:
        >>> jemmig(torch.tensor([[0.7], [0.1]]), torch.tensor([[0.7], [1.4]]))
        tensor([0.1000])
    """
    best, second, _ = top_two(mutual_information, dim=0)
    rounding = _TIE * torch.finfo(best.dtype).eps * (1 + best.detach())
    tied = mutual_information >= best - rounding
    return joint_entropy.masked_fill(~tied, torch.inf).amin(0) - best + second


def normalized_jemmig(jemmig: Tensor, factor_entropy: Tensor, num_bins: int) -> Tensor:
    r"""JEMMIG as a score between 0 and 1. Higher is better.

    .. math:: 1 - \frac{\mathrm{JEMMIG}_f}{H(y_f) + \log B}

    The authors' implementation reports the fraction itself (lower is better), later studies its complement, as here.

    Args:
        jemmig: ``(F,)`` in nats.
        factor_entropy: ``(F,)`` in nats.
        num_bins: number of bins ``B`` of a code.

    Returns:
        ``(F,)``, between 0 and 1.

    Reference:
        Do & Tran, ICLR 2020; Zaidi et al., *Measuring disentanglement: a review of metrics*, 2020 (the complement).

    Example:
        >>> normalized_jemmig(torch.tensor([0.0, 0.6931]), torch.tensor([0.6931, 0.6931]), num_bins=2)
        tensor([1.0000, 0.5000])
    """
    most = factor_entropy + torch.log(torch.tensor(float(num_bins)).to(factor_entropy))
    return 1 - jemmig / most


def modularity(mutual_information: Tensor) -> Tensor:
    r"""Modularity of every code: does it know one factor only, measured by squares?

    .. math:: 1 - \frac{\sum_{f \ne f_k} I_{kf}^2}{(F - 1) \, I_{k f_k}^2}, \quad f_k = \arg\max_f I_{kf}

    Args:
        mutual_information: ``(d, F)`` in any unit.

    Returns:
        ``(d,)``, between 0 and 1: 0 for a code that knows nothing, and 1 for one that knows the only factor there is.

    Reference:
        Ridgeway & Mozer, *Learning deep disentangled embeddings with the f-statistic loss*, NeurIPS 2018, Section 3.

    Example:
        >>> modularity(torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]))
        tensor([1., 1., 0.])
    """
    squares = mutual_information.square()
    best = squares.amax(1)
    informative = best > 0
    others = (squares.sum(1) - best) / max(squares.shape[1] - 1, 1)
    return torch.where(informative, 1 - others / torch.where(informative, best, 1.0), 0.0)
