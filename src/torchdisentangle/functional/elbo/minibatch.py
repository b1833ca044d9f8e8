r"""The ELBO decomposition from one minibatch: differentiable estimates for training.

Reference: Chen et al., *Isolating Sources of Disentanglement in Variational Autoencoders*, NeurIPS 2018.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from torchdisentangle.functional.elbo.decomposition import ELBOTerms, elbo_terms
from torchdisentangle.functional.elbo.gaussian import gaussian_log_density

MinibatchEstimator = Literal["mss", "mws"]


def minibatch_log_weights(
    batch_size: int, dataset_size: int, estimator: MinibatchEstimator, *, device: torch.device | None = None
) -> Tensor:
    r"""Log of the weights with which a minibatch stands for all posteriors.

    .. math:: q(z_i) \approx \sum_j W_{ij} \, q(z_i \mid x_j)

    *Minibatch stratified sampling*, with :math:`M = b - 1`: a latent's own posterior has its true weight
    :math:`W_{ii} = 1/N`; the other rows stand for the rest, one of them (here the next, cyclically) with
    :math:`W_{i,i+1} = (N - M) / N M` and the others with :math:`1/M`. Rows sum to 1.

    *Minibatch weighted sampling*: :math:`W_{ij} = 1 / N b` throughout. Rows sum to :math:`1/N`, so every log-density is
    about :math:`\log N` too small: the mutual information is about :math:`\log N` too large, the total correlation
    :math:`(d - 1) \log N`, and the dimension-wise KL :math:`d \log N` too small. The constants have no gradient.

    Args:
        batch_size: :math:`b`.
        dataset_size: :math:`N`.
        estimator: ``"mss"`` or ``"mws"``.
        device: of the result.

    Returns:
        ``(b, b)`` in float64.

    Raises:
        ValueError: for an unknown estimator or sizes below 1; for ``"mss"``, with a batch of one (nothing stands for
            the other rows) or of more than ``dataset_size + 1`` (a weight would be negative).

    Reference:
        Chen et al., NeurIPS 2018.

    Example:
        >>> minibatch_log_weights(3, 10, "mss").exp()
        tensor([[0.1000, 0.4000, 0.5000],
                [0.5000, 0.1000, 0.4000],
                [0.4000, 0.5000, 0.1000]], dtype=torch.float64)
    """
    if batch_size < 1 or dataset_size < 1:
        raise ValueError(f"sizes must be at least 1, got a batch of {batch_size} and a data set of {dataset_size}")
    if estimator == "mws":
        value = -math.log(dataset_size * batch_size)
        return torch.full((batch_size, batch_size), value, dtype=torch.float64, device=device)
    if estimator != "mss":
        raise ValueError(f"estimator must be 'mss' or 'mws', got {estimator!r}")
    others = batch_size - 1
    if not 1 <= others <= dataset_size:
        raise ValueError(
            f"stratified sampling needs batches of 2 to {dataset_size + 1} rows of a data set of {dataset_size}, "
            f"got {batch_size}"
        )
    weights = torch.full((batch_size, batch_size), 1 / others, dtype=torch.float64, device=device)
    row = torch.arange(batch_size, device=device)
    weights[row, (row + 1) % batch_size] = (dataset_size - others) / (dataset_size * others)
    weights[row, row] = 1 / dataset_size
    return weights.log()


def minibatch_log_densities(
    z: Tensor, mean: Tensor, log_variance: Tensor, dataset_size: int, estimator: MinibatchEstimator = "mss"
) -> tuple[Tensor, Tensor]:
    r"""Log-densities of the aggregate posterior, estimated from one minibatch.

    .. math:: \log q(z_i) \approx \log \sum_j W_{ij} \prod_k q(z_{ik} \mid x_j), \quad
              \log q(z_{ik}) \approx \log \sum_j W_{ij} \, q(z_{ik} \mid x_j)

    with the weights of :func:`minibatch_log_weights`. Cost and memory: :math:`b^2 d`.

    Args:
        z: a latent drawn from each posterior, ``(b, d)``.
        mean: ``(b, d)``.
        log_variance: ``(b, d)``.
        dataset_size: number of rows of the data set, :math:`N`.
        estimator: ``"mss"`` or ``"mws"``.

    Returns:
        The joint log-densities ``(b,)`` and the marginal ones ``(b, d)``, in nats.

    Raises:
        ValueError: if shapes do not fit, or as :func:`minibatch_log_weights` says.

    Reference:
        Chen et al., NeurIPS 2018.

    Example:
        >>> z, zero = torch.zeros(4, 2), torch.zeros(4, 2)
        >>> joint, marginal = minibatch_log_densities(z, zero, zero, dataset_size=100)
        >>> joint.exp(), marginal[0].exp()
        (tensor([0.1592, 0.1592, 0.1592, 0.1592]), tensor([0.3989, 0.3989]))
    """
    if z.ndim != 2 or not z.shape == mean.shape == log_variance.shape:
        shapes = ", ".join(str(tuple(x.shape)) for x in (z, mean, log_variance))
        raise ValueError(f"z, mean and log_variance must have the same shape (b, d), got {shapes}")
    log_weights = minibatch_log_weights(len(z), dataset_size, estimator, device=z.device).to(z)
    log_density = gaussian_log_density(z[:, None], mean, log_variance)  # (b, b, d)
    joint = (log_density.sum(-1) + log_weights).logsumexp(1)
    return joint, (log_density + log_weights[..., None]).logsumexp(1)


def minibatch_elbo_decomposition(
    z: Tensor, mean: Tensor, log_variance: Tensor, dataset_size: int, estimator: MinibatchEstimator = "mss"
) -> ELBOTerms:
    r"""The three terms of the KL divergence from one minibatch: differentiable, for training.

    They add to the sampled KL divergence, the mean of :math:`\log q(z \mid x) - \log p(z)`. Gradients of ``"mss"`` and
    ``"mws"`` are both usable; as values only ``"mss"`` is, see :func:`minibatch_log_weights`. Noisy and biased: a total
    correlation may be negative.

    Args:
        z: a latent drawn from each posterior, ``(b, d)``.
        mean: ``(b, d)``.
        log_variance: ``(b, d)``.
        dataset_size: number of rows of the data set, :math:`N`; on several processes of all of it.
        estimator: ``"mss"`` or ``"mws"``.

    Returns:
        Means over the batch, scalars in nats.

    Raises:
        ValueError: as :func:`minibatch_log_densities` says.

    Reference:
        Chen et al., NeurIPS 2018.

    Example:
        >>> z, zero = torch.randn(4, 2), torch.zeros(4, 2)
        >>> [round(float(term), 3) for term in minibatch_elbo_decomposition(z, zero, zero, 100, "mws")]
        [4.605, 4.605, -9.21]
    """
    densities = minibatch_log_densities(z, mean, log_variance, dataset_size, estimator)
    return ELBOTerms(*(term.mean() for term in elbo_terms(z, mean, log_variance, *densities)))


def minibatch_total_correlation(
    z: Tensor, mean: Tensor, log_variance: Tensor, dataset_size: int, estimator: MinibatchEstimator = "mss"
) -> Tensor:
    r"""Total correlation of the aggregate posterior from one minibatch: the penalty of the beta-TCVAE.

    .. math:: \mathrm{TC} = \mathbb{E} \Bigl[ \log q(z) - \sum_i \log q(z_i) \Bigr]

    Args:
        z: a latent drawn from each posterior, ``(b, d)``.
        mean: ``(b, d)``.
        log_variance: ``(b, d)``.
        dataset_size: number of rows of the data set, :math:`N`.
        estimator: ``"mss"`` or ``"mws"``.

    Returns:
        A scalar in nats.

    Raises:
        ValueError: as :func:`minibatch_log_densities` says.

    Reference:
        Chen et al., NeurIPS 2018.

    Example:
        >>> z, zero = torch.randn(4, 2), torch.zeros(4, 2)
        >>> round(float(minibatch_total_correlation(z, zero, zero, dataset_size=100).abs()), 5)
        0.0
    """
    return minibatch_elbo_decomposition(z, mean, log_variance, dataset_size, estimator).total_correlation
