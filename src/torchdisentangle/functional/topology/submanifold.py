"""Latents of conditional submanifolds: one of them held, the others free."""

from __future__ import annotations

import torch
from torch import Tensor


def conditional_latents(base: Tensor, latent: int, value: float | Tensor) -> Tensor:
    r"""A sample of latents with one of them held at a value.

    .. math:: z_n = (z_{n1}, \dots, z_{n,i-1}, v, z_{n,i+1}, \dots, z_{nd})

    Args:
        base: latents ``(N, d)``, shared by all submanifolds, so that these differ only by what is held.
        latent: ``i``.
        value: ``v``.

    Returns:
        ``(N, d)``.

    Raises:
        ValueError: if there is no such latent.

    Reference:
        Zhou et al., *Evaluating the Disentanglement of Deep Generative Models through Manifold Topology*, ICLR 2021.

    Example:
        >>> conditional_latents(torch.zeros(1, 3), 1, 5.0)
        tensor([[0., 5., 0.]])
    """
    if not 0 <= latent < base.shape[1]:
        raise ValueError(f"latent {latent} does not exist, there are {base.shape[1]}")
    held = base.clone()
    held[:, latent] = torch.as_tensor(value, dtype=base.dtype, device=base.device)
    return held
