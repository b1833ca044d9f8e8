"""Diagonal Gaussians, elementwise: log-density, entropy, and divergence from the standard normal."""

from __future__ import annotations

import math

from torch import Tensor

LOG_TWO_PI = math.log(2 * math.pi)

NARROWEST = -300.0  # log-variance below which densities stay as they are, so that no square of a distance overflows


def gaussian_log_density(z: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    r"""Log-density of each dimension of diagonal Gaussians.

    .. math:: \log \mathcal{N}(z; \mu, \sigma^2) = -\tfrac12 \left( (z - \mu)^2 / \sigma^2 + \log 2 \pi \sigma^2 \right)

    Args:
        z: where, any shape.
        mean: broadcasts with ``z``.
        log_variance: likewise.

    Returns:
        The log-densities in nats, of the broadcast shape.

    Example:
        >>> import torch
        >>> gaussian_log_density(torch.zeros(1), torch.ones(1), torch.zeros(1))
        tensor([-1.4189])
    """
    log_variance = log_variance.clamp(min=NARROWEST)
    standardised = (z - mean) * (-0.5 * log_variance).exp()
    return -0.5 * (standardised.square() + log_variance + LOG_TWO_PI)


def gaussian_entropy(log_variance: Tensor) -> Tensor:
    r"""Differential entropy of each dimension of diagonal Gaussians.

    .. math:: H = \tfrac12 (1 + \log 2 \pi \sigma^2)

    Args:
        log_variance: any shape.

    Returns:
        The entropies in nats, same shape.

    Example:
        >>> import torch
        >>> gaussian_entropy(torch.zeros(1))
        tensor([1.4189])
    """
    return 0.5 * (log_variance + 1 + LOG_TWO_PI)


def gaussian_kl(mean: Tensor, log_variance: Tensor) -> Tensor:
    r"""KL divergence of each dimension of diagonal Gaussians from the standard normal.

    .. math:: \mathrm{KL}(\mathcal{N}(\mu, \sigma^2) \,\|\, \mathcal{N}(0, 1))
              = \tfrac12 (\mu^2 + \sigma^2 - 1 - \log \sigma^2)

    Args:
        mean: any shape.
        log_variance: same shape.

    Returns:
        The divergences in nats, same shape, at least 0.

    Example:
        >>> import math, torch
        >>> gaussian_kl(torch.ones(1), torch.tensor([math.log(0.25)]))
        tensor([0.8181])
    """
    return 0.5 * (mean.square() + log_variance.expm1() - log_variance)
