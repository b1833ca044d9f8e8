"""The beta-VAE."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from torchdisentangle.models.base import check_weights
from torchdisentangle.models.vae import VAE


class BetaVAE(VAE):
    r"""Variational autoencoder with a weight on its KL divergence.

    .. math:: \mathcal{L} = -\mathbb{E}_{q(z|x)} \log p(x|z) + \beta \, \mathrm{KL}(q(z|x) \,\|\, \mathcal{N}(0, I))

    Args:
        data_shape: ``(channels, H, W)`` of images, or ``(D,)``.
        latent_dim: number of latents ``d``.
        beta: :math:`\beta`; usual are 1 to 16.
        kwargs: as for :class:`~torchdisentangle.models.VAE`: ``likelihood``, ``network``, ``hidden``, ``dense``,
            ``learning_rate``.

    Raises:
        ValueError: for a negative weight, and as :class:`~torchdisentangle.models.VAE`.

    Reference:
        Higgins et al., *beta-VAE: Learning Basic Visual Concepts with a Constrained Variational Framework*, ICLR 2017.

    Example:
        >>> import torch
        >>> model = BetaVAE(data_shape=(1, 8, 8), latent_dim=4, beta=4.0)
        >>> model.decode(torch.zeros(2, 4)).shape
        torch.Size([2, 1, 8, 8])
    """

    def __init__(self, data_shape: Sequence[int], latent_dim: int = 10, beta: float = 1.0, **kwargs: Any) -> None:
        super().__init__(data_shape, latent_dim, **kwargs)
        check_weights(beta=beta)
        self.beta = beta

    def objective(
        self, reconstruction: Tensor, kl: Tensor, z: Tensor, mean: Tensor, log_variance: Tensor
    ) -> dict[str, Tensor]:
        return {"loss": reconstruction + self.beta * kl}
