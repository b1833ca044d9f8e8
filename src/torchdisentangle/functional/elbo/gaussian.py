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


def check_rows_and_queries(
    z: Tensor,
    mean: Tensor,
    log_variance: Tensor,
    log_weights: Tensor | None,
    factors: Tensor | None,
    query_factors: Tensor | None,
) -> None:
    """Raise a ValueError if queries, rows, their weights or their factors do not belong together."""
    if mean.ndim != 2 or log_variance.shape != mean.shape or z.ndim != 2 or z.shape[1] != mean.shape[1]:
        raise ValueError(
            "queries (S, d) and rows of equal shape (N, d) are needed, got "
            f"{tuple(z.shape)}, {tuple(mean.shape)} and {tuple(log_variance.shape)}"
        )
    if not all(tensor.is_floating_point() for tensor in (z, mean, log_variance)):
        raise ValueError(f"floating point is needed, got {z.dtype}, {mean.dtype} and {log_variance.dtype}")
    if log_weights is not None and log_weights.shape != (len(mean),):
        raise ValueError(f"log_weights must have shape ({len(mean)},), got {tuple(log_weights.shape)}")
    if (factors is None) != (query_factors is None):
        raise ValueError("factors and query_factors belong together: give both or neither")
    if factors is not None and query_factors is not None:
        wanted = f"({len(mean)}, F) and ({len(z)}, F)"
        fits = factors.ndim == 2 == query_factors.ndim and factors.shape[1] == query_factors.shape[1]
        if not fits or len(factors) != len(mean) or len(query_factors) != len(z):
            got = f"{tuple(factors.shape)} and {tuple(query_factors.shape)}"
            raise ValueError(f"factors and query_factors must have shapes {wanted}, got {got}")
        if factors.is_floating_point() or query_factors.is_floating_point():
            raise ValueError(f"factors must be integers, got {factors.dtype} and {query_factors.dtype}")
