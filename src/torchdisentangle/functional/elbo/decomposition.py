r"""The decomposition of a VAE's KL divergence by the aggregate posterior :math:`q(z) = \frac1N \sum_n q(z \mid x_n)`.

.. math:: \mathbb{E}_x \mathrm{KL}(q(z \mid x) \,\|\, p(z)) =
          \underbrace{\mathbb{E} \log \frac{q(z \mid x)}{q(z)}}_{\text{index-code mutual information}} +
          \underbrace{\mathbb{E} \log \frac{q(z)}{\prod_i q(z_i)}}_{\text{total correlation}} +
          \underbrace{\mathbb{E} \log \frac{\prod_i q(z_i)}{p(z)}}_{\text{dimension-wise KL}}

with expectations over data and their posteriors, and a standard normal prior :math:`p`. Whatever stands for
:math:`q(z)` and :math:`q(z_i)`, the three terms of a latent add to :math:`\log q(z \mid x) - \log p(z)`.

Reference: Chen et al., *Isolating Sources of Disentanglement in Variational Autoencoders*, NeurIPS 2018.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from torchdisentangle.functional.elbo.aggregate import aggregate_log_sums
from torchdisentangle.functional.elbo.gaussian import NARROWEST, gaussian_kl, gaussian_log_density

_LEAST_VARIANCE = 1e-9  # nats squared; below, the sampled KL divergence does not vary and explains nothing
_MOST_LEVERAGE = 0.8  # above, the slopes are those of one far sample, and say nothing about its absence


class ELBOTerms(NamedTuple):
    """The three terms of the KL divergence, in nats: of each latent ``(S,)``, or their means (scalars)."""

    mutual_information: Tensor
    total_correlation: Tensor
    dimension_wise_kl: Tensor


def elbo_terms(z: Tensor, mean: Tensor, log_variance: Tensor, log_joint: Tensor, log_marginal: Tensor) -> ELBOTerms:
    r"""The three terms at single latents, given log-densities of the aggregate posterior.

    .. math:: \log \frac{q(z_s \mid x_s)}{q(z_s)}, \quad \log \frac{q(z_s)}{\prod_i q(z_{si})}, \quad
              \log \frac{\prod_i q(z_{si})}{p(z_s)}

    Args:
        z: latents, ``(S, d)``.
        mean: of the posterior that each latent was drawn from, ``(S, d)``.
        log_variance: likewise, ``(S, d)``.
        log_joint: :math:`\log q(z_s)`, ``(S,)``.
        log_marginal: :math:`\log q(z_{si})`, ``(S, d)``.

    Returns:
        The terms, ``(S,)`` each, in nats.

    Reference:
        Chen et al., NeurIPS 2018.

    Example:
        >>> z, zero = torch.randn(5, 2), torch.zeros(5, 2)
        >>> log_density = gaussian_log_density(z, zero, zero)  # all posteriors are the prior
        >>> [bool(term.abs().max() < 1e-6) for term in elbo_terms(z, zero, zero, log_density.sum(1), log_density)]
        [True, True, True]
    """
    own = gaussian_log_density(z, mean, log_variance).sum(-1)
    prior = gaussian_log_density(z, torch.zeros_like(z), torch.zeros_like(z)).sum(-1)
    product = log_marginal.sum(-1)
    return ELBOTerms(own - log_joint, log_joint - product, product - prior)


def elbo_decomposition(z: Tensor, mean: Tensor, log_variance: Tensor) -> ELBOTerms:
    r"""The three terms of the KL divergence under the exact aggregate posterior.

    .. math:: I(x; z) + \mathrm{TC} + \mathrm{DWKL} = \frac1N \sum_n \mathrm{KL}(q(z \mid x_n) \,\|\, p(z))

    The terms are means over the latents given, corrected by :func:`regressed_on_kl` so that they add to the analytic KL
    divergence of all rows. Cost: ``S N d`` exponentials, see
    :func:`~torchdisentangle.functional.elbo.aggregate.aggregate_log_sums`.

    Args:
        z: one latent drawn from the posterior of each of the first ``S`` rows, ``(S, d)``; rows are in random order.
        mean: of all posteriors, ``(N, d)`` with ``N >= S``.
        log_variance: likewise, ``(N, d)``.

    Returns:
        The terms, scalars in nats, float64.

    Raises:
        ValueError: if shapes do not fit.

    Reference:
        Chen et al., NeurIPS 2018.

    Example:
        >>> mean = torch.tensor([[-9.0], [9.0]]).repeat(100, 1)
        >>> terms = elbo_decomposition(mean + torch.randn(200, 1), mean, torch.zeros(200, 1))
        >>> [round(float(term), 3) for term in terms]
        [0.693, 0.0, 39.807]
    """
    if z.ndim != 2 or not 1 <= len(z) <= len(mean):
        raise ValueError(f"latents of 1 to {len(mean)} rows are needed, (S, d), got {tuple(z.shape)}")
    sums = aggregate_log_sums(z, mean, log_variance)
    z, mean, log_variance = z.double(), mean.double(), log_variance.double()
    own = mean[: len(z)], log_variance[: len(z)]
    terms = torch.stack(elbo_terms(z, *own, sums.joint - sums.weight, sums.marginal - sums.weight), dim=1)
    kl = gaussian_kl(mean, log_variance).sum(1).mean()
    return ELBOTerms(*regressed_on_kl(terms, kl, explained_kl(mean, log_variance, len(z), kl)).value)


def explained_kl(mean: Tensor, log_variance: Tensor, num_queries: int, kl: Tensor) -> Tensor:
    r"""Part of the mean KL divergence that queried rows can explain.

    .. math:: \frac1N \sum_n \min(\mathrm{KL}_n, K), \quad
              K = 2 \max_s \mathrm{KL}_s - \frac1S \sum_s \mathrm{KL}_s

    A single posterior that is very broad, or very far away, can have a KL divergence of thousands of nats. If it is not
    among the queries, a regression on them must not be extrapolated to it: ``K`` reaches as far above the largest
    queried divergence as that is above their mean. In ordinary data no row lies beyond, and all is explained. Widths
    below :math:`e^{-150}`, which no density shows, explain nothing either.

    Args:
        mean: of the rows at hand, in random order, ``(N, d)``; the first ``num_queries`` are queried.
        log_variance: likewise.
        num_queries: ``S``.
        kl: the mean over all rows of the data, of which those at hand are a uniform sample. If their mean differs from
            it by more than six standard errors, the difference is not explained.

    Returns:
        A scalar in nats.

    Example:
        >>> mean = torch.tensor([1.0, 2.0, 1.5, 40.0])[:, None]  # 0.5, 2 and 1.1 nats are queried, not 800
        >>> kl = gaussian_kl(mean, torch.zeros(4, 1)).mean()
        >>> kl, explained_kl(mean, torch.zeros(4, 1), 3, kl)
        (tensor(200.9062), tensor(1.6042))
    """
    of_rows = sampled_kl(mean, log_variance)
    queried = of_rows[:num_queries]
    within = of_rows.clamp(max=2 * queried.max() - queried.mean())
    unseen = kl - of_rows.mean()
    limit = 6 * within.std(correction=0) / len(within) ** 0.5
    return within.mean() + torch.where(unseen.abs() > limit, 0.0, unseen)


def sampled_kl(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL divergence of each row, ``(N,)`` in nats, with widths as densities at sampled latents show them.

    Example:
        >>> sampled_kl(torch.zeros(2, 1), torch.tensor([[-1e30], [0.0]]))
        tensor([149.5000,   0.0000])
    """
    return gaussian_kl(mean, log_variance.clamp(min=NARROWEST)).sum(1)


def adjusted_to_kl(
    mean: Tensor, covariance: Tensor, kl: Tensor, explained: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    r"""Correct sampled means of the three terms by the KL divergence, which is known in closed form.

    .. math:: \bar t_k + c_k \Bigl(\mathrm{KL} - \sum_l \bar t_l\Bigr), \quad
              c_k = \frac{\mathrm{Cov}(t_k, \sum_l t_l)}{\mathrm{Var}(\sum_l t_l)}

    This is the regression (control variate) estimate of each mean. The coefficients add to 1, so the corrected terms
    add to the KL divergence exactly; and a term that does not vary, such as a mutual information at its ceiling or a
    total correlation of 0, is left as it is. Where the sum does not vary, all of the difference goes to the last term,
    and so does the part of the KL divergence that the samples do not explain: the other two terms are bounded by
    :math:`\log N` and :math:`(d - 1) \log N` in every row, so no single row can move them far.

    Args:
        mean: of the three terms over samples, ``(3,)`` in nats.
        covariance: of the three terms, ``(3, 3)``.
        kl: the mean KL divergence, a scalar.
        explained: the part of it that the samples explain, see :func:`explained_kl`; ``None``: all.

    Returns:
        The corrected means, and what is left of each term's variance, ``(3,)`` each.

    Reference:
        Cochran, *Sampling Techniques*, 1977 (regression estimators).

    Example:
        >>> adjusted_to_kl(torch.tensor([2.0, 0.0, 1.0]), torch.diag(torch.tensor([3.0, 0.0, 1.0])), torch.tensor(4.0))
        (tensor([2.7500, 0.0000, 1.2500]), tensor([0.7500, 0.0000, 0.7500]))
    """
    share = _shares(covariance)
    with_sum = covariance.sum(1)
    left = covariance.diagonal() - 2 * share * with_sum + share.square() * with_sum.sum()
    return _adjusted(mean, share, kl, explained), left.clamp(min=0)


class RegressedTerms(NamedTuple):
    """Means of the three terms, and how each sample moves them.

    Args:
        value: the corrected means, ``(3,)`` in nats; they add to the KL divergence.
        influence: by how much each mean would change without a sample, ``(S, 3)``; the sum of squares over samples
            is the mean's squared standard error, for samples of a large population.
        share: of the difference of the KL divergence from its sampled mean that each term was given, ``(3,)``.
    """

    value: Tensor
    influence: Tensor
    share: Tensor


def regressed_on_kl(terms: Tensor, kl: Tensor, explained: Tensor | None = None) -> RegressedTerms:
    r"""The estimate of :func:`adjusted_to_kl` from single samples, without its bias, and with an honest error.

    .. math:: \hat t_k + \frac{S - 1}{S} \sum_s u_{sk}, \quad
              u_{sk} = \frac{w_s \, e_{sk}}{1 - h_s}, \quad
              \operatorname{Var} \hat t_k \approx \sum_s u_{sk}^2

    with the residuals :math:`e_{sk}` of the regression on the sampled KL divergence, the leverages :math:`h_s`, and the
    weights :math:`w_s` that the estimate gives to samples. Slopes that are fitted to the samples cost degrees of
    freedom, and bias the means by :math:`O(1/S)`: the jackknife, of which this is the closed form, accounts for both.

    Args:
        terms: the three terms of each sample, ``(S, 3)`` in nats.
        kl: the mean KL divergence, a scalar.
        explained: the part of it that the samples explain, see :func:`explained_kl`; ``None``: all.

    Returns:
        The means, and the influence of samples; infinite with fewer than three, which leave no residuals.

    Reference:
        MacKinnon & White, *Some heteroskedasticity-consistent covariance matrix estimators with improved finite sample
        properties*, 1985 (HC3).

    Example:
        >>> generator = torch.Generator().manual_seed(0)
        >>> terms = torch.randn(100, 3, generator=generator).double()
        >>> value, influence, _ = regressed_on_kl(terms, torch.tensor(0.3).double())
        >>> round(float(value.sum()), 6), round(float(influence.square().sum(0)[0].sqrt()), 2)
        (0.3, 0.08)
    """
    count, centred = len(terms), terms - terms.mean(0)
    scale = centred.sum(1).abs().amax().clamp(min=1)  # of one far row, whose square may overflow
    scaled = centred / scale
    share = _shares(scaled.mT @ scaled / count)
    fitted = _adjusted(terms.mean(0), share, kl, explained)
    if count < 3:
        return RegressedTerms(fitted, torch.full_like(terms, torch.inf), share)
    sampled = scaled.sum(1)
    slope = sampled / sampled.square().sum().clamp(min=count * _LEAST_VARIANCE)
    leverage = (1 / count + slope * sampled).clamp(max=_MOST_LEVERAGE)
    distance = (kl if explained is None else explained) - terms.mean(0).sum()
    weight = 1 / count + slope * (distance / scale)
    influence = scale * (weight / (1 - leverage))[:, None] * (scaled - sampled[:, None] * share)
    return RegressedTerms(fitted + (count - 1) / count * influence.sum(0), influence, share)


def _shares(covariance: Tensor) -> Tensor:
    """Slopes of the three terms on their sum; all belongs to the last where the sum does not vary."""
    with_sum = covariance.sum(1)
    variance = with_sum.sum()
    last = torch.zeros_like(with_sum)
    last[-1] = 1.0
    return torch.where(variance > _LEAST_VARIANCE, with_sum / variance.clamp(min=_LEAST_VARIANCE), last)


def _adjusted(mean: Tensor, share: Tensor, kl: Tensor, explained: Tensor | None) -> Tensor:
    """The corrected means."""
    if explained is None:
        return mean + share * (kl - mean.sum())
    corrected = mean + share * (explained - mean.sum())
    return torch.cat([corrected[:-1], corrected[-1:] + (kl - explained)])
