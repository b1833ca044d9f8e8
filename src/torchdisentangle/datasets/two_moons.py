"""Two interleaved half circles."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def two_moons(num_samples: int, noise: float = 0.1, seed: int = 0) -> Tensor:
    """Points on two interleaved half circles of radius 1, with Gaussian noise.

    Args:
        num_samples: how many points, half of them on each moon.
        noise: standard deviation.
        seed: of the points.

    Returns:
        ``(num_samples, 2)`` in float32, in random order.

    Raises:
        ValueError: if there are no samples or the noise is negative.

    Example:
        >>> two_moons(4, noise=0.0).shape
        torch.Size([4, 2])
    """
    if num_samples < 1 or noise < 0:
        raise ValueError(f"at least one sample and noise >= 0 are needed, got {num_samples} and {noise}")
    generator = torch.Generator().manual_seed(seed)
    angle = math.pi * torch.rand(num_samples, generator=generator)
    upper = torch.arange(num_samples)[torch.randperm(num_samples, generator=generator)] % 2 == 0
    circle = torch.stack([angle.cos(), angle.sin()], dim=1)
    points = torch.where(upper[:, None], circle, torch.tensor([1.0, 0.5]) - circle)
    return points + noise * torch.randn(num_samples, 2, generator=generator)
