"""Fusion: one representation that agrees with as many weak ones as possible."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor

from torchdisentangle.functional.similarity.bhattacharyya import space_coefficients
from torchdisentangle.functional.similarity.channels import channel_information, joint_information
from torchdisentangle.functional.similarity.comparison import ChannelComparison

Objective = Literal["nmi", "vi", "mi"]


class Fusion(NamedTuple):
    """A fused representation.

    Args:
        mean: posterior means of the ``F`` points, ``(F, d)``.
        log_variance: their log-variances, ``(F, d)``.
        similarity: the objective before every step and at the end, ``(steps + 1,)``.
    """

    mean: Tensor
    log_variance: Tensor
    similarity: Tensor


def fuse_channels(
    coefficients: Tensor | Sequence[Tensor],
    latent_dim: int = 2,
    objective: Objective = "vi",
    steps: int = 500,
    learning_rate: float = 0.05,
    seed: int = 0,
) -> Fusion:
    r"""Find the space whose information is most similar to that of an ensemble of channels (or whole spaces).

    .. math:: \max_{\mu, \sigma} \frac1E \sum_e S(U, V_e), \quad U \mid x_i \sim \mathcal{N}(\mu_i, \sigma_i^2)

    There is no network: the posteriors of the ``F`` points are free. ``S`` is one of

    - :math:`e^{-\mathrm{VI}(U, V_e)}`, the consensus: what the members agree on, with about as much information as they
      have;
    - :math:`I(U; V_e)`, the union: what any of them knows. Nothing holds its information back, so it grows towards
      :math:`\log F`, and in the end every arrangement that tells all points apart is a maximum: take few steps;
    - NMI, for comparison with the paper: as estimated here it is largest for spaces of vanishing information.

    The optimiser is Adam, where the paper takes many more steps of gradient descent.

    Args:
        coefficients: of the members at the same points, ``(E, F, F)``.
        latent_dim: of the fused space.
        objective: ``"vi"`` for :math:`e^{-\mathrm{VI}}` (of VI in nats), ``"mi"`` or ``"nmi"``.
        steps: of the optimisation; each costs ``E F^2`` multiplications.
        learning_rate: of Adam.
        seed: of the initial means.

    Returns:
        The fused posteriors and the course of the objective.

    Raises:
        ValueError: for an unknown objective or coefficients of another shape.

    Reference:
        Murphy et al., TMLR 2025 (model fusion).

    Example:
        >>> members = space_coefficients(torch.arange(6.0)[:, None].double(), torch.zeros(6, 1).double())
        >>> fusion = fuse_channels(members, latent_dim=1, steps=200)
        >>> fusion.similarity[-1] > 0.99
        tensor(True)
    """
    if objective not in get_args(Objective):
        raise ValueError(f"objective must be one of {get_args(Objective)}, got {objective!r}")
    members = coefficients if isinstance(coefficients, Tensor) else torch.stack(list(coefficients))
    if members.ndim != 3 or members.shape[1] != members.shape[2] or 0 in members.shape:
        raise ValueError(f"coefficients must have shape (E, F, F), got {tuple(members.shape)}")
    members = members.detach()
    constants = channel_information(members), channel_information(members.square())

    def objective_at(mean: Tensor, log_variance: Tensor) -> Tensor:
        fused = space_coefficients(mean, log_variance)
        information, repeated = channel_information(fused), channel_information(fused.square())
        joint = joint_information(fused, members)
        return _similarity(ChannelComparison(information, constants[0], repeated, constants[1], joint), objective)

    shape = (members.shape[1], latent_dim)
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    mean = (0.05 * noise).to(members).requires_grad_()
    log_variance = torch.zeros_like(mean).requires_grad_()
    optimizer = torch.optim.Adam([mean, log_variance], lr=learning_rate)
    course = []
    with torch.enable_grad():
        for _ in range(steps):
            similarity = objective_at(mean, log_variance)
            course.append(similarity.detach())
            optimizer.zero_grad()
            (-similarity).backward()
            optimizer.step()
    mean, log_variance = mean.detach(), log_variance.detach()
    course.append(objective_at(mean, log_variance))
    return Fusion(mean, log_variance, torch.stack(course))


def _similarity(compared: ChannelComparison, objective: Objective) -> Tensor:
    if objective == "mi":
        return compared.mutual_information.mean()
    if objective == "vi":
        return (-compared.variation_of_information).exp().mean()
    return compared.normalized_mutual_information.mean()
