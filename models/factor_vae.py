"""The FactorVAE."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from torchdisentangle.models.base import check_weights
from torchdisentangle.models.losses import density_ratio, joint_or_permuted_loss, permute_latents
from torchdisentangle.models.networks import MLP, frozen
from torchdisentangle.models.vae import VAE


class FactorVAE(VAE):
    r"""Variational autoencoder with a weight on its total correlation, which a discriminator estimates.

    .. math:: \mathcal{L} = -\mathbb{E}_{q(z|x)} \log p(x|z) + \mathrm{KL}(q(z|x) \,\|\, \mathcal{N}(0, I))
              + \gamma \, \mathbb{E}_{q(z)} \Bigl[ \log \frac{D(z)}{1 - D(z)} \Bigr]

    The discriminator's :math:`D(z)` is its probability that :math:`z` comes from :math:`q(z)` and not from
    :math:`\prod_i q(z_i)`, of which the same batch gives samples, each latent permuted by itself. Where it is optimal,
    the last expectation is the total correlation :math:`\mathrm{KL}(q(z) \,\|\, \prod_i q(z_i))`. The model
    also logs ``<stage>/total_correlation``, this estimate in nats, and ``<stage>/discriminator``, the cross entropy
    that the discriminator minimises: :math:`\log 2` if it cannot tell the two apart.

    Both train at once, by one backward pass: the autoencoder sees the discriminator with its parameters held constant,
    the discriminator sees the latents as constants. So gradients of neither loss reach the other's parameters, and
    everything that works with a single optimizer does here: any strategy, precision or gradient accumulation.

    Args:
        data_shape: ``(channels, H, W)`` of images, or ``(D,)``.
        latent_dim: number of latents ``d``.
        gamma: :math:`\gamma`; usual are 10 to 100, and 6.4 for dSprites.
        discriminator_hidden: widths of the discriminator's hidden layers.
        discriminator_learning_rate: of its Adam, whose betas are (0.5, 0.9).
        kwargs: as for :class:`~torchdisentangle.models.VAE`: ``likelihood``, ``network``, ``hidden``, ``dense``,
            ``learning_rate``.

    Raises:
        ValueError: for a negative weight, and as :class:`~torchdisentangle.models.VAE`.

    Reference:
        Kim & Mnih, *Disentangling by Factorising*, ICML 2018, section 3 and appendix A.

    Example:
        >>> model = FactorVAE(data_shape=(1, 8, 8), latent_dim=4, discriminator_hidden=[16])
        >>> sorted(model.terms(torch.rand(2, 1, 8, 8)))
        ['discriminator', 'kl', 'loss', 'reconstruction', 'total_correlation']
    """

    def __init__(
        self,
        data_shape: Sequence[int],
        latent_dim: int = 10,
        gamma: float = 6.4,
        discriminator_hidden: Sequence[int] = (1000,) * 6,
        discriminator_learning_rate: float = 1e-4,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_shape, latent_dim, **kwargs)
        check_weights(gamma=gamma)
        self.gamma = gamma
        self.discriminator_learning_rate = discriminator_learning_rate
        self.discriminator: MLP = MLP([latent_dim, *discriminator_hidden, 2], lambda: nn.LeakyReLU(0.2))

    def objective(
        self, reconstruction: Tensor, kl: Tensor, z: Tensor, mean: Tensor, log_variance: Tensor
    ) -> dict[str, Tensor]:
        total_correlation = density_ratio(frozen(self.discriminator)(z)).mean()
        joint, permuted = self.discriminator(z.detach()), self.discriminator(permute_latents(z.detach()))
        return {
            "loss": reconstruction + kl + self.gamma * total_correlation,
            "total_correlation": total_correlation,
            "discriminator": joint_or_permuted_loss(joint, permuted),
        }

    def training_loss(self, terms: dict[str, Tensor]) -> Tensor:
        return terms["loss"] + terms["discriminator"]

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return self._adam_against(self.discriminator, self.discriminator_learning_rate)
