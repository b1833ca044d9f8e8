r"""Whether the support of codes is a box: whether every combination of the values of single codes occurs.

Neither score needs independent codes or factors. Both are distances to the nearest of finitely many rows, which never
reach 0 for continuous codes, so only values of equally many rows and codes compare.
"""

from __future__ import annotations

import math

import torch
from scipy.spatial import KDTree
from torch import Tensor


def live_codes(codes: Tensor) -> Tensor:
    """The codes that are not constant, ``(N, d')``.

    Args:
        codes: ``(N, d)``.

    Example:
        >>> live_codes(torch.tensor([[0.0, 5.0], [1.0, 5.0]]))
        tensor([[0.],
                [1.]])
    """
    return codes[:, codes.amax(0) > codes.amin(0)]


def independence_of_support(
    codes: Tensor,
    num_points: int = 10_000,
    trim: float = 0.01,
    tail: float = 0.01,
    generator: torch.Generator | None = None,
) -> Tensor:
    r"""Independence-of-support score (IOSS): how far the support of codes is from the box around it. Lower is better.

    .. math:: \mathrm{IOSS} = Q_{u \sim \mathcal U(B)} \min_n \lVert u - z_n \rVert

    with codes scaled to [0, 1], the box :math:`B` of their ranges, each trimmed at both ends, and the quantile
    :math:`Q` over points of the box: the Hausdorff distance of box and support, robust to few rows.

    Args:
        codes: ``(N, d)``; constant ones are left out.
        num_points: drawn in the box.
        trim: share of the rows that are off the box at either end of each code.
        tail: share of the points that may be farther; 0 is the Hausdorff distance itself.
        generator: source of the random numbers.

    Returns:
        A scalar between 0 and :math:`\sqrt d`; 0 if all codes are constant.

    Reference:
        Wang & Jordan, *Desiderata for representation learning: a causal perspective*, arXiv 2109.03795.

    Example:
        >>> line = torch.linspace(0, 1, 1000)
        >>> square = torch.rand(1000, 2, generator=torch.Generator().manual_seed(0))
        >>> independence_of_support(square) < 0.1 < 0.6 < independence_of_support(torch.stack([line, line], 1))
        tensor(True)
    """
    if num_points < 1 or not 0 <= trim < 0.5 or not 0 <= tail < 1:
        raise ValueError(
            f"num_points must be positive, trim in [0, 0.5) and tail in [0, 1), got {num_points}, {trim} and {tail}"
        )
    codes = live_codes(codes.double())
    if not codes.numel():
        return codes.new_zeros(())
    low, high = codes.amin(0), codes.amax(0)
    codes = (codes - low) / (high - low)
    off = math.floor(trim * len(codes))
    ordered = codes.sort(dim=0).values
    low, high = ordered[off], ordered[len(codes) - 1 - off]
    uniform = torch.rand(num_points, codes.shape[1], dtype=torch.float64, generator=generator).to(codes.device)
    nearest = torch.as_tensor(KDTree(codes.cpu().numpy()).query((low + uniform * (high - low)).cpu().numpy())[0])
    return nearest.sort(descending=True).values[math.floor(tail * num_points)].to(codes.device)


def hausdorff_factorization(codes: Tensor) -> Tensor:
    r"""Squared Hausdorff distance of the support of two codes from that of their recombinations, for all pairs.

    .. math:: H_{ij} = \max_{a, b} \min_n \bigl[ (z_{ai} - z_{ni})^2 + (z_{bj} - z_{nj})^2 \bigr]

    The Hausdorff factorized support score (HFS) is the sum over pairs. The cost is :math:`d^2 N^3 / 2`, so it is taken
    of small batches. Differentiable.

    Args:
        codes: of a batch, ``(N, d)``.

    Returns:
        ``(d, d)``, symmetric with a zero diagonal, in squared units of the codes.

    Reference:
        Roth et al., *Disentanglement of correlated factors via Hausdorff factorized support*, ICLR 2023.

    Example:
        >>> hausdorff_factorization(torch.tensor([[0.0, 0.0], [0.5, 0.5], [1.0, 1.0]]))
        tensor([[0.0000, 0.5000],
                [0.5000, 0.0000]])
    """
    apart = (codes[:, None] - codes).square().permute(2, 0, 1)  # (d, N, N)
    width = len(apart)
    distances = codes.new_zeros(width, width)
    for i in range(width):
        for j in range(i):
            # every recombination (a, b) against every row
            nearest = torch.stack([(apart[i, a] + apart[j]).amin(1).amax() for a in range(len(codes))])
            distances[i, j] = distances[j, i] = nearest.amax()
    return distances
