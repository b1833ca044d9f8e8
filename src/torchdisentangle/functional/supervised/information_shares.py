r"""Scores from how the information about a factor is shared out over codes: MED, axis alignment, latent matching.

All take a matrix ``(d, F)`` that says how much code ``k`` knows about factor ``f``, such as
:func:`~torchdisentangle.functional.supervised.information.mutual_information`.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from torchdisentangle.functional.supervised.identifiability import match_codes, matched_correlation
from torchdisentangle.functional.supervised.importance import disentanglement_per_code
from torchdisentangle.functional.supervised.information_gap import top_two


def information_shares(mutual_information: Tensor) -> Tensor:
    r"""Mutual information as a matrix of importances: every code's share of what all codes know about a factor.

    .. math:: R_{kf} = I_{kf} \Big/ \sum_l I_{lf}

    MED is :func:`~torchdisentangle.functional.dci_disentanglement` and
    :func:`~torchdisentangle.functional.dci_completeness` of it.

    Args:
        mutual_information: ``(d, F)``, none negative.

    Returns:
        ``(d, F')`` with columns that sum to 1: those of the ``F'`` factors that some code knows something about.

    Reference:
        Cao et al., *An empirical study on disentanglement of negative-free contrastive learning*, NeurIPS 2022.

    Example:
        >>> information_shares(torch.tensor([[0.6, 0.0, 0.1], [0.2, 0.0, 0.1]]))
        tensor([[0.7500, 0.5000],
                [0.2500, 0.5000]])
    """
    known = mutual_information[:, mutual_information.sum(0) > 0]
    return known / known.sum(0)


def most_disentangled_codes(importance: Tensor, k: int) -> Tensor:
    """For every factor the ``k`` most disentangled of the codes that serve it most.

    Args:
        importance: ``(d, F)``, none negative.
        k: how many codes of a factor, at most.

    Returns:
        Positions of the codes, in ascending order; without those that serve no factor at all.

    Reference:
        Cao et al., NeurIPS 2022 (the choice of top-k MED).

    Example:
        >>> most_disentangled_codes(torch.tensor([[0.9, 0.1], [0.5, 0.0], [0.0, 0.8], [0.0, 0.0]]), 1)
        tensor([1, 2])
    """
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}")
    disentanglement, served = disentanglement_per_code(importance), importance.argmax(1)
    kept = []
    for factor in range(importance.shape[1]):
        codes = ((served == factor) & (importance.sum(1) > 0)).nonzero()[:, 0]
        kept.append(codes[disentanglement[codes].argsort(descending=True, stable=True)[:k]])
    return torch.cat(kept).sort().values


def axis_alignment(mutual_information: Tensor) -> Tensor:
    r"""Axis alignment of every factor: how far one code knows more about it than all others together.

    .. math:: \mathrm{AAM}_f = \frac{\max(0, I_{(1) f} - \sum_{k > 1} I_{(k) f})}{I_{(1) f}}

    Args:
        mutual_information: ``(d, F)`` in any unit, none negative.

    Returns:
        ``(F,)`` in [0, 1]; 0 for a factor that no code knows.

    Example:
        >>> axis_alignment(torch.tensor([[0.8, 0.5, 0.0], [0.2, 0.3, 0.0], [0.0, 0.3, 0.0]]))
        tensor([0.7500, 0.0000, 0.0000])
    """
    best = mutual_information.amax(0)
    ahead = (2 * best - mutual_information.sum(0)).clamp(min=0)
    return torch.where(best > 0, ahead / torch.where(best > 0, best, 1.0), 0.0)


class MatchingScores(NamedTuple):
    """Three scores of a matrix of scores of codes and factors, each ``(F,)``: their means are LMS, MSAS and MSGS."""

    matched: Tensor
    """Of the factor's code in the best one-to-one matching; 0 for a factor without one."""
    most_similar: Tensor
    """Of the best code."""
    gap: Tensor
    """Of the best code less that of the second best."""


def latent_matching(scores: Tensor) -> MatchingScores:
    r"""Latent matching score (LMS), most similar averaging score (MSAS) and most similar gap score (MSGS).

    .. math::

        \mathrm{LMS} = \max_\pi \frac1F \sum_f S_{\pi(f) f}, \quad
        \mathrm{MSAS} = \frac1F \sum_f \max_k S_{kf}, \quad
        \mathrm{MSGS} = \frac1F \sum_f \bigl[ S_{(1) f} - S_{(2) f} \bigr]

    over one-to-one maps :math:`\pi` of factors to codes. Of :math:`S_{kf} = I_{kf} / H(y_f)` the second is
    :class:`~torchdisentangle.Sufficiency` and the third :class:`~torchdisentangle.MutualInformationGap`.

    Args:
        scores: of codes and factors, ``(d, F)`` in [0, 1], such as absolute correlations.

    Returns:
        The three scores of every factor.

    Reference:
        Moinfar & Theis, *Unsupervised deep disentangled representation of single-cell omics*, bioRxiv 2024.

    Example:
        >>> scores = torch.tensor([[0.9, 0.1, 0.9], [0.1, 0.9, 0.1], [0.1, 0.1, 0.9], [0.1, 0.9, 0.1]])
        >>> [round(float(score.mean()), 4) for score in latent_matching(scores)]
        [0.9, 0.9, 0.2667]
    """
    best, second, _ = top_two(scores, dim=0)
    return MatchingScores(matched_correlation(scores, match_codes(scores)), best, best - second)
