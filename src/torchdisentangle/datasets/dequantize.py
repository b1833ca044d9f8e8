"""Discrete data made continuous, so that a density model can learn them."""

from __future__ import annotations

import torch
from torch import Tensor


def dequantize(images: Tensor, levels: int, generator: torch.Generator | None = None) -> Tensor:
    r"""Grey levels with uniform noise of one level's width.

    .. math:: y = (L - 1) \, x + u, \quad u \sim \mathcal{U}[0, 1)^D, \quad
              \mathbb{E}_u [-\log q(y)] \ge -\log \int_{[0, 1)^D} q\bigl((L - 1) \, x + u\bigr) \, du

    In this unit the negative log-density, divided by :math:`D \log 2`, is an upper bound on the bits per dimension
    that the model needs for the discrete data, and the noise has the entropy 0.

    Args:
        images: in [0, 1], with ``levels`` equally spaced values.
        levels: :math:`L`, for instance 256.
        generator: of the noise.

    Returns:
        Continuous data of the same shape in ``[0, levels)``.

    Raises:
        ValueError: if the values are not such levels.

    Reference:
        Uria et al., *RNADE: The real-valued neural autoregressive density-estimator*, NeurIPS 2013; Theis et al.,
        *A note on the evaluation of generative models*, ICLR 2016.

    Example:
        >>> dequantize(torch.tensor([0.0, 0.5, 1.0]), levels=3).floor()
        tensor([0., 1., 2.])
    """
    counts = images * (levels - 1)
    grey = counts.round()
    if not bool(((counts - grey).abs() < 1e-3).all() and (grey >= 0).all() and (grey < levels).all()):
        raise ValueError(
            f"values on {levels} equally spaced levels in [0, 1] are needed, got others between "
            f"{float(images.min()):g} and {float(images.max()):g}"
        )
    noise = torch.rand(images.shape, generator=generator).to(images)
    return torch.minimum(grey + noise, torch.nextafter(grey + 1, grey))  # the sum may round up to the next level
