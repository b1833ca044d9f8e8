r"""Manifold entropic metrics: expectations over latent samples of a decoder's geometry.

A decoder :math:`g: \mathbb{R}^d \to \mathbb{R}^D` pushes a factorised prior :math:`\prod_i p_i(z_i)` forward;
:math:`J_S` are the columns of its Jacobian that belong to the latents in ``S``, and
:math:`|J_S| = \det(J_S^\top J_S)^{1/2}`.

All functions take Gram matrices :math:`G = J^\top J` of ``N`` latent samples, ``(N, d, d)``, from
:func:`~torchdisentangle.functional.gram_matrix`, return nats, and are differentiable. With ``num_probes`` the Gram
matrices are those of random projections, from :func:`~torchdisentangle.functional.probed_jacobian`, and the
values are unbiased estimates.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from torchdisentangle.functional.manifold.gram import (
    log_column_norms,
    log_volume,
)

PriorEntropy = Tensor | Sequence[float] | Sequence[Sequence[float]] | float
"""Entropies of a prior's dimensions in nats: a number, ``(d,)``, or ``(C, d)`` per class."""

STANDARD_NORMAL_ENTROPY = 0.5 * (1 + math.log(2 * math.pi))


class EntropicDecomposition(NamedTuple):
    """Entropy of each part, of the whole, and what the parts share: ``total = parts.sum() - mutual_information``."""

    parts: Tensor
    total: Tensor
    mutual_information: Tensor


def manifold_entropy_spectrum(
    gram: Tensor, prior_entropy: Tensor | float = STANDARD_NORMAL_ENTROPY, num_probes: int | None = None
) -> Tensor:
    r"""Manifold entropy of every single latent, in latent order.

    .. math:: H_i = H(p_i) + \tfrac12 \, \mathbb{E}_z \log G_{ii}

    A non-linear "log standard deviation": how much the data vary along a latent.

    Args:
        gram: ``(N, d, d)``.
        prior_entropy: :math:`H(p_i)` in nats, a number or ``(d,)``; by default that of a standard normal.
        num_probes: number of projections that ``gram`` is made of; ``None``: of the Jacobian itself.

    Returns:
        ``(d,)`` in nats; a dead latent is at the floor ``prior_entropy + log(DEAD_NORM)``.

    Raises:
        ValueError: if ``gram`` is not ``(N, d, d)``.

    Reference:
        Galperin & Köthe, *Analyzing Generative Models by Manifold Entropic Metrics*, AISTATS 2025.

    Example:
        >>> gram = torch.diag(torch.tensor([4.0, 1.0])).double()[None]
        >>> manifold_entropy_spectrum(gram)
        tensor([2.1121, 1.4189], dtype=torch.float64)
    """
    check_gram(gram)
    return log_column_norms(gram, num_probes).mean(0) + prior_entropies(prior_entropy, gram, per_class=False)


def manifold_entropy(
    gram: Tensor,
    index_set: Sequence[int] | None = None,
    prior_entropy: Tensor | float = STANDARD_NORMAL_ENTROPY,
    num_probes: int | None = None,
) -> Tensor:
    r"""Manifold entropy of a set of latents, or of all: the entropy of the generated distribution.

    .. math:: H(q_S) = \sum_{i \in S} H(p_i) + \mathbb{E}_z \log |J_S|

    Args:
        gram: ``(N, d, d)``.
        index_set: the latents ``S``; ``None``: all.
        prior_entropy: :math:`H(p_i)` in nats, a number or ``(d,)``.
        num_probes: number of projections that ``gram`` is made of; ``None``: of the Jacobian itself.

    Returns:
        A scalar in nats.

    Raises:
        ValueError: if ``gram`` is not ``(N, d, d)`` or the index set is empty, repeats a latent or names one that does
            not exist, or is larger than the number of probes.

    Reference:
        Galperin & Köthe, AISTATS 2025.

    Example:
        >>> manifold_entropy(torch.eye(3).double()[None])
        tensor(4.2568, dtype=torch.float64)
    """
    check_gram(gram)
    index = list(range(gram.shape[-1])) if index_set is None else list(check_index_set(index_set, gram.shape[-1]))
    prior = prior_entropies(prior_entropy, gram, per_class=False)[index].sum()
    return log_volume(gram, index_set, num_probes).mean(0) + prior


def manifold_mutual_information(
    gram: Tensor, index_set_a: Sequence[int], index_set_b: Sequence[int], num_probes: int | None = None
) -> Tensor:
    r"""Manifold mutual information of two disjoint sets of latents.

    .. math:: I(q_S, q_T) = \mathbb{E}_z \left[ \log |J_S| + \log |J_T| - \log |J_{S \cup T}| \right]

    Zero if and only if the two tangent spaces are orthogonal almost everywhere.

    Args:
        gram: ``(N, d, d)``.
        index_set_a: the latents ``S``.
        index_set_b: the latents ``T``, none of them in ``S``.
        num_probes: number of projections that ``gram`` is made of; ``None``: of the Jacobian itself.

    Returns:
        A scalar in nats, at least 0 (in expectation, with probes).

    Raises:
        ValueError: if the sets are not two disjoint, non-empty sets of existing latents, or are together larger than
            the number of probes.

    Reference:
        Galperin & Köthe, AISTATS 2025.

    Example:
        >>> gram = torch.tensor([[[1.0, 0.8], [0.8, 1.0]]]).double()
        >>> manifold_mutual_information(gram, [0], [1])
        tensor(0.5108, dtype=torch.float64)
    """
    check_gram(gram)
    for index_set in (index_set_a, index_set_b):
        check_index_set(index_set, gram.shape[-1])
    union = check_index_set([*index_set_a, *index_set_b], gram.shape[-1])
    first, second, both = (log_volume(gram, index_set, num_probes) for index_set in (index_set_a, index_set_b, union))
    return (first + second - both).mean(0)


def manifold_total_correlation(
    gram: Tensor, partition: Sequence[Sequence[int]] | None = None, num_probes: int | None = None
) -> Tensor:
    r"""Manifold total correlation of a partition of the latents.

    .. math:: \mathrm{MTC}_P = \sum_{S \in P} H(q_S) - H
              = \mathbb{E}_z \Bigl[ \sum_{S \in P} \log |J_S| - \log |J| \Bigr]

    Zero if and only if the parts' tangent spaces are mutually orthogonal almost everywhere (disentanglement); the
    Hadamard-Fischer inequality makes it non-negative. Independent of the prior, and of the scale of each latent.

    Args:
        gram: ``(N, d, d)``.
        partition: disjoint index sets that cover all latents; ``None``: all singletons.
        num_probes: number of projections that ``gram`` is made of; ``None``: of the Jacobian itself.

    Returns:
        A scalar in nats, at least 0 (in expectation, with probes).

    Raises:
        ValueError: if ``partition`` is no partition of the latents, or there are fewer probes than latents.

    Reference:
        Galperin & Köthe, AISTATS 2025; as training penalty, Cunningham et al., *Principal Component Flows*,
        ICML 2022.

    Example:
        >>> gram = torch.tensor([[[1.0, 0.8], [0.8, 1.0]]]).double()
        >>> manifold_total_correlation(gram)
        tensor(0.5108, dtype=torch.float64)
    """
    check_gram(gram)
    whole = log_volume(gram, None, num_probes)
    if partition is None:
        return (log_column_norms(gram, num_probes).sum(-1) - whole).mean(0)
    parts = check_partition(partition, gram.shape[-1])
    return (torch.stack([log_volume(gram, part, num_probes) for part in parts]).sum(0) - whole).mean(0)


def entropic_decomposition(
    gram: Tensor,
    partition: Sequence[Sequence[int]] | None = None,
    prior_entropy: Tensor | float = STANDARD_NORMAL_ENTROPY,
    num_probes: int | None = None,
) -> EntropicDecomposition:
    r"""Total entropy as the entropies of parts minus what they share.

    .. math:: H = \sum_{S \in P} H(q_S) - \mathrm{MTC}_P

    With two parts the last term is their mutual information :math:`I(q_S, q_T)`.

    Args:
        gram: ``(N, d, d)``.
        partition: disjoint index sets that cover all latents; ``None``: all singletons.
        prior_entropy: :math:`H(p_i)` in nats, a number or ``(d,)``.
        num_probes: number of projections that ``gram`` is made of; ``None``: of the Jacobian itself.

    Returns:
        The parts ``(P,)``, the total and the mutual information (scalars), in nats.

    Raises:
        ValueError: if ``partition`` is no partition of the latents, or there are fewer probes than latents.

    Reference:
        Galperin & Köthe, AISTATS 2025.

    Example:
        >>> gram = torch.tensor([[[1.0, 0.8], [0.8, 1.0]]]).double()
        >>> parts, total, shared = entropic_decomposition(gram, [[0], [1]])
        >>> torch.allclose(total, parts.sum() - shared)
        True
    """
    check_gram(gram)
    parts = check_partition(partition, gram.shape[-1])
    return EntropicDecomposition(
        torch.stack([manifold_entropy(gram, part, prior_entropy, num_probes) for part in parts]),
        manifold_entropy(gram, None, prior_entropy, num_probes),
        manifold_total_correlation(gram, parts, num_probes),
    )


def prior_entropies(prior_entropy: PriorEntropy, gram: Tensor, per_class: bool = True) -> Tensor:
    """Entropies of the prior's dimensions as ``(d,)``, or ``(C, d)`` where allowed and given so, next to ``gram``."""
    values = torch.as_tensor(prior_entropy, dtype=gram.dtype, device=gram.device)
    if values.ndim > 0 and (values.shape[-1] != gram.shape[-1] or values.ndim > 1 + per_class):
        raise ValueError(
            f"prior_entropy must be a number or have {gram.shape[-1]} entries, got shape {tuple(values.shape)}"
        )
    return values.expand(gram.shape[-1]) if values.ndim == 0 else values


def check_gram(gram: Tensor) -> None:
    """Refuse what is not a batch of square matrices with at least one sample."""
    if gram.ndim != 3 or gram.shape[-1] != gram.shape[-2] or 0 in gram.shape:
        raise ValueError(f"Gram matrices must have shape (N, d, d) with N, d >= 1, got {tuple(gram.shape)}")


def check_index_set(index_set: Sequence[int], num_latents: int) -> tuple[int, ...]:
    """The index set in ascending order, refused if empty, repeated or out of range."""
    indices = tuple(sorted(int(index) for index in index_set))
    if not indices or len(set(indices)) != len(indices) or indices[0] < 0 or indices[-1] >= num_latents:
        raise ValueError(
            f"index sets must be non-empty, disjoint and within the {num_latents} latents, got {list(index_set)}"
        )
    return indices


def check_partition(partition: Sequence[Sequence[int]] | None, num_latents: int) -> list[tuple[int, ...]]:
    """The partition's index sets, each in ascending order, refused if they do not cover every latent once."""
    if partition is None:
        return [(i,) for i in range(num_latents)]
    parts = [check_index_set(part, num_latents) for part in partition]
    if sorted(index for part in parts for index in part) != list(range(num_latents)):
        raise ValueError(f"a partition must hold each of the {num_latents} latents once, got {parts}")
    return parts
