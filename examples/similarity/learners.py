"""Weak learners of a circle: variational autoencoders with a single latent, which cannot hold a circle in one piece."""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor, nn

from torchdisentangle.models import gaussian_kl


class Ensemble(nn.Module):
    """Many small networks of one kind, evaluated together: ``(E, N, inputs)`` to ``(E, N, outputs)``."""

    def __init__(self, members: int, *widths: int) -> None:
        super().__init__()
        layers = list(pairwise(widths))
        self.weights = nn.ParameterList(torch.randn(members, a, b) / math.sqrt(a) for a, b in layers)
        self.biases = nn.ParameterList(torch.zeros(members, 1, b) for _, b in layers)

    def forward(self, x: Tensor) -> Tensor:
        for i, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            x = x.tanh() if i else x
            x = torch.baddbmm(bias, x, weight)
        return x


def circle(angle: Tensor) -> Tensor:
    """Points of the unit circle, ``(..., 2)``."""
    return torch.stack([angle.cos(), angle.sin()], dim=-1)


def train_learners(members: int, steps: int, points: Tensor, beta: float = 0.05) -> tuple[Tensor, Tensor]:
    """Train beta-VAEs with one latent on points of the circle.

    Args:
        members: how many, ``E``.
        steps: of training.
        points: where to evaluate them in the end, ``(F, 2)``.
        beta: weight of the KL divergence.

    Returns:
        Posterior means and log-variances of the points, ``(F, E)`` each: every member is one channel.

    Reference:
        Murphy, Dillavou & Bassett, TMLR 2025 (model fusion).
    """
    encoder, decoder = Ensemble(members, 2, 64, 64, 2), Ensemble(members, 1, 64, 64, 2)
    optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=3e-3)
    for _ in range(steps):
        x = circle(2 * math.pi * torch.rand(members, 256))
        mean, log_variance = encoder(x).chunk(2, dim=-1)
        z = mean + (0.5 * log_variance).exp() * torch.randn_like(mean)
        reconstruction = (decoder(z) - x).square().mean((1, 2))
        loss = (reconstruction + beta * gaussian_kl(mean, log_variance).mean((1, 2))).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        mean, log_variance = encoder(points.expand(members, -1, -1)).chunk(2, dim=-1)
    return mean[..., 0].T.double(), log_variance[..., 0].T.double()
