r"""Information that channels carry about the data, and that two of them share, from Bhattacharyya coefficients.

With :math:`B` the ``(R, F)`` coefficients of a channel (``R = F`` rows, or a block of them), everything follows from

.. math:: I(U; X) = -\frac1R \sum_i \log \frac1F \sum_j B_{ij},

a lower bound of the mutual information that is exact if the posteriors are equal or disjoint. It cannot exceed
:math:`\log F`, so it is for channels of a few bits. Two channels together have the products of the coefficients.
All information is in nats; divide by :math:`\log 2` for bits, which the paper uses.

All quantities but the ratios are means over rows, so blocks of rows average to the whole, in any split.

Reference: Murphy, Dillavou & Bassett, *Comparing the information content of probabilistic representation spaces*,
TMLR 2025; Kolchinsky & Tracey, *Estimating mixture entropy with pairwise distances*, Entropy 2017.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

NATS_PER_BIT = math.log(2)
"""Divide nats by this to get bits."""

INFORMATIVE = 0.01 * NATS_PER_BIT
"""Channels with no more information than this, 0.01 bits in nats, count as dead (Murphy et al., TMLR 2025)."""

SMALLEST = 1e-9
"""Nats of shared information below which a ratio would be one of rounding errors."""


def normalized_mutual_information(shared: Tensor, own_a: Tensor, own_b: Tensor) -> Tensor:
    r"""Similarity of two channels.

    .. math:: \mathrm{NMI}(U, V) = \frac{I(U; V)}{\sqrt{I(U; U') \, I(V; V')}}

    1 if they carry the same information, 0 if none in common. For hard clusters this is the usual normalised mutual
    information (geometric mean). Being a ratio of bounds it can lie outside [0, 1]: for a very noisy copy of a channel
    it tends to a limit that depends on how the values lie. Of ``k`` values that are equidistant it is
    :math:`\sqrt{(k - 1) / \log k}`, above 1 (1.47 of four); of four values on a line it is 0.79. So leave out channels
    with little information, and do not maximise NMI without a hold on the information.

    Args:
        shared: :math:`I(U; V)`.
        own_a: :math:`I(U; U')`, of a shape that broadcasts.
        own_b: :math:`I(V; V')`, likewise.

    Returns:
        The broadcast shape, differentiable; 0 where a channel carries no information.

    Reference:
        Murphy et al., TMLR 2025; Strehl & Ghosh, *Cluster ensembles*, JMLR 2002.

    Example:
        >>> normalized_mutual_information(torch.tensor(1.0), torch.tensor(1.0), torch.tensor(2.0))
        tensor(0.7071)
    """
    alive = (own_a > SMALLEST) & (own_b > SMALLEST)
    product = torch.where(alive, own_a * own_b, 1.0)
    return torch.where(alive, shared, 0.0) / product.sqrt()


def variation_of_information(shared: Tensor, own_a: Tensor, own_b: Tensor) -> Tensor:
    r"""Distance of two channels.

    .. math:: \mathrm{VI}(U, V) = I(U; U') + I(V; V') - 2 \, I(U; V)
              = 2 \, I(U, V; X) - I(U, U'; X) - I(V, V'; X)

    0 if they carry the same information; the sum of both if none in common. For hard clusters this is the usual
    variation of information. Estimated from Bhattacharyya coefficients it is never negative (Cauchy-Schwarz), up to
    rounding.

    Args:
        shared: :math:`I(U; V)`.
        own_a: :math:`I(U; U')`, of a shape that broadcasts.
        own_b: :math:`I(V; V')`, likewise.

    Returns:
        The broadcast shape, in the unit of the input, differentiable.

    Reference:
        Murphy et al., TMLR 2025; Meilă, *Comparing clusterings*, COLT 2003.

    Example:
        >>> variation_of_information(torch.tensor(1.0), torch.tensor(1.0), torch.tensor(2.0))
        tensor(1.)
    """
    return own_a + own_b - 2 * shared


def channel_information(coefficients: Tensor) -> Tensor:
    r"""Information that channels carry about the data.

    .. math:: I(U; X) = -\frac1R \sum_i \log \frac1F \sum_j B_{ij}

    Args:
        coefficients: ``(..., R, F)``, rows of one or more channels. For the information of a whole space, ``exp(-D)``
            of its summed distances.

    Returns:
        ``(...)`` in nats, differentiable: 0 for a channel that ignores the data, at most ``log F``. A lower bound.

    Reference:
        Kolchinsky & Tracey, Entropy 2017; Murphy et al., TMLR 2025.

    Example:
        >>> channel_information(torch.eye(4))
        tensor(1.3863)
    """
    return -coefficients.mean(-1).log().mean(-1)


def joint_information(coefficients_a: Tensor, coefficients_b: Tensor) -> Tensor:
    r"""Information that pairs of channels carry together, for all pairs at once.

    .. math:: I(U, V; X) = -\frac1R \sum_i \log G^{(i)}_{UV}, \quad G^{(i)}_{UV} = \frac1F \sum_j B^U_{ij} B^V_{ij}

    For every row :math:`G^{(i)}` is a matrix product: ``R`` of them replace the loop over pairs.

    Args:
        coefficients_a: ``(M, R, F)``.
        coefficients_b: ``(N, R, F)``, for the same points.

    Returns:
        ``(M, N)`` in nats, differentiable.

    Raises:
        ValueError: if the points differ in number.

    Reference:
        Murphy et al., TMLR 2025.

    Example:
        >>> joint_information(torch.eye(4)[None], torch.ones(1, 4, 4))
        tensor([[1.3863]])
    """
    if coefficients_a.ndim != 3 or coefficients_a.shape[1:] != coefficients_b.shape[1:]:
        raise ValueError(
            "coefficients (M, R, F) and (N, R, F) of the same points are needed, "
            f"got {tuple(coefficients_a.shape)} and {tuple(coefficients_b.shape)}"
        )
    gram = torch.einsum("mrf,nrf->rmn", coefficients_a, coefficients_b) / coefficients_a.shape[-1]
    return -gram.log().mean(0)
