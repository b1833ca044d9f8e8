"""Weak learners of a circle, and their fusion.

The learners are variational autoencoders with a single latent, which cannot hold a circle in one piece.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from statistics import mean
from typing import NamedTuple

import torch
from torch import Tensor, nn

from torchdisentangle import fuse_channels
from torchdisentangle.functional import (
    bhattacharyya_coefficients,
    bhattacharyya_distance,
    compare_channels,
    continuity,
    gaussian_kl,
    space_coefficients,
)
from torchdisentangle.similarity import Fusion


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


class Judged(NamedTuple):
    """A representation of the circle, or what several have on average."""

    information: float  # about the points, nats
    nmi: float  # with unseen learners, averaged over them
    tear: float  # 1 for a closed curve without one


class Circles(NamedTuple):
    """The weak learners and what their fusion makes of them."""

    angle: Tensor  # (F,)
    means: Tensor  # of the learners, (F, E)
    learners: list[Judged]  # those that are fused
    consensus: dict[int, Judged]  # by how many are fused
    fused: Fusion  # all of them
    chance: Judged  # fused with the points of each learner shuffled
    ahead: list[float]  # NMI of the whole consensus with each unseen learner, less that of the learner most like them


def fuse_circles(members: int, train_steps: int, fuse_steps: int, sizes: Sequence[int], points: int = 64) -> Circles:
    """Train weak learners, fuse some of the first half, in two dimensions, and compare them with the second half.

    Args:
        members: how many learners to train.
        train_steps: of the training.
        fuse_steps: of a fusion.
        sizes: how many learners to fuse; averaged over up to three fusions of different ones. All of the first half
            are fused in the end.
        points: of the circle.
    """
    torch.manual_seed(0)
    angle = torch.arange(points) * 2 * math.pi / points
    means, log_variances = train_learners(members, train_steps, circle(angle))
    coefficients = bhattacharyya_coefficients(means, log_variances)
    seen, unseen = coefficients.chunk(2)

    def fuse(some: Tensor) -> tuple[Fusion, Judged]:
        fused = fuse_channels(some, latent_dim=2, steps=fuse_steps)
        distance = bhattacharyya_distance(fused.mean, fused.log_variance).sum(0, keepdim=True)
        return fused, judge(space_coefficients(fused.mean, fused.log_variance), distance)[0]

    def likeness(representations: Tensor) -> Tensor:
        return compare_channels(representations, unseen).normalized_mutual_information

    def judge(representations: Tensor, distances: Tensor) -> list[Judged]:
        compared = compare_channels(representations, unseen)
        values = compared.information_a, compared.normalized_mutual_information.mean(1), continuity(distances, True)
        return [Judged(*map(float, row)) for row in zip(*values, strict=True)]

    learners = judge(seen, bhattacharyya_distance(means, log_variances)[: len(seen)])
    consensus = {}
    for size in sizes:
        found = [fuse(some)[1] for some in seen.split(size)[:3] if len(some) == size]
        consensus[size] = Judged(*(mean(values) for values in zip(*found, strict=True)))
    fused, consensus[len(seen)] = fuse(seen)
    orders = (torch.randperm(points) for _ in seen)
    shuffled = torch.stack([one[order][:, order] for one, order in zip(seen, orders, strict=True)])
    best = max(range(len(seen)), key=lambda one: learners[one].nmi)
    ahead = likeness(space_coefficients(fused.mean, fused.log_variance))[0] - likeness(seen[best : best + 1])[0]
    return Circles(angle, means, learners, consensus, fused, fuse(shuffled)[1], ahead.tolist())
