r"""How much each latent tells that no other latent tells, from densities of posteriors at sampled latents.

Queries :math:`z_s \sim q(z \mid x_s)` are drawn from posteriors, and every entropy is a mean of log-densities at them,
so differences of entropies are means of differences. :math:`z_{\neq i}` are all latents but one.

Reference: Do & Tran, *Theory and evaluation metrics for learning disentangled representations*, ICLR 2020.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from torchdisentangle.functional.device import sizes_of
from torchdisentangle.functional.elbo.aggregate import AggregateLogSums
from torchdisentangle.functional.elbo.gaussian import gaussian_log_density
from torchdisentangle.functional.informativeness.quantization import rank_latents
from torchdisentangle.functional.row_blocks import row_blocks
from torchdisentangle.functional.underflow import LogSums, log_sums, no_log_sums


class LatentInformation(NamedTuple):
    r"""Information about the data in all, one, and all but one latents, for each query or as means; in nats.

    Args:
        joint: :math:`I(x; z)`, ``(S,)`` or a scalar.
        single: :math:`I(x; z_i)`, ``(S, d)`` or ``(d,)``.
        rest: :math:`I(x; z_{\neq i})`, likewise.
        shared: :math:`I(z_i; z_{\neq i})`, likewise.
    """

    joint: Tensor
    single: Tensor
    rest: Tensor
    shared: Tensor

    def mean(self) -> LatentInformation:
        """Means over queries."""
        return LatentInformation(*(value.mean(0) for value in self))


class SeparabilityScores(NamedTuple):
    r"""Separability of latents, in nats.

    Args:
        sep: :math:`\mathrm{SEP}_i = I(z_i; z_{\neq i})`, ``(d,)``; ideal 0.
        sepin: :math:`\mathrm{SEPIN}_i = I(x; z_i \mid z_{\neq i}) = I(x; z) - I(x; z_{\neq i})`, ``(d,)``.
        indin: :math:`\mathrm{INDIN}_i = I(x; z_i) - I(z_i; z_{\neq i})`, ``(d,)``; equal to ``sepin``.
        wsep: :math:`\sum_i \rho_i \, \mathrm{SEP}_i`, a scalar.
        wsepin: :math:`\sum_i \rho_i \, \mathrm{SEPIN}_i`, a scalar.
        windin: :math:`\sum_i \rho_i \, \mathrm{INDIN}_i`, a scalar.
    """

    sep: Tensor
    sepin: Tensor
    indin: Tensor
    wsep: Tensor
    wsepin: Tensor
    windin: Tensor


def latent_information(log_conditional: Tensor, log_sums: AggregateLogSums) -> LatentInformation:
    r"""Information about the data in latents, for each query.

    .. math:: I_s(x; z_A) = \sum_{i \in A} \log q(z_{si} \mid x_s) - \log q(z_{sA}), \quad
              I_s(z_i; z_{\neq i}) = \log \frac{q(z_s)}{q(z_{si}) \, q(z_{s \neq i})}

    The mean over queries estimates the information; it is unbiased for the mixture of the given rows, and no value
    exceeds :math:`\log N`. In log-space throughout: no floor, so many latents are no problem.

    Args:
        log_conditional: :math:`\log q(z_{si} \mid x_s)` of the posterior that each query was drawn from, ``(S, d)``.
        log_sums: over all rows at the queries, with ``leave_one_out``.

    Returns:
        The four kinds of information, ``(S,)`` and ``(S, d)`` in nats; differentiable.

    Raises:
        ValueError: if the log-sums lack those of all latents but one, or the shapes differ.

    Reference:
        Do & Tran, ICLR 2020 (informativeness; separability and independence).

    Example:
        >>> from torchdisentangle.functional import aggregate_log_sums, gaussian_log_density
        >>> z = mean = torch.tensor([[-9.0, 0.0], [9.0, 0.0]]).double()
        >>> log_variance = torch.zeros(2, 2).double()
        >>> sums = aggregate_log_sums(z, mean, log_variance, leave_one_out=True)
        >>> information = latent_information(gaussian_log_density(z, mean, log_variance), sums).mean()
        >>> information.single  # the first latent tells which of two data it was
        tensor([0.6931, 0.0000], dtype=torch.float64)
    """
    if log_sums.leave_one_out is None:
        raise ValueError("log-sums of all latents but one are needed: aggregate_log_sums(..., leave_one_out=True)")
    if log_conditional.shape != log_sums.marginal.shape:
        raise ValueError(
            f"log_conditional must have shape {tuple(log_sums.marginal.shape)}, got {tuple(log_conditional.shape)}"
        )
    joint, single, rest = (
        part - log_sums.weight for part in (log_sums.joint, log_sums.marginal, log_sums.leave_one_out)
    )
    total = log_conditional.sum(1)
    return LatentInformation(
        joint=total - joint,
        single=log_conditional - single,
        rest=total[:, None] - log_conditional - rest,
        shared=joint[:, None] - single - rest,
    )


def information_shares(single: Tensor) -> Tensor:
    r"""Each latent's share of the information.

    .. math:: \rho_i = I(x; z_i) \Big/ \sum_j I(x; z_j)

    Args:
        single: :math:`I(x; z_i)`, ``(d,)``; negative estimates count as 0.

    Returns:
        ``(d,)``, of sum 1; all zeros if no latent tells anything.

    Reference:
        Do & Tran, ICLR 2020 (separability and independence).

    Example:
        >>> information_shares(torch.tensor([3.0, 1.0])), information_shares(torch.zeros(2))
        (tensor([0.7500, 0.2500]), tensor([0., 0.]))
    """
    positive = single.clamp(min=0)
    total = positive.sum()
    return torch.where(total > 0, positive / torch.where(total > 0, total, 1.0), 0.0)


def separability(information: LatentInformation) -> SeparabilityScores:
    r"""Separability scores from mean information.

    .. math:: \mathrm{SEPIN}_i = I(x; z) - I(x; z_{\neq i}), \quad
              \mathrm{INDIN}_i = I(x; z_i) - I(z_i; z_{\neq i})

    For posteriors that are factorised, as diagonal Gaussians are, the two are the same quantity, query by query. Values
    are not clipped at 0, so the identity holds to rounding and an estimate's noise shows.

    Args:
        information: means over queries.

    Returns:
        The scores.

    Reference:
        Do & Tran, ICLR 2020 (SEPIN, WSEPIN; INDIN, WINDIN).

    Example:
        >>> two_copies = LatentInformation(*map(torch.tensor, (1.0, [0.9, 0.9], [0.9, 0.9], [0.8, 0.8])))
        >>> separability(two_copies).sepin, separability(two_copies).wsep
        (tensor([0.1000, 0.1000]), tensor(0.8000))
    """
    sep = information.shared
    sepin = information.joint - information.rest
    indin = information.single - information.shared
    shares = information_shares(information.single)
    return SeparabilityScores(sep, sepin, indin, *((shares * score).sum() for score in (sep, sepin, indin)))


def mean_of_top(scores: Tensor, information: Tensor, k: int) -> Tensor:
    """Mean score of the ``k`` most informative latents, as in SEPIN@k.

    Args:
        scores: ``(..., d)``.
        information: by which to choose, ``(d,)``.
        k: how many; all if there are fewer.

    Returns:
        ``(...)``.

    Raises:
        ValueError: if ``k`` is not positive.

    Reference:
        Do & Tran, ICLR 2020 (SEPIN@k).

    Example:
        >>> mean_of_top(torch.tensor([0.1, 0.5, 0.3]), torch.tensor([0.0, 2.0, 1.0]), k=2)
        tensor(0.4000)
    """
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}")
    return scores[..., rank_latents(information)[:k]].mean(-1)


def weighted_influence(single: Tensor, scores: Tensor) -> Tensor:
    r"""How each query moves a score that is weighted by information, for its standard error.

    .. math:: \sum_i \rho_i \, s_{si} + \frac{\sum_i I_s(x; z_i) \, (s_i - \sum_j \rho_j s_j)}{\sum_i I(x; z_i)}

    This is the linearisation of a quotient of means, such as WSEPIN is.

    Args:
        single: :math:`I_s(x; z_i)` of each query, ``(S, d)``.
        scores: :math:`s_{si}` of each query, ``(S, d)``, such as SEPIN.

    Returns:
        ``(S,)`` in nats; their standard deviation over queries, divided by :math:`\sqrt S`, is the standard error.

    Example:
        >>> weighted_influence(torch.ones(2, 1), torch.ones(2, 1))
        tensor([1., 1.])
    """
    mean_single, mean_scores = single.mean(0), scores.mean(0)
    shares, total = information_shares(mean_single), mean_single.clamp(min=0).sum()
    moved = single @ (mean_scores - (shares * mean_scores).sum())
    return scores @ shares + torch.where(total > 0, moved / torch.where(total > 0, total, 1.0), 0.0)


def pairwise_information(z: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    r"""Mutual information of every pair of latents under the aggregate posterior, for each query.

    .. math:: I_s(z_i; z_j) = \log \frac{q(z_{si}, z_{sj})}{q(z_{si}) \, q(z_{sj})}, \quad
              q(z_{si}, z_{sj}) = \frac1N \sum_n q(z_{si} \mid x_n) \, q(z_{sj} \mid x_n)

    The sums over rows are products of matrices, so all pairs cost ``S N d`` exponentials and ``S N d^2``
    multiplications.

    Args:
        z: queries drawn from the aggregate posterior, ``(S, d)``.
        mean: of all rows, ``(N, d)``.
        log_variance: ``(N, d)``.

    Returns:
        ``(S, d, d)`` in nats, with zeros on the diagonal; the mean over queries estimates the mutual information.

    Raises:
        ValueError: if the shapes do not fit.

    Reference:
        Do & Tran, ICLR 2020 (independence of latents).

    Example:
        >>> z = mean = torch.tensor([[-9.0, 9.0], [9.0, -9.0]])
        >>> pairwise_information(z, mean, torch.zeros(2, 2)).mean(0)
        tensor([[0.0000, 0.6931],
                [0.6931, 0.0000]], dtype=torch.float64)
    """
    if z.ndim != 2 or mean.ndim != 2 or mean.shape != log_variance.shape or z.shape[1] != mean.shape[1]:
        raise ValueError(
            "queries (S, d) and rows of equal shape (N, d) are needed, got "
            f"{tuple(z.shape)}, {tuple(mean.shape)} and {tuple(log_variance.shape)}"
        )
    z, mean, log_variance = z.double(), mean.double(), log_variance.double()
    at_once = max(1, sizes_of(z.device).numbers_each() // max(z.shape[1], 1))
    num_rows = max(1, min(len(mean), at_once))
    num_queries = max(1, at_once // num_rows)
    parts = []
    for queries in z.split(num_queries):
        single = torch.full_like(queries, -torch.inf)
        pair = no_log_sums(single[:, :, None].expand(-1, -1, z.shape[1]))
        for some_mean, some_log_variance in zip(mean.split(num_rows), log_variance.split(num_rows), strict=True):
            of_pairs, of_singles = _pair_and_single_sums(queries, some_mean, some_log_variance)
            pair, single = pair.merge(of_pairs), torch.logaddexp(single, of_singles)
        parts.append((*pair, single))
    if not parts:
        return z.new_zeros(0, z.shape[1], z.shape[1])
    value, left_out, single = map(torch.cat, zip(*parts, strict=True))
    pairs = _completed(LogSums(value, left_out), z, mean, log_variance, at_once)
    information = pairs - single[:, :, None] - single[:, None, :] + math.log(max(len(mean), 1))
    return information.masked_fill(torch.eye(z.shape[1], dtype=torch.bool, device=z.device), 0.0)


def _pair_and_single_sums(z: Tensor, mean: Tensor, log_variance: Tensor) -> tuple[LogSums, Tensor]:
    """Log-sums over rows of the densities of pairs ``(S, d, d)`` and of single latents ``(S, d)``."""
    log_density = gaussian_log_density(z[:, None], mean, log_variance).mT  # (S, d, n)
    top = log_density.amax(-1, keepdim=True).clamp(min=torch.finfo(z.dtype).min)
    density = (log_density - top).exp()
    return log_sums(density @ density.mT, top + top.mT), density.sum(-1).log() + top[..., 0]


def _completed(pairs: LogSums, z: Tensor, mean: Tensor, log_variance: Tensor, at_once: int) -> Tensor:
    """Log-sums of pairs, those that may lack something from the logarithms of the densities."""
    places = pairs.doubtful.nonzero()  # the one wait for the device
    if not len(places):
        return pairs.value
    exact = []
    for some in places.split(at_once):
        query, *both = some.unbind(1)
        total = z.new_full((len(some),), -torch.inf)
        for rows in row_blocks(len(mean), len(some), at_once):
            of_rows = mean[rows].mT, log_variance[rows].mT
            i, j = (gaussian_log_density(z[query, k, None], *(part[k] for part in of_rows)) for k in both)
            total = torch.logaddexp(total, (i + j).logsumexp(-1))
        exact.append(total)
    return pairs.value.index_put(places.unbind(1), torch.cat(exact))
