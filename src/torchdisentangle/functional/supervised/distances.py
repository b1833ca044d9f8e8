r"""Whether codes are far apart where factors are: formulas of the agreement of distances."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor

Norm = Literal["l1", "l2"]

_EQUAL = 1e-9  # distances that differ by less, as a share of the largest, differ by rounding


class AgreementOfDistances(NamedTuple):
    """Three scalars."""

    rank: Tensor
    """Spearman's correlation of the distances."""
    linear: Tensor
    """Pearson's correlation of the distances."""
    same: Tensor
    """Share of the triplets in which both kinds of distances are in the same order."""


def distance_agreement(codes: Tensor, factors: Tensor, triplets: Tensor, norm: Norm = "l1") -> AgreementOfDistances:
    r"""Agreement of distances between codes with distances between factors.

    .. math:: \mathrm{same} = \Pr \bigl[ \operatorname{sign}(d_y(a, b) - d_y(a, c)) =
              \operatorname{sign}(d_z(a, b) - d_z(a, c)) \bigr]

    over triplets of rows, with :math:`d_y = \lVert y - y' \rVert_1`. Equal distances have to be equal in both.

    Args:
        codes: ``(N, D)``.
        factors: numbers, ``(N, F)``.
        triplets: rows ``a``, ``b`` and ``c``, ``(T, 3)`` integers.
        norm: of the codes' differences, ``"l1"`` or ``"l2"``.

    Returns:
        Both correlations of the ``2 T`` distances, 0 where either kind is constant, and the share.

    Reference:
        Michlo, Klein & James, *Overlooked implications of the reconstruction loss for VAE disentanglement*, arXiv
        2202.13341.

    Example:
        >>> factors, triplets = torch.tensor([[0.0], [1.0], [3.0]]), torch.tensor([[0, 1, 2], [1, 0, 2]])
        >>> distance_agreement(-2 * factors, factors, triplets).same
        tensor(1., dtype=torch.float64)
    """
    return agreement_of(distances_in(factors, triplets, "l1"), distances_in(codes, triplets, norm))


def agreement_of(first: Tensor, second: Tensor) -> AgreementOfDistances:
    """Agreement of two kinds of distances.

    Args:
        first: from the first row of each triplet to the two others, ``(T, 2)``.
        second: the same of another kind.

    Returns:
        As :func:`distance_agreement`.
    """
    same = _order(first) == _order(second)
    rank = _correlation(_midranks(first), _midranks(second))
    return AgreementOfDistances(rank, _correlation(first, second), same.double().mean())


def distances_in(points: Tensor, triplets: Tensor, kind: Norm | Literal["squared"]) -> Tensor:
    """From the first row of each triplet to the two others, rounded where they are equal but for that.

    Args:
        points: ``(N, D)``.
        triplets: rows, ``(T, 3)`` integers.
        kind: the norm of the differences, or ``"squared"``: the square of ``"l2"``.

    Returns:
        ``(T, 2)`` in float64.
    """
    differences = points[triplets[:, 1:]].double() - points[triplets[:, :1]].double()
    distances = differences.square().sum(2) if kind == "squared" else differences.norm(1 if kind == "l1" else 2, dim=2)
    if not len(triplets):
        return distances
    unit = _EQUAL * distances.amax()
    return (distances / unit).round() * unit if unit > 0 else distances


def _order(distances: Tensor) -> Tensor:
    return (distances[:, 0] - distances[:, 1]).sign()


def _midranks(values: Tensor) -> Tensor:
    _, rank_of, ties = values.unique(return_inverse=True, return_counts=True)
    return (ties.cumsum(0).double() - 0.5 * (ties - 1))[rank_of]


def _correlation(a: Tensor, b: Tensor) -> Tensor:
    a, b = (one.flatten() - one.mean() for one in (a, b))
    scale = a.norm() * b.norm()
    return torch.where(scale > 0, a @ b / scale.where(scale > 0, torch.ones_like(scale)), 0.0)
