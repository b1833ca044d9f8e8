"""The DIP-VAE, in both versions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from torch import Tensor

from torchdisentangle.models.base import check_weights
from torchdisentangle.models.losses import latent_covariance, squared_covariance_errors
from torchdisentangle.models.vae import VAE


class DIPVAE(VAE):
    r"""Variational autoencoder whose inferred latents are pulled towards an identity covariance.

    .. math:: \mathcal{L} = -\mathbb{E}_{q(z|x)} \log p(x|z) + \mathrm{KL}(q(z|x) \,\|\, \mathcal{N}(0, I))
              + \lambda_{od} \sum_{i \neq j} C_{ij}^2 + \lambda_d \sum_i (C_{ii} - 1)^2

    with :math:`C = \mathrm{Cov}_x[\mu(x)]` in version I and :math:`C = \mathrm{Cov}_x[\mu(x)] + \mathbb{E}_x[\mathrm{
    diag}\, \sigma^2(x)]`, the covariance of :math:`z` itself, in version II. It is that of the batch, divided by its
    size, so use no small batches; the first sum has both triangles. The model also logs the two
    sums, ``<stage>/off_diagonal`` and ``<stage>/diagonal``.

    Args:
        data_shape: ``(channels, H, W)`` of images, or ``(D,)``.
        latent_dim: number of latents ``d``.
        version: ``"i"`` or ``"ii"``.
        off_diagonal_weight: :math:`\lambda_{od}`; usual are 1 to 50.
        diagonal_weight: :math:`\lambda_d`; by default ten times :math:`\lambda_{od}` in version I, and equal to it in
            version II.
        kwargs: as for :class:`~torchdisentangle.models.VAE`: ``likelihood``, ``network``, ``hidden``, ``dense``,
            ``learning_rate``.

    Raises:
        ValueError: for an unknown version, a negative weight, and as :class:`~torchdisentangle.models.VAE`.

    Reference:
        Kumar, Sattigeri & Balakrishnan, *Variational Inference of Disentangled Latent Concepts from Unlabeled
        Observations*, ICLR 2018, section 3; constants of Locatello et al., ICML 2019.

    Example:
        >>> import torch
        >>> model = DIPVAE(data_shape=(1, 8, 8), latent_dim=4, version="ii")
        >>> sorted(model.terms(torch.rand(2, 1, 8, 8)))
        ['diagonal', 'kl', 'loss', 'off_diagonal', 'reconstruction']
    """

    def __init__(
        self,
        data_shape: Sequence[int],
        latent_dim: int = 10,
        version: Literal["i", "ii"] = "i",
        off_diagonal_weight: float = 10.0,
        diagonal_weight: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_shape, latent_dim, **kwargs)
        if version not in ("i", "ii"):
            raise ValueError(f"version must be 'i' or 'ii', got {version!r}")
        if diagonal_weight is None:
            diagonal_weight = off_diagonal_weight * (10 if version == "i" else 1)
        check_weights(off_diagonal_weight=off_diagonal_weight, diagonal_weight=diagonal_weight)
        self.version = version
        self.off_diagonal_weight = off_diagonal_weight
        self.diagonal_weight = diagonal_weight

    def objective(
        self, reconstruction: Tensor, kl: Tensor, z: Tensor, mean: Tensor, log_variance: Tensor
    ) -> dict[str, Tensor]:
        covariance = latent_covariance(mean, log_variance if self.version == "ii" else None)
        off_diagonal, diagonal = squared_covariance_errors(covariance)
        penalty = self.off_diagonal_weight * off_diagonal + self.diagonal_weight * diagonal
        return {"loss": reconstruction + kl + penalty, "off_diagonal": off_diagonal, "diagonal": diagonal}
