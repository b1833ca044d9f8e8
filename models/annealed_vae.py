"""The VAE with controlled capacity increase."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from torchdisentangle.models.base import check_weights
from torchdisentangle.models.losses import linear_capacity
from torchdisentangle.models.vae import VAE


class AnnealedVAE(VAE):
    r"""Variational autoencoder whose KL divergence is held at a capacity that rises during training.

    .. math:: \mathcal{L} = -\mathbb{E}_{q(z|x)} \log p(x|z)
              + \gamma \, \bigl| \mathrm{KL}(q(z|x) \,\|\, \mathcal{N}(0, I)) - C_t \bigr|, \qquad
              C_t = C_{\max} \min(t / T, 1)

    The divergence is averaged over the batch before it is compared; :math:`t` counts optimizer steps. Logged is also
    ``<stage>/capacity``, in nats.

    Args:
        data_shape: ``(channels, H, W)`` of images, or ``(D,)``.
        latent_dim: number of latents ``d``.
        gamma: :math:`\gamma`.
        max_capacity: :math:`C_{\max}` in nats; usual are 5 to 100.
        capacity_steps: :math:`T`, steps until it is reached.
        kwargs: as for :class:`~torchdisentangle.models.VAE`: ``likelihood``, ``network``, ``hidden``, ``dense``,
            ``learning_rate``.

    Raises:
        ValueError: for a negative weight or capacity, fewer steps than 1, and as :class:`~torchdisentangle.models.VAE`.

    Reference:
        Burgess et al., *Understanding disentangling in beta-VAE*, NeurIPS 2017 workshop on Learning Disentangled
        Representations; constants of Locatello et al., ICML 2019.

    Example:
        >>> model = AnnealedVAE(data_shape=(1, 8, 8), latent_dim=4)
        >>> model.terms(torch.rand(2, 1, 8, 8))["capacity"]
        tensor(0.)
    """

    def __init__(
        self,
        data_shape: Sequence[int],
        latent_dim: int = 10,
        gamma: float = 1000.0,
        max_capacity: float = 25.0,
        capacity_steps: int = 100_000,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_shape, latent_dim, **kwargs)
        check_weights(gamma=gamma, max_capacity=max_capacity)
        if capacity_steps < 1:
            raise ValueError(f"capacity_steps must be at least 1, got {capacity_steps}")
        self.gamma = gamma
        self.max_capacity = max_capacity
        self.capacity_steps = capacity_steps
        self.register_buffer("step", torch.zeros((), dtype=torch.int64))  # in checkpoints, for what is validated later

    step: Tensor

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        self.step.fill_(self.global_step)

    def objective(
        self, reconstruction: Tensor, kl: Tensor, z: Tensor, mean: Tensor, log_variance: Tensor
    ) -> dict[str, Tensor]:
        capacity = linear_capacity(self.step, self.capacity_steps, self.max_capacity)
        return {"loss": reconstruction + self.gamma * (kl - capacity).abs(), "capacity": capacity}
