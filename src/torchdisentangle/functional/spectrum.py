"""Summaries of a manifold entropy spectrum."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from torchdisentangle.functional.gram import DEAD_NORM
from torchdisentangle.functional.manifold import STANDARD_NORMAL_ENTROPY


def effective_dimension(spectrum: Tensor) -> Tensor:
    r"""Number of latents that share the entropy power of a spectrum.

    .. math:: d_{\mathrm{eff}} = \exp\Bigl(-\sum_i p_i \log p_i\Bigr), \quad p_i = e^{2 H_i} / \sum_j e^{2 H_j}

    For a linear decoder with orthogonal columns this is the effective rank of the data's covariance.

    Args:
        spectrum: manifold entropies, ``(..., d)`` in nats.

    Returns:
        ``(...)``, between 1 (one latent carries all: aligned) and ``d`` (all carry the same).

    Reference:
        Roy & Vetterli, *The effective rank: a measure of effective dimensionality*, EUSIPCO 2007.

    Example:
        >>> effective_dimension(torch.tensor([0.0, 0.0, -50.0]))
        tensor(2.)
    """
    log_share = torch.log_softmax(2 * spectrum, dim=-1)
    return (-(log_share.exp() * log_share).sum(-1)).exp()


def active_latents(
    spectrum: Tensor, threshold: float = 0.1, prior_entropy: Tensor | float = STANDARD_NORMAL_ENTROPY
) -> Tensor:
    r"""Which latents are active: those whose extent is at least a fraction of the largest.

    .. math:: e^{H_i} \ge \tau \, \max_j e^{H_j}

    Args:
        spectrum: manifold entropies, ``(..., d)`` in nats.
        threshold: :math:`\tau`; the default of 0.1 is one hundredth of the variance, and a distance of 2.3 nats, inside
            the cliff that separates the active from the inactive latents of a VAE.
        prior_entropy: :math:`H(p_i)` that the spectrum was made with, a number or ``(..., d)``: it tells where the
            floor of dead latents is.

    Returns:
        Booleans, ``(..., d)``. Latents at the floor of a dead latent are never active.

    Raises:
        ValueError: if the threshold is not between 0 and 1.

    Reference:
        Galperin & Köthe, AISTATS 2025, Section 4 (the cliff); the threshold is this library's.

    Example:
        >>> active_latents(torch.tensor([1.0, 0.0, -9.0]))
        tensor([ True,  True, False])
    """
    if not 0 < threshold <= 1:
        raise ValueError(f"threshold must be in (0, 1], got {threshold}")
    reach = spectrum.amax(-1, keepdim=True) + math.log(threshold)
    floor = prior_entropy + math.log(DEAD_NORM) + 1e-5  # the last for rounding
    return (spectrum >= reach) & (spectrum > floor)
