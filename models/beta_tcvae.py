"""The beta-TCVAE."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from torchdisentangle.functional.elbo.decomposition import ELBOTerms
from torchdisentangle.functional.elbo.minibatch import MinibatchEstimator, minibatch_elbo_decomposition
from torchdisentangle.models.base import check_weights
from torchdisentangle.models.vae import VAE


class BetaTCVAE(VAE):
    r"""Variational autoencoder with a weight on each of the three parts of its KL divergence.

    .. math:: \mathcal{L} = -\mathbb{E}_{q(z|x)} \log p(x|z)
              + \alpha \underbrace{\mathbb{E} \log \frac{q(z|x)}{q(z)}}_{\text{mutual information}}
              + \beta \underbrace{\mathbb{E} \log \frac{q(z)}{\prod_i q(z_i)}}_{\text{total correlation}}
              + \gamma \underbrace{\mathbb{E} \log \frac{\prod_i q(z_i)}{p(z)}}_{\text{dimension-wise KL}}

    The aggregate posterior :math:`q(z)` is estimated from each batch, on several processes from each process's own.
    The model also logs the three parts, ``<stage>/mutual_information``, ``<stage>/total_correlation`` and
    ``<stage>/dimension_wise_kl``, in nats. They are biased: the mutual information cannot exceed the logarithm of the
    batch size in weighted sampling. For values use :class:`~torchdisentangle.ELBODecomposition`.

    Args:
        data_shape: ``(channels, H, W)`` of images, or ``(D,)``.
        latent_dim: number of latents ``d``.
        alpha: :math:`\alpha`.
        beta: :math:`\beta`; usual are 1 to 10.
        gamma: :math:`\gamma`.
        estimator: ``"mws"``, minibatch weighted sampling, without its factor :math:`1/N`, which has no gradient; or
            ``"mss"``, minibatch stratified sampling. Where posteriors in a batch hardly overlap (the mutual information
            is well above the logarithm of the batch size), the latter finds a negative total correlation whatever the
            latents do, and hardly penalises it.
        dataset_size: number of training data, for ``"mss"``.
        kwargs: as for :class:`~torchdisentangle.models.VAE`: ``likelihood``, ``network``, ``hidden``, ``dense``,
            ``learning_rate``.

    Raises:
        ValueError: for a negative weight, an unknown estimator, ``"mss"`` without a ``dataset_size``, and as
            :class:`~torchdisentangle.models.VAE`.

    Reference:
        Chen et al., *Isolating Sources of Disentanglement in Variational Autoencoders*, NeurIPS 2018, sections 3 and 4.

    Example:
        >>> import torch
        >>> model = BetaTCVAE(data_shape=(1, 8, 8), latent_dim=4)
        >>> sorted(model.terms(torch.rand(2, 1, 8, 8)))
        ['dimension_wise_kl', 'kl', 'loss', 'mutual_information', 'reconstruction', 'total_correlation']
    """

    def __init__(
        self,
        data_shape: Sequence[int],
        latent_dim: int = 10,
        alpha: float = 1.0,
        beta: float = 6.0,
        gamma: float = 1.0,
        estimator: MinibatchEstimator = "mws",
        dataset_size: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_shape, latent_dim, **kwargs)
        check_weights(alpha=alpha, beta=beta, gamma=gamma)
        if estimator not in ("mss", "mws"):
            raise ValueError(f"estimator must be 'mss' or 'mws', got {estimator!r}")
        if estimator == "mss" and not (dataset_size and dataset_size > 0):
            raise ValueError(f"stratified sampling needs a positive dataset_size, got {dataset_size}")
        self.alpha = alpha
        self.beta = beta
        self.gamma = gamma
        self.estimator = estimator
        self.dataset_size = dataset_size

    def parts(self, z: Tensor, mean: Tensor, log_variance: Tensor) -> ELBOTerms:
        """Mutual information, total correlation and dimension-wise KL of a batch."""
        if self.estimator == "mss" and self.dataset_size and len(z) > 1:  # one row cannot stand for the others
            return minibatch_elbo_decomposition(z, mean, log_variance, self.dataset_size, "mss")
        return minibatch_elbo_decomposition(z, mean, log_variance, 1, "mws")

    def objective(
        self, reconstruction: Tensor, kl: Tensor, z: Tensor, mean: Tensor, log_variance: Tensor
    ) -> dict[str, Tensor]:
        parts = self.parts(z, mean, log_variance)
        weights = (self.alpha, self.beta, self.gamma)
        penalty = sum(weight * part for weight, part in zip(weights, parts, strict=True))
        return {"loss": reconstruction + penalty, **parts._asdict()}
