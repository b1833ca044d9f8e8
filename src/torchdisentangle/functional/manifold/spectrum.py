"""Summaries of a manifold entropy spectrum."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from torchdisentangle.functional.manifold.entropy import STANDARD_NORMAL_ENTROPY
from torchdisentangle.functional.manifold.gram import DEAD_NORM


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
    spectrum: Tensor,
    threshold: float = 0.1,
    prior_entropy: Tensor | float = STANDARD_NORMAL_ENTROPY,
    reference: float | None = None,
) -> Tensor:
    r"""Which latents are active: those whose extent is at least a fraction of the largest, or of a given one.

    .. math:: e^{H_i} \ge \tau \, e^{H_{\mathrm{ref}}}, \qquad H_{\mathrm{ref}} = \max_j H_j \text{ unless given}

    Where all latents of a VAE have collapsed, all are small alike, and beside the largest of them all are active. A
    reference from the data, the largest entry of their :func:`principal_spectrum`, tells that none is.

    Args:
        spectrum: manifold entropies, ``(..., d)`` in nats.
        threshold: :math:`\tau`; the default of 0.1 is one hundredth of the variance, and a distance of 2.3 nats, inside
            the cliff that separates the active from the inactive latents of a VAE.
        prior_entropy: :math:`H(p_i)` that the spectrum was made with, a number or ``(..., d)``: it tells where the
            floor of dead latents is.
        reference: :math:`H_{\mathrm{ref}}` in nats.

    Returns:
        Booleans, ``(..., d)``. Latents at the floor of a dead latent are never active.

    Raises:
        ValueError: if the threshold is not between 0 and 1.

    Reference:
        Galperin & Köthe, AISTATS 2025 (the cliff); the threshold is this library's.

    Example:
        >>> active_latents(torch.tensor([1.0, 0.0, -9.0]))
        tensor([ True,  True, False])
        >>> active_latents(torch.tensor([-2.0, -2.1]), reference=1.0)
        tensor([False, False])
    """
    if not 0 < threshold <= 1:
        raise ValueError(f"threshold must be in (0, 1], got {threshold}")
    largest = spectrum.amax(-1, keepdim=True) if reference is None else reference
    reach = largest + math.log(threshold)
    floor = prior_entropy + math.log(DEAD_NORM) + 1e-5  # the last for rounding
    return (spectrum >= reach) & (spectrum > floor)


def principal_spectrum(data: Tensor) -> Tensor:
    r"""Manifold entropy spectrum of the linear decoder along the data's principal components.

    .. math:: H_i = \tfrac12 (1 + \log 2 \pi) + \tfrac12 \log \lambda_i

    with the eigenvalues :math:`\lambda_i` of the data's covariance: the entropy of a Gaussian along each component.
    Beside it one sees what a model's spectrum owes to its non-linearity, and its largest entry is a reference for what
    is active, in the unit of the data.

    Args:
        data: ``(N, ...)``, at least two of them; flattened.

    Returns:
        ``(D,)`` in nats, descending; a direction without variance is at the floor of a dead latent.

    Raises:
        ValueError: if there are fewer than two data.

    Reference:
        Tipping & Bishop, *Probabilistic Principal Component Analysis*, JRSS B 61(3), 1999; Galperin & Köthe, AISTATS
        2025.

    Example:
        >>> principal_spectrum(torch.tensor([[1.0, 0.0], [-1.0, 0.0]]))
        tensor([  1.7655, -26.2121], dtype=torch.float64)
    """
    if len(data) < 2:
        raise ValueError(f"a covariance needs at least two data, got {len(data)}")
    variances = torch.linalg.eigvalsh(torch.atleast_2d(torch.cov(data.reshape(len(data), -1).double().mT))).flip(0)
    return STANDARD_NORMAL_ENTROPY + 0.5 * variances.clamp(min=DEAD_NORM**2).log()
