r"""The shape of codes along a factor: whether they move on one axis, on a line, and without detours.

All take codes of traversals, ``(T, V, d)``: of each, ``V`` values of one factor in order, all other factors held.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class ShapeOfTraversals(NamedTuple):
    """Three shares between 0 and 1, each ``(T,)``."""

    axis: Tensor
    """How far one code moves and no other."""
    linear: Tensor
    """How far the codes move along one direction."""
    flatness: Tensor
    """How straight the way is, with steps measured along the axes."""


def traversal_shape(codes: Tensor) -> ShapeOfTraversals:
    r"""Axis ratio, linear ratio and flatness of traversals.

    .. math::

        a = \frac{\max_k \sigma_k}{\sum_k \sigma_k}, \quad
        \mathrm{axis} = \frac{a - 1 / d}{1 - 1 / d}, \quad
        \mathrm{flatness} = \frac{\max_{ij} \lVert z_i - z_j \rVert_2}
                                 {\sum_{i \ne i^*} \lVert z_{i + 1} - z_i \rVert_1}

    with :math:`\sigma_k` the standard deviations of the codes; the linear ratio is the same of those along principal
    axes. Steps are cyclic, and the largest, :math:`i^*`, is left out. With fewer than ``d + 1`` values there are fewer
    principal axes than codes, and the linear ratio of random codes is above 0; with two values it is 1.

    Args:
        codes: ``(T, V, d)`` with at least two values.

    Returns:
        The three shares; 0 where no code moves, and an axis and a linear ratio of 1 for a single code.

    Reference:
        Michlo, Klein & James, *Overlooked implications of the reconstruction loss for VAE disentanglement*, arXiv
        2202.13341.

    Example:
        >>> line = torch.linspace(0, 1, 5)
        >>> along_axis, diagonal = torch.stack([line, 0 * line], 1), torch.stack([line, line], 1)
        >>> traversal_shape(torch.stack([along_axis, diagonal])).axis.round(decimals=4)
        tensor([1., 0.])
        >>> traversal_shape(torch.stack([along_axis, diagonal])).flatness
        tensor([1.0000, 0.7071])
    """
    centred = codes - codes.mean(1, keepdim=True)
    centred = centred * (codes.amax(1, keepdim=True) > codes.amin(1, keepdim=True))  # exactly constant codes
    deviations, principal = centred.square().sum(1).sqrt(), torch.linalg.svdvals(centred)
    steps = (codes.roll(-1, 1) - codes).abs().sum(2)
    way = steps.sum(1) - steps.amax(1)
    widest = torch.cdist(codes, codes, compute_mode="donot_use_mm_for_euclid_dist").amax((1, 2))
    return ShapeOfTraversals(
        _largest_share(deviations, codes.shape[2]), _largest_share(principal, codes.shape[2]), _ratio(widest, way)
    )


def _largest_share(deviations: Tensor, num_codes: int) -> Tensor:
    """Share of the largest, rescaled so that equal shares of all codes are 0."""
    total = deviations.sum(1)
    share = _ratio(deviations.amax(1), total)
    rescaled = share if num_codes == 1 else (share - 1 / num_codes) / (1 - 1 / num_codes)
    return rescaled.clamp(0, 1)


def _ratio(numerator: Tensor, denominator: Tensor) -> Tensor:
    return torch.where(denominator > 0, numerator / torch.where(denominator > 0, denominator, 1.0), 0.0)
