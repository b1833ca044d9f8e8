"""The beta-VAE."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import lightning as L
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, mse_loss

from torchdisentangle.models.networks import Network, decoder, encoder, mean_and_log_variance


class BetaVAE(L.LightningModule):
    r"""Variational autoencoder with a weight on its KL divergence.

    .. math:: \mathcal{L} = -\mathbb{E}_{q(z|x)} \log p(x|z) + \beta \, \mathrm{KL}(q(z|x) \,\|\, \mathcal{N}(0, I))

    Sums over data and latent dimensions, means over the batch. Logged are ``<stage>/loss``, ``<stage>/reconstruction``
    and ``<stage>/kl`` in nats. The encoder gives mean and log-variance of a diagonal Gaussian.

    Args:
        data_shape: ``(channels, H, W)`` of images, or ``(D,)``.
        latent_dim: number of latents ``d``.
        beta: :math:`\beta`.
        likelihood: ``"bernoulli"`` for data in [0, 1], or ``"gaussian"`` with unit variance.
        network: ``"mlp"`` or ``"conv"``.
        hidden: widths of the encoder's hidden layers, or channels of its convolutions; reversed in the decoder.
        learning_rate: of Adam.

    Raises:
        ValueError: for an unknown likelihood or a negative weight.

    Reference:
        Higgins et al., *beta-VAE: Learning Basic Visual Concepts with a Constrained Variational Framework*, ICLR 2017.

    Example:
        >>> model = BetaVAE(data_shape=(1, 8, 8), latent_dim=4)
        >>> model.decode(torch.zeros(2, 4)).shape
        torch.Size([2, 1, 8, 8])
    """

    def __init__(
        self,
        data_shape: Sequence[int],
        latent_dim: int = 10,
        beta: float = 1.0,
        likelihood: Literal["bernoulli", "gaussian"] = "bernoulli",
        network: Network = "mlp",
        hidden: Sequence[int] = (256, 256),
        learning_rate: float = 1e-3,
    ) -> None:
        super().__init__()
        if likelihood not in ("bernoulli", "gaussian"):
            raise ValueError(f"likelihood must be 'bernoulli' or 'gaussian', got {likelihood!r}")
        if beta < 0:
            raise ValueError(f"beta must not be negative, got {beta}")
        self.save_hyperparameters()
        self.latent_dim, self.beta, self.likelihood, self.learning_rate = latent_dim, beta, likelihood, learning_rate
        self.encoder = encoder(network, data_shape, hidden, 2 * latent_dim)
        self.decoder = decoder(network, latent_dim, hidden, data_shape)

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

    def terms(self, x: Tensor) -> dict[str, Tensor]:
        """The loss and what it is made of, averaged over the batch."""
        mean, log_variance = self.encode(x)
        z = mean + (0.5 * log_variance).exp() * torch.randn_like(mean)
        reconstruction = self.reconstruction(x, z).mean()
        kl = gaussian_kl(mean, log_variance).sum(1).mean()
        return {"loss": reconstruction + self.beta * kl, "reconstruction": reconstruction, "kl": kl}

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        return self._step(batch, "train")

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self._step(batch, "val")

    def test_step(self, batch: Any, batch_idx: int) -> None:
        self._step(batch, "test")

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=self.learning_rate)

    def _step(self, batch: Any, stage: str) -> Tensor:
        x = batch if isinstance(batch, Tensor) else batch[0]
        terms = self.terms(x)
        named = {f"{stage}/{name}": value for name, value in terms.items()}
        self.log_dict(named, on_step=False, on_epoch=True, batch_size=len(x), sync_dist=stage != "train")
        return terms["loss"]


def gaussian_kl(mean: Tensor, log_variance: Tensor) -> Tensor:
    r"""KL divergence of Gaussians from the standard normal, elementwise, in nats.

    .. math:: \mathrm{KL} = \tfrac12 (\mu^2 + \sigma^2 - 1 - \log \sigma^2)

    Args:
        mean: any shape.
        log_variance: same shape.

    Returns:
        Same shape.

    Example:
        >>> gaussian_kl(torch.tensor(1.0), torch.tensor(0.25).log())
        tensor(0.8181)
    """
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance)
