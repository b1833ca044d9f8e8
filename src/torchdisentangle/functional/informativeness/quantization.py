r"""What single latents of an encoder tell about the data, measured in bins.

A latent :math:`z_i` is quantised to ``B`` bins of equal width whose outer two are open. :math:`Q_{nib}` is the
probability of bin ``b`` under the diagonal Gaussian posterior :math:`q(z_i \mid x_n)`, and its mean over rows
:math:`Q_{ib}` that under the aggregate posterior. A bin is a function of the latent, so information about it is a lower
bound of information about the latent itself.

Reference: Do & Tran, *Theory and evaluation metrics for learning disentangled representations*, ICLR 2020.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from torchdisentangle.functional.device import sizes_of
from torchdisentangle.functional.row_blocks import row_blocks
from torchdisentangle.functional.supervised.binning import assign_bins, density_bins, equal_width_edges, soft_bins
from torchdisentangle.functional.supervised.information import entropy, joint_entropy
from torchdisentangle.functional.supervised.joint_counts import joint_counts

BinMode = Literal["exact", "reference"]

DEFAULT_EDGES = (-4.0, 4.0)
DEFAULT_BINS = 100


class LatentEntropies(NamedTuple):
    """Entropies of each latent: over all data ``H(z_i)``, and given a datum ``H(z_i | x)``; ``(d,)`` each, in nats."""

    marginal: Tensor
    conditional: Tensor


def quantize_posterior(
    mean: Tensor,
    log_variance: Tensor,
    edges: tuple[float, float] = DEFAULT_EDGES,
    num_bins: int = DEFAULT_BINS,
    mode: BinMode = "exact",
) -> Tensor:
    r"""Probability of each bin under Gaussian posteriors.

    Args:
        mean: ``(n, d)``.
        log_variance: ``(n, d)``.
        edges: where the bins of equal width begin and end. What lies outside belongs to the first and the last bin.
        num_bins: number of bins ``B``.
        mode: ``"exact"``: differences of the normal distribution function; ``"reference"``: densities at the bins'
            centres, normalised, as the published numbers were computed. The latter spreads what lies outside the
            edges back inside, and misjudges posteriors a few times narrower than a bin.

    Returns:
        ``(n, d, B)``; sums to 1 over bins.

    Raises:
        ValueError: for an unknown mode or edges that do not ascend.

    Reference:
        Do & Tran, ICLR 2020 (quantised posteriors, 100 bins in [-4, 4]).

    Example:
        >>> quantize_posterior(torch.zeros(1, 1), torch.zeros(1, 1), (-2.0, 2.0), 4)
        tensor([[[0.1587, 0.3413, 0.3413, 0.1587]]])
    """
    low, high = check_edges(edges)
    if mode == "reference":
        return density_bins(mean, log_variance, low, high, num_bins)
    if mode != "exact":
        raise ValueError(f"mode must be 'exact' or 'reference', got {mode!r}")
    return soft_bins(mean, log_variance, equal_width_edges(low, high, num_bins, device=mean.device))


def quantized_blocks(
    mean: Tensor, log_variance: Tensor, edges: tuple[float, float], num_bins: int, mode: BinMode
) -> Iterator[Tensor]:
    """:func:`quantize_posterior`, a block of rows at a time.

    Args:
        mean: ``(n, d)``.
        log_variance: ``(n, d)``.
        edges: as for :func:`quantize_posterior`.
        num_bins: likewise.
        mode: likewise.

    Yields:
        ``(m, d, B)`` of consecutive rows.
    """
    for rows in row_blocks(len(mean), mean.shape[1] * num_bins, sizes_of(mean.device).numbers_each(8)):
        yield quantize_posterior(mean[rows], log_variance[rows], edges, num_bins, mode)


def binned_informativeness(
    mean: Tensor,
    log_variance: Tensor,
    edges: tuple[float, float] = DEFAULT_EDGES,
    num_bins: int = DEFAULT_BINS,
    mode: BinMode = "exact",
) -> Tensor:
    r"""Informativeness: mutual information between the data and each latent.

    .. math:: I(x; z_i) = H(z_i) - H(z_i \mid x)
              = -\sum_b Q_{ib} \log Q_{ib} + \frac1N \sum_n \sum_b Q_{nib} \log Q_{nib}

    Args:
        mean: of all posteriors, ``(N, d)``.
        log_variance: ``(N, d)``.
        edges: as for :func:`quantize_posterior`.
        num_bins: likewise.
        mode: likewise.

    Returns:
        ``(d,)`` in nats, between 0 (a dead latent) and :math:`\min(\log N, \log B)`. Differentiable.

    Raises:
        ValueError: as for :func:`quantize_posterior`.

    Reference:
        Do & Tran, ICLR 2020 (informativeness).

    Example:
        >>> mean = torch.tensor([[-2.0, 0.0], [2.0, 0.0]])
        >>> binned_informativeness(mean, torch.full((2, 2), -6.0))  # one bit, and nothing
        tensor([0.6931, 0.0000])
    """
    bins = quantize_posterior(mean, log_variance, edges, num_bins, mode)
    return mutual_information_of(LatentEntropies(entropy(bins.mean(0)), entropy(bins).mean(0)))


def mutual_information_of(entropies: LatentEntropies, normalize: bool = False) -> Tensor:
    r"""Informativeness from entropies.

    .. math:: I(x; z_i) = H(z_i) - H(z_i \mid x), \quad \text{or} \quad I(x; z_i) / H(z_i)

    Args:
        entropies: of quantised latents.
        normalize: whether to divide by the entropy; 0 where that is 0. The quotient falls as bins get finer.

    Returns:
        ``(d,)``, in nats or in [0, 1].

    Example:
        >>> mutual_information_of(LatentEntropies(torch.tensor([2.0, 0.0]), torch.tensor([1.5, 0.0])), normalize=True)
        tensor([0.2500, 0.0000])
    """
    information = (entropies.marginal - entropies.conditional).clamp(min=0)
    if not normalize:
        return information
    possible = entropies.marginal > 0
    return torch.where(possible, information / torch.where(possible, entropies.marginal, 1.0), 0.0).clamp(max=1)


def rank_latents(information: Tensor) -> Tensor:
    """Latents by falling informativeness; among equals the first comes first.

    Args:
        information: ``(d,)``.

    Returns:
        ``(d,)`` integers.

    Example:
        >>> rank_latents(torch.tensor([0.1, 2.0, 0.1]))
        tensor([1, 0, 2])
    """
    return information.argsort(descending=True, stable=True)


def informative_latents(information: Tensor, threshold: float = 0.1) -> Tensor:
    """Which latents tell more than a threshold about the data.

    Args:
        information: ``(..., d)`` in nats.
        threshold: in nats.

    Returns:
        Booleans, ``(..., d)``.

    Example:
        >>> informative_latents(torch.tensor([0.0, 2.0]))
        tensor([False,  True])
    """
    return information > threshold


def misjed(
    marginal_entropy: Tensor,
    mean: Tensor,
    edges: tuple[float, float] = DEFAULT_EDGES,
    num_bins: int = DEFAULT_BINS,
    normalize: bool = False,
) -> Tensor:
    r"""MISJED: "mutual information sums joint entropy difference" of every pair of latents.

    .. math:: \mathrm{MISJED}_{ij} = H(z_i) + H(z_j) - H(\bar z_i, \bar z_j)

    with the entropies of quantised latents and the joint entropy of quantised posterior means :math:`\bar z`. Cheap,
    but **no mutual information**: the two parts speak of different variables, so latents that are pure noise, whose
    means do not move, score highest, about :math:`2 H(z_i)`. The joint histogram's entropy is also too small where the
    rows are few for :math:`B^2` cells, which raises all values.

    Args:
        marginal_entropy: :math:`H(z_i)` in the same bins, ``(d,)`` in nats.
        mean: posterior means, ``(N, d)``.
        edges: of the bins.
        num_bins: number of bins ``B``.
        normalize: whether to divide by the largest possible value, :math:`2 \log B`.

    Returns:
        ``(d, d)`` in nats, symmetric, with zeros on the diagonal. Low means independent and informative.

    Raises:
        ValueError: if the shapes differ, or the edges do not ascend.

    Reference:
        Do & Tran, ICLR 2020 (MISJED).

    Example:
        >>> misjed(torch.tensor([0.7, 0.7]), torch.tensor([[0.0, 0.0], [0.0, 1.0]]))
        tensor([[0.0000, 0.7069],
                [0.7069, 0.0000]], dtype=torch.float64)
    """
    if mean.ndim != 2 or marginal_entropy.shape != mean.shape[1:]:
        raise ValueError(
            f"entropies (d,) and means (N, d) are needed, got {tuple(marginal_entropy.shape)} and {tuple(mean.shape)}"
        )
    bins = assign_bins(mean, equal_width_edges(*check_edges(edges), num_bins, device=mean.device))
    joint = torch.stack(
        [joint_entropy(joint_counts(bins, column[:, None], num_bins, num_bins)[0]) for column in bins.T]
    )
    value = marginal_entropy[:, None] + marginal_entropy - joint
    value = value.masked_fill(torch.eye(len(value), dtype=torch.bool, device=value.device), 0.0)
    return value / (2 * math.log(num_bins)) if normalize else value


def pairwise_bin_sums(bins: Tensor) -> Tensor:
    r"""Joint tables of all pairs of latents, summed over rows.

    .. math:: P_{ij} = \sum_n Q_{ni} Q_{nj}^\top, \quad i < j

    The posterior is factorised, so this is the joint distribution of two quantised latents, up to the number of rows.

    Args:
        bins: :math:`Q`, ``(n, m, B)``.

    Returns:
        ``(m (m - 1) / 2, B, B)``, the pairs in the order of :func:`torch.triu_indices`; differentiable.

    Example:
        >>> pairwise_bin_sums(torch.tensor([[[1.0, 0.0], [0.5, 0.5]]]))
        tensor([[[0.5000, 0.5000],
                 [0.0000, 0.0000]]])
    """
    _, size, num_bins = bins.shape
    tables = [
        (bins[:, i].mT @ bins[:, i + 1 :].flatten(1)).view(num_bins, size - i - 1, num_bins).transpose(0, 1)
        for i in range(size - 1)
    ]
    return torch.cat(tables) if tables else bins.new_zeros(0, num_bins, num_bins)


def symmetric_matrix(pairs: Tensor, size: int) -> Tensor:
    """Values of pairs as a symmetric matrix with zeros on the diagonal.

    Args:
        pairs: ``(size (size - 1) / 2,)``, in the order of :func:`torch.triu_indices`.
        size: of the matrix.

    Returns:
        ``(size, size)``.

    Example:
        >>> symmetric_matrix(torch.tensor([0.5]), 2)
        tensor([[0.0000, 0.5000],
                [0.5000, 0.0000]])
    """
    matrix = pairs.new_zeros(size, size)
    rows, columns = torch.triu_indices(size, size, 1, device=pairs.device)
    matrix = matrix.index_put((rows, columns), pairs)
    return matrix + matrix.mT


def check_edges(edges: Sequence[float]) -> tuple[float, float]:
    """The two ends of a range, or a ValueError if they are none."""
    ends = [float(end) for end in edges]
    if len(ends) != 2 or not (math.isfinite(ends[0]) and math.isfinite(ends[1]) and ends[0] < ends[1]):
        raise ValueError(f"edges must be two finite numbers that ascend, got {edges}")
    return ends[0], ends[1]
