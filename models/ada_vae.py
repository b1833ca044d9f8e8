"""Ada-GVAE and Ada-ML-VAE: autoencoders that see pairs of data, of which some unknown factors are the same."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from torchdisentangle.models.beta_vae import BetaVAE

Gaussian = tuple[Tensor, Tensor]


class AdaGVAE(BetaVAE):
    r"""Adaptive group VAE: latents that hardly differ between two data are taken to be the same.

    For a pair :math:`x, x'` and each latent let :math:`\delta_i = \mathrm{KL}(q(z_i|x) \,\|\, q(z_i|x'))`. Where it is
    below the middle :math:`\tau = \frac12 (\min_i \delta_i + \max_i \delta_i)` both posteriors are replaced by one of
    the average mean and the average variance. The loss is that of the :class:`BetaVAE`, with these posteriors, averaged
    over both data. The model also logs ``<stage>/num_shared``, how many latents were averaged.

    Batches of pairs ``(x, x')``, two tensors of one shape, come from
    :class:`~torchdisentangle.datasets.FactorPairs`. Any other batch, such as of images and factors in a validation
    loader, is seen as by :class:`BetaVAE`.

    Args:
        data_shape: ``(channels, H, W)`` of images, or ``(D,)``.
        latent_dim: number of latents ``d``.
        beta: weight of the KL divergence.
        kwargs: as for :class:`~torchdisentangle.models.VAE`: ``likelihood``, ``network``, ``hidden``, ``dense``,
            ``learning_rate``.

    Raises:
        ValueError: for a negative weight, and as :class:`~torchdisentangle.models.VAE`.

    Reference:
        Locatello et al., *Weakly-Supervised Disentanglement Without Compromises*, ICML 2020; the average is that of
        Hosoya, *Group-based Learning of Disentangled Representations with Generalizability for Novel Contents*, IJCAI
        2019.

    Example:
        >>> model = AdaGVAE(data_shape=(1, 8, 8), latent_dim=4)
        >>> sorted(model.batch_terms([torch.rand(2, 1, 8, 8), torch.rand(2, 1, 8, 8)]))
        ['kl', 'loss', 'num_shared', 'reconstruction']
        >>> sorted(model.batch_terms([torch.rand(2, 1, 8, 8), torch.zeros(2, 3)]))
        ['kl', 'loss', 'reconstruction']
    """

    def average(self, one: Gaussian, other: Gaussian) -> Gaussian:
        """Mean and log-variance that two posteriors of a shared latent are replaced by, each ``(N, d)``.

        Args:
            one: mean and log-variance, each ``(N, d)``.
            other: likewise.
        """
        (mean, log_variance), (other_mean, other_log_variance) = one, other
        variance = 0.5 * (log_variance.exp() + other_log_variance.exp())
        return 0.5 * (mean + other_mean), variance.log()

    def share(self, one: Gaussian, other: Gaussian) -> tuple[Gaussian, Gaussian, Tensor]:
        """Both posteriors with their shared latents averaged, and which these are, ``(N, d)`` booleans.

        Args:
            one: mean and log-variance, each ``(N, d)``.
            other: likewise.
        """
        difference = posterior_kl(one, other).detach()
        low, high = difference.aminmax(dim=1, keepdim=True)
        shared = difference < 0.5 * (low + high)
        average = self.average(one, other)
        first, second = (
            (torch.where(shared, average[0], mean), torch.where(shared, average[1], log_variance))
            for mean, log_variance in (one, other)
        )
        return first, second, shared

    def pair_terms(self, x: Tensor, other: Tensor) -> dict[str, Tensor]:
        """The loss of pairs and what it is made of, averaged over both data and over the batch.

        Args:
            x: data, ``(N, *data_shape)``.
            other: their partners, likewise.
        """
        both = torch.cat([x, other])
        mean, log_variance = self.encode(both)
        one, two = ((mean[rows], log_variance[rows]) for rows in (slice(len(x)), slice(len(x), None)))
        *posteriors, shared = self.share(one, two)
        mean, log_variance = (torch.cat(parts) for parts in zip(*posteriors, strict=True))
        terms = self._terms_given(both, mean, log_variance)
        return {**terms, "num_shared": shared.sum(1).to(mean).mean()}

    def batch_terms(self, batch: Any) -> dict[str, Tensor]:
        """The terms of a batch of pairs, or of single data."""
        if isinstance(batch, (list, tuple)) and len(batch) > 1:
            x, other = batch[:2]
            if isinstance(other, Tensor) and other.shape == x.shape and other.dtype == x.dtype:
                return self.pair_terms(x, other)
        return super().batch_terms(batch)


class AdaMLVAE(AdaGVAE):
    r"""Adaptive multi-level VAE: as :class:`AdaGVAE`, with the product of two posteriors in place of their average.

    The posteriors of a shared latent are replaced by the Gaussian of the average precision, with the means weighted by
    their precisions:

    .. math:: \frac1{\sigma^2} = \frac12 \Bigl( \frac1{\sigma_1^2} + \frac1{\sigma_2^2} \Bigr), \qquad
              \mu = \frac{\sigma^2}2 \Bigl( \frac{\mu_1}{\sigma_1^2} + \frac{\mu_2}{\sigma_2^2} \Bigr)

    Args:
        data_shape: ``(channels, H, W)`` of images, or ``(D,)``.
        latent_dim: number of latents ``d``.
        beta: weight of the KL divergence.
        kwargs: as for :class:`AdaGVAE`.

    Raises:
        ValueError: for a negative weight, and as :class:`~torchdisentangle.models.VAE`.

    Reference:
        Locatello et al., *Weakly-Supervised Disentanglement Without Compromises*, ICML 2020; the product is that of
        Bouchacourt, Tomioka & Nowozin, *Multi-Level Variational Autoencoder*, AAAI 2018.

    Example:
        >>> model = AdaMLVAE(data_shape=(1, 8, 8), latent_dim=4)
        >>> sure, unsure = (torch.zeros(1, 4), torch.full((1, 4), -9.0)), (torch.ones(1, 4), torch.zeros(1, 4))
        >>> model.average(sure, unsure)[0].round(decimals=3)  # the mean of the one that is sure
        tensor([[0., 0., 0., 0.]])
    """

    def average(self, one: Gaussian, other: Gaussian) -> Gaussian:
        """The Gaussian of the average precision, each ``(N, d)``.

        Args:
            one: mean and log-variance, each ``(N, d)``.
            other: likewise.
        """
        precisions = [(-log_variance).exp() for _, log_variance in (one, other)]
        total = precisions[0] + precisions[1]
        mean = (one[0] * precisions[0] + other[0] * precisions[1]) / total
        return mean, -(0.5 * total).log()


def posterior_kl(one: Gaussian, other: Gaussian) -> Tensor:
    r"""Divergence of two Gaussians in each latent.

    .. math:: \frac12 \Bigl[ \frac{\sigma_1^2 + (\mu_1 - \mu_2)^2}{\sigma_2^2} - 1
              + \log \sigma_2^2 - \log \sigma_1^2 \Bigr]

    Args:
        one: mean and log-variance, each ``(N, d)``.
        other: likewise.

    Returns:
        ``(N, d)`` in nats.

    Example:
        >>> posterior_kl((torch.zeros(1, 1), torch.zeros(1, 1)), (torch.ones(1, 1), torch.zeros(1, 1)))
        tensor([[0.5000]])
    """
    (mean, log_variance), (other_mean, other_log_variance) = one, other
    ratio = (log_variance - other_log_variance).exp() + (mean - other_mean).square() / other_log_variance.exp()
    return 0.5 * (ratio - 1 + other_log_variance - log_variance)
