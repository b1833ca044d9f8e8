r"""What random probes add to logarithms of volumes, in expectation: the constants of the probe estimator.

Of a Jacobian :math:`J` only ``m`` Gaussian projections are known, :math:`P = V^\top J` with
:math:`V \in \mathbb{R}^{D \times m}` of independent standard normal entries. Given :math:`J`, the matrix
:math:`W = P^\top P` is Wishart with scale :math:`G = J^\top J` and ``m`` degrees of freedom, and so is every principal
block of it. The logarithm of its determinant has a known expectation, so that the logarithm of every volume is
estimated without bias, at a cost that does not depend on the number of latents.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch

MIN_PROBES = 2  # two tangent vectors seen through a single probe are always parallel


@lru_cache
def log_volume_bias(max_size: int, num_probes: int) -> tuple[float, ...]:
    r"""By how much the log-volume of projected tangent vectors is off, on average, for sets of 0 to ``max_size``.

    .. math:: \mathbb{E} \tfrac12 \log\det W_S - \tfrac12 \log\det G_S
              = \tfrac12 \sum_{k=0}^{|S|-1} \Bigl[ \log 2 + \psi\bigl(\tfrac{m-k}{2}\bigr) \Bigr]

    Args:
        max_size: the largest number of tangent vectors, :math:`|S|`.
        num_probes: number of probes ``m``.

    Returns:
        ``max_size + 1`` numbers in nats; the entry ``n`` belongs to sets of ``n``.

    Raises:
        ValueError: if a set is larger than the number of probes; then :math:`W_S` is singular.

    Reference:
        Muirhead, *Aspects of multivariate statistical theory*, 1982.

    Example:
        >>> [round(bias, 4) for bias in log_volume_bias(2, 16)]
        [0.0, 1.3544, 2.6743]
    """
    if max_size > num_probes:
        raise ValueError(f"the volume of {max_size} latents needs at least as many probes, got {num_probes}")
    degrees = num_probes - torch.arange(max_size, dtype=torch.float64)
    steps = 0.5 * (math.log(2) + torch.digamma(degrees / 2))
    return (0.0, *steps.cumsum(0).tolist())


def pairwise_bias(num_probes: int) -> float:
    r"""By how much the mutual information of two projected tangent vectors is off, on average.

    .. math:: \mathbb{E} \bigl[ -\tfrac12 \log (1 - r_{ij}^2) \bigr] + \tfrac12 \log (1 - \rho_{ij}^2)
              = \tfrac12 \Bigl[ \psi\bigl(\tfrac{m}{2}\bigr) - \psi\bigl(\tfrac{m-1}{2}\bigr) \Bigr], \quad
              r_{ij} = W_{ij} / \sqrt{W_{ii} W_{jj}}

    Args:
        num_probes: number of probes ``m``, at least two.

    Returns:
        Nats: about :math:`1 / 2m`, independent of the angle.

    Raises:
        ValueError: if there are fewer than two probes.

    Reference:
        Muirhead, *Aspects of multivariate statistical theory*, 1982.

    Example:
        >>> round(pairwise_bias(16), 4)
        0.0344
    """
    _, one, two = log_volume_bias(2, num_probes)
    return 2 * one - two
