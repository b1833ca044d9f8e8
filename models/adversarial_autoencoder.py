"""The adversarial autoencoder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn.functional import softplus

from torchdisentangle.latent_model import Posterior
from torchdisentangle.models.base import check_weights
from torchdisentangle.models.networks import MLP, frozen
from torchdisentangle.models.vae import VAE


class AdversarialAutoencoder(VAE):
    r"""Autoencoder whose codes a discriminator cannot tell from samples of a standard normal.

    .. math:: \mathcal{L} = -\mathbb{E}_{q(z|x)} \log p(x|z) - \lambda \, \mathbb{E}_{q(z)} \log D(z), \qquad
              \mathcal{L}_D = -\mathbb{E}_{p(z)} \log D(z) - \mathbb{E}_{q(z)} \log (1 - D(z))

    So it matches the aggregate posterior with the prior where a VAE penalises each posterior by itself. The model logs
    ``<stage>/loss``, ``<stage>/reconstruction``, ``<stage>/adversarial`` (the last expectation of the first line), and
    ``<stage>/discriminator``: :math:`2 \log 2` if it cannot tell the two apart.

    Both train at once, by one backward pass: the autoencoder sees the discriminator with its parameters held constant,
    the discriminator sees the codes as constants.

    Args:
        data_shape: ``(channels, H, W)`` of images, or ``(D,)``.
        latent_dim: number of latents ``d``.
        posterior: ``"deterministic"``: the encoder gives codes; ``"gaussian"``: it gives means and log-variances.
        adversarial_weight: :math:`\lambda`; the reconstruction is a sum over data dimensions.
        discriminator_hidden: widths of the discriminator's hidden layers.
        discriminator_learning_rate: of its Adam, whose betas are (0.5, 0.9).
        kwargs: as for :class:`~torchdisentangle.models.VAE`: ``likelihood``, ``network``, ``hidden``, ``dense``,
            ``learning_rate``.

    Raises:
        ValueError: for an unknown posterior, a negative weight, and as :class:`~torchdisentangle.models.VAE`.

    Reference:
        Makhzani et al., *Adversarial Autoencoders*, 2015.

    Example:
        >>> model = AdversarialAutoencoder(data_shape=(1, 8, 8), latent_dim=4, discriminator_hidden=[16])
        >>> sorted(model.terms(torch.rand(2, 1, 8, 8)))
        ['adversarial', 'discriminator', 'loss', 'reconstruction']
        >>> model.encode(torch.rand(2, 1, 8, 8)).log_variance is None
        True
    """

    def __init__(
        self,
        data_shape: Sequence[int],
        latent_dim: int = 10,
        posterior: Literal["deterministic", "gaussian"] = "deterministic",
        adversarial_weight: float = 1.0,
        discriminator_hidden: Sequence[int] = (1000, 1000),
        discriminator_learning_rate: float = 1e-3,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_shape, latent_dim, **kwargs)
        check_weights(adversarial_weight=adversarial_weight)
        if posterior not in ("deterministic", "gaussian"):
            raise ValueError(f"posterior must be 'deterministic' or 'gaussian', got {posterior!r}")
        self.posterior = posterior
        self.adversarial_weight: float = adversarial_weight
        self.discriminator_learning_rate = discriminator_learning_rate
        self.discriminator: MLP = MLP([latent_dim, *discriminator_hidden, 1])

    def encode(self, x: Tensor) -> Posterior:  # type: ignore[override]
        """Mean and log-variance of the posterior, each ``(N, d)``; no log-variance if it is deterministic."""
        mean, log_variance = super().encode(x)
        return Posterior(mean, log_variance if self.posterior == "gaussian" else None)

    def terms(self, x: Tensor) -> dict[str, Tensor]:
        """The losses and what they are made of, averaged over the batch."""
        posterior = self.encode(x)
        z = posterior.sample(torch.randn_like(posterior.mean))
        reconstruction = self.reconstruction(x, z).mean()
        adversarial = softplus(-frozen(self.discriminator)(z)).mean()
        of_prior, of_codes = self.discriminator(torch.randn_like(z)), self.discriminator(z.detach())
        return {
            "loss": reconstruction + self.adversarial_weight * adversarial,
            "reconstruction": reconstruction,
            "adversarial": adversarial,
            "discriminator": softplus(-of_prior).mean() + softplus(of_codes).mean(),
        }

    def training_loss(self, terms: dict[str, Tensor]) -> Tensor:
        return terms["loss"] + terms["discriminator"]

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return self._adam_against(self.discriminator, self.discriminator_learning_rate)
