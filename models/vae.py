"""The variational autoencoder, and what its variants share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, mse_loss

from torchdisentangle.functional.elbo.gaussian import gaussian_kl
from torchdisentangle.models.base import GenerativeModule
from torchdisentangle.models.networks import Network, decoder, encoder, mean_and_log_variance


class VAE(GenerativeModule):
    r"""Variational autoencoder with a diagonal Gaussian posterior, and the base of its variants.

    .. math:: \mathcal{L} = -\mathbb{E}_{q(z|x)} \log p(x|z) + \mathrm{KL}(q(z|x) \,\|\, \mathcal{N}(0, I))

    Both terms are sums over data and latent dimensions, and means over the batch. The model logs ``<stage>/loss``,
    ``<stage>/reconstruction`` (the first term) and ``<stage>/kl``, in nats. A variant redefines :meth:`objective`
    alone.

    With ``network="conv"`` and images of 64x64 pixels the networks are those of Locatello et al., but for kernels of 4
    pixels in all convolutions and SiLU in place of ReLU, so that the decoder has a continuous Jacobian; they train with
    ``latent_dim=10``, ``learning_rate=1e-4`` and batches of 64.

    Args:
        data_shape: ``(channels, H, W)`` of images, or ``(D,)``.
        latent_dim: number of latents ``d``.
        likelihood: ``"bernoulli"`` for data in [0, 1], or ``"gaussian"`` with unit variance.
        network: ``"mlp"`` or ``"conv"``.
        hidden: widths of the encoder's hidden layers, or channels of its convolutions, each of which halves the image;
            reversed in the decoder. By default ``(256, 256)``, or as many of ``(32, 32, 64, 64)`` as it takes to bring
            the image down to 4x4 pixels.
        dense: width of a layer between convolutions and latents; 0: none. Only of ``"conv"``.
        learning_rate: of Adam.

    Raises:
        ValueError: for an unknown likelihood, or images that cannot be halved as often as ``hidden`` asks.

    Reference:
        Kingma & Welling, *Auto-Encoding Variational Bayes*, ICLR 2014; Locatello et al., *Challenging Common
        Assumptions in the Unsupervised Learning of Disentangled Representations*, ICML 2019.

    Example:
        >>> model = VAE(data_shape=(1, 8, 8), latent_dim=4)
        >>> sorted(model.terms(torch.rand(2, 1, 8, 8)))
        ['kl', 'loss', 'reconstruction']
    """

    def __init__(
        self,
        data_shape: Sequence[int],
        latent_dim: int = 10,
        likelihood: Literal["bernoulli", "gaussian"] = "bernoulli",
        network: Network = "mlp",
        hidden: Sequence[int] | None = None,
        dense: int = 256,
        learning_rate: float = 1e-3,
    ) -> None:
        super().__init__(learning_rate)
        if likelihood not in ("bernoulli", "gaussian"):
            raise ValueError(f"likelihood must be 'bernoulli' or 'gaussian', got {likelihood!r}")
        self.save_hyperparameters()  # the subclass's own included
        self.latent_dim = latent_dim
        self.likelihood = likelihood
        self.encoder: nn.Module = encoder(network, data_shape, hidden, 2 * latent_dim, dense)
        self.decoder: nn.Module = decoder(network, latent_dim, hidden, data_shape, dense)

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of the posterior, each ``(N, d)``."""
        return mean_and_log_variance(self.encoder(x))

    def decode(self, z: Tensor) -> Tensor:
        """Mean of the data given latents, ``(N, *data_shape)``."""
        return self.decoder(z).sigmoid() if self.likelihood == "bernoulli" else self.decoder(z)

    def reconstruction(self, x: Tensor, z: Tensor) -> Tensor:
        r"""Negative log-likelihood :math:`-\log p(x|z)` of each sample, ``(N,)`` in nats.

        Up to the constant of a Gaussian.
        """
        output = self.decoder(z)
        if self.likelihood == "bernoulli":
            return binary_cross_entropy_with_logits(output, x, reduction="none").flatten(1).sum(1)
        return 0.5 * mse_loss(output, x, reduction="none").flatten(1).sum(1)

    def objective(
        self, reconstruction: Tensor, kl: Tensor, z: Tensor, mean: Tensor, log_variance: Tensor
    ) -> dict[str, Tensor]:
        """The loss, and beside it what else is to be logged.

        Args:
            reconstruction: negative log-likelihood, averaged over the batch.
            kl: divergence of the posteriors from the prior, averaged over the batch.
            z: a sample of each posterior, ``(N, d)``.
            mean: of the posteriors, ``(N, d)``.
            log_variance: of the posteriors, ``(N, d)``.

        Returns:
            Scalars by name, among them ``loss``.
        """
        return {"loss": reconstruction + kl}

    def terms(self, x: Tensor) -> dict[str, Tensor]:
        """The loss and what it is made of, averaged over the batch."""
        return self._terms_given(x, *self.encode(x))

    def _terms_given(self, x: Tensor, mean: Tensor, log_variance: Tensor) -> dict[str, Tensor]:
        """The terms of data whose posteriors are given."""
        z = mean + (0.5 * log_variance).exp() * torch.randn_like(mean)
        reconstruction = self.reconstruction(x, z).mean()
        kl = gaussian_kl(mean, log_variance).sum(1).mean()
        objective = self.objective(reconstruction, kl, z, mean, log_variance)
        return {**objective, "reconstruction": reconstruction, "kl": kl}

    def _adam_against(self, discriminator: nn.Module, learning_rate: float) -> torch.optim.Optimizer:
        """Adam of the autoencoder and of a discriminator that trains beside it."""
        autoencoder = {"params": [*self.encoder.parameters(), *self.decoder.parameters()], "lr": self.learning_rate}
        beside = {"params": list(discriminator.parameters()), "lr": learning_rate, "betas": (0.5, 0.9)}
        return torch.optim.Adam([autoencoder, beside])
