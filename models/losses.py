"""Formulas of the models' objectives that no metric shares; the others are in ``torchdisentangle.functional``."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import softplus


def linear_capacity(step: Tensor, num_steps: int, maximum: float) -> Tensor:
    r"""A capacity that rises linearly and then stays.

    .. math:: C_t = C_{\max} \min(t / T, 1)

    Args:
        step: :math:`t`, any shape.
        num_steps: :math:`T`.
        maximum: :math:`C_{\max}`.

    Returns:
        The capacity in the unit of the maximum, same shape.

    Reference:
        Burgess et al., *Understanding disentangling in beta-VAE*, 2017.

    Example:
        >>> linear_capacity(torch.tensor([0, 4, 10, 99]), 10, 25.0)
        tensor([ 0., 10., 25., 25.])
    """
    return maximum * (step / num_steps).clamp(max=1)


def latent_covariance(mean: Tensor, log_variance: Tensor | None = None) -> Tensor:
    r"""Covariance of a batch's posterior means, or of samples of its posteriors.

    .. math:: \mathrm{Cov}[\mu] = \frac1N \sum_n (\mu_n - \bar\mu)(\mu_n - \bar\mu)^T, \qquad
              \mathrm{Cov}[z] = \mathrm{Cov}[\mu] + \mathrm{diag} \, \frac1N \sum_n \sigma_n^2

    Args:
        mean: ``(N, d)``.
        log_variance: ``(N, d)``, for the second; ``None``: the first.

    Returns:
        ``(d, d)``.

    Reference:
        Kumar et al., *Variational Inference of Disentangled Latent Concepts from Unlabeled Observations*, ICLR 2018,
        section 3.

    Example:
        >>> latent_covariance(torch.tensor([[-1.0, 1.0], [1.0, -1.0]]))
        tensor([[ 1., -1.],
                [-1.,  1.]])
    """
    centred = mean - mean.mean(0)
    covariance = centred.mT @ centred / len(mean)
    return covariance if log_variance is None else covariance + log_variance.exp().mean(0).diag()


def squared_covariance_errors(covariance: Tensor) -> tuple[Tensor, Tensor]:
    r"""How far a covariance is from the identity, off and on its diagonal.

    .. math:: \sum_{i \neq j} C_{ij}^2, \qquad \sum_i (C_{ii} - 1)^2

    Args:
        covariance: ``(d, d)``.

    Returns:
        Both sums; the first has both triangles.

    Reference:
        Kumar et al., *Variational Inference of Disentangled Latent Concepts from Unlabeled Observations*, ICLR 2018,
        section 3.

    Example:
        >>> squared_covariance_errors(torch.tensor([[2.0, 0.5], [0.5, 1.0]]))
        (tensor(0.5000), tensor(1.))
    """
    diagonal = covariance.diagonal()
    return (covariance - diagonal.diag()).square().sum(), (diagonal - 1).square().sum()


def permute_latents(z: Tensor) -> Tensor:
    r"""Samples of :math:`\prod_i q(z_i)` from samples of :math:`q(z)`: every latent is permuted by itself.

    Args:
        z: ``(N, d)``.

    Returns:
        ``(N, d)``, each column with the values that it had.

    Reference:
        Kim & Mnih, *Disentangling by Factorising*, ICML 2018, algorithm 1.

    Example:
        >>> permute_latents(torch.ones(2, 3))
        tensor([[1., 1., 1.],
                [1., 1., 1.]])
    """
    return z.gather(0, torch.rand_like(z).argsort(0))


def density_ratio(logits: Tensor) -> Tensor:
    r"""Log ratio of the densities of two classes that a classifier tells apart, in nats.

    .. math:: \log \frac{D(z)}{1 - D(z)} = \ell_0(z) - \ell_1(z)

    If the classifier is optimal and the classes are samples of :math:`q(z)` and :math:`\prod_i q(z_i)`, equally many,
    its mean over the first is the total correlation.

    Args:
        logits: of the two classes, ``(N, 2)``.

    Returns:
        ``(N,)``.

    Reference:
        Kim & Mnih, *Disentangling by Factorising*, ICML 2018.

    Example:
        >>> density_ratio(torch.tensor([[2.0, 0.5]]))
        tensor([1.5000])
    """
    return logits[:, 0] - logits[:, 1]


def joint_or_permuted_loss(joint: Tensor, permuted: Tensor) -> Tensor:
    r"""Cross entropy of a classifier that tells samples of two classes apart, in nats; :math:`\log 2` if it cannot.

    .. math:: -\tfrac12 \bigl( \mathbb{E}_0 \log D + \mathbb{E}_1 \log (1 - D) \bigr), \qquad
              D = \mathrm{sigmoid}(\ell_0 - \ell_1)

    Args:
        joint: logits at samples of the first class, ``(N, 2)``.
        permuted: logits at samples of the second, ``(M, 2)``.

    Returns:
        A scalar.

    Reference:
        Kim & Mnih, *Disentangling by Factorising*, ICML 2018, algorithm 2.

    Example:
        >>> joint_or_permuted_loss(torch.zeros(3, 2), torch.zeros(3, 2))
        tensor(0.6931)
    """
    return 0.5 * (softplus(-density_ratio(joint)).mean() + softplus(density_ratio(permuted)).mean())
