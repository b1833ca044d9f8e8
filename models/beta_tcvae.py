"""The beta-TCVAE."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from torchdisentangle.functional.elbo import MinibatchEstimator, minibatch_elbo_decomposition
from torchdisentangle.models.base import check_weights
from torchdisentangle.models.vae import VAE


class BetaTCVAE(VAE):
    r"""Variational autoencoder with a weight on each of the three parts of its KL divergence.

    .. math:: \mathcal{L} = -\mathbb{E}_{q(z|x)} \log p(x|z)
              + \alpha \underbrace{\mathbb{E} \log \frac{q(z|x)}{q(z)}}_{\text{mutual information}}
              + \beta \underbrace{\mathbb{E} \log \frac{q(z)}{\prod_i q(z_i)}}_{\text{total correlation}}
              + \gamma \underbrace{\mathbb{E} \log \frac{\prod_i q(z_i)}{p(z)}}_{\text{dimension-wise KL}}

    The aggregate posterior :math:`q(z)` is estimated from each batch (on several processes, each process's own), of at
    least two rows. Logged are also the three parts, ``<stage>/mutual_information``, ``<stage>/total_correlation`` and
    ``<stage>/dimension_wise_kl`` in nats: noisy and biased, for the exact values use
    :class:`~torchdisentangle.ELBODecomposition`.

    Args:
        data_shape: ``(channels, H, W)`` of images, or ``(D,)``.
        dataset_size: number of training data.
        latent_dim: number of latents ``d``.
        alpha: :math:`\alpha`.
        beta: :math:`\beta`; usual are 1 to 10.
        gamma: :math:`\gamma`.
        estimator: ``"mss"``, minibatch stratified sampling, or ``"mws"``, minibatch weighted sampling, whose values are
            off by a constant of about :math:`\log` ``dataset_size`` for each latent, while its gradients are as good.
        kwargs: as for :class:`~torchdisentangle.models.VAE`: ``likelihood``, ``network``, ``hidden``, ``dense``,
            ``learning_rate``.

    Raises:
        ValueError: for a negative weight, an unknown estimator, an empty data set, and as
            :class:`~torchdisentangle.models.VAE`.

    Reference:
        Chen et al., *Isolating Sources of Disentanglement in Variational Autoencoders*, NeurIPS 2018, sections 3 and 4.

    Example:
        >>> import torch
        >>> model = BetaTCVAE(data_shape=(1, 8, 8), dataset_size=1437, latent_dim=4)
        >>> sorted(model.terms(torch.rand(2, 1, 8, 8)))
        ['dimension_wise_kl', 'kl', 'loss', 'mutual_information', 'reconstruction', 'total_correlation']
    """

    def __init__(
        self,
        data_shape: Sequence[int],
        dataset_size: int,
        latent_dim: int = 10,
        alpha: float = 1.0,
        beta: float = 6.0,
        gamma: float = 1.0,
        estimator: MinibatchEstimator = "mss",
        **kwargs: Any,
    ) -> None:
        super().__init__(data_shape, latent_dim, **kwargs)
        check_weights(alpha=alpha, beta=beta, gamma=gamma)
        if dataset_size < 1 or estimator not in ("mss", "mws"):
            raise ValueError(
                f"a dataset_size of at least 1 and the estimator 'mss' or 'mws' are needed, got {dataset_size} and "
                f"{estimator!r}"
            )
        self.alpha, self.beta, self.gamma = alpha, beta, gamma
        self.dataset_size, self.estimator = dataset_size, estimator

    def objective(
        self, reconstruction: Tensor, kl: Tensor, z: Tensor, mean: Tensor, log_variance: Tensor
    ) -> dict[str, Tensor]:
        size, estimator = (self.dataset_size, self.estimator) if len(z) > 1 else (1, "mws")  # one row is all there is
        parts = minibatch_elbo_decomposition(z, mean, log_variance, size, estimator)
        penalty = (
            self.alpha * parts.mutual_information
            + self.beta * parts.total_correlation
            + self.gamma * parts.dimension_wise_kl
        )
        return {"loss": reconstruction + penalty, **parts._asdict()}
