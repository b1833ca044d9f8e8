r"""How far codes turn on a circle while a cyclic factor turns: formula of D_LSBD for rotations."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

_FLAT = 1e-6  # a second deviation below this share of the first is rounding
_HIGHEST = 10  # frequency
_ROUNDING = 1e-6


class RotationLoss(NamedTuple):
    """How far codes are from turning, and how often they turn while the factor turns once."""

    loss: Tensor
    frequency: Tensor


def rotation_loss(codes: Tensor, angle: Tensor, highest: int = _HIGHEST) -> RotationLoss:
    r"""Variance that is left when codes are turned back by a multiple of the factor's angle.

    .. math:: \min_{|w| \le W} \operatorname{tr} \operatorname{Var}_n \bigl[ R(-w t_n) \, u_n \bigr]

    with :math:`u_n` the first two principal components of the codes, each divided by :math:`\sqrt 2` times its standard
    deviation, so that their mean squared norm is 1; the first alone, of that norm, where there is no second.

    Args:
        codes: ``(N, d)``, without what other factors do to them.
        angle: :math:`t_n`, ``(N,)``.
        highest: largest frequency ``W``.

    Returns:
        The loss, a scalar between 0 and 1, and :math:`|w|`; 1 and 0 for codes that do not move.

    Reference:
        Tonnaer et al., *Quantifying and learning linear symmetry-based disentanglement*, ICML 2022.

    Example:
        >>> angle = 2 * torch.pi * torch.arange(64) / 64
        >>> rotation_loss(torch.stack([angle.cos(), angle.sin()], 1), angle).loss < 1e-6
        tensor(True)
    """
    centred = codes - codes.mean(0)
    left, deviations, _ = torch.linalg.svd(centred, full_matrices=False)
    if not (codes.amax(0) > codes.amin(0)).any() or not deviations[0] > 0:
        return RotationLoss(codes.new_ones(()), torch.zeros((), dtype=torch.int64, device=codes.device))
    num = 2 if len(deviations) > 1 and deviations[1] > _FLAT * deviations[0] else 1
    circle = left[:, :num] * math.sqrt(len(codes) / num)  # mean squared norm of 1
    plane = torch.complex(circle[:, 0], circle[:, 1] if num == 2 else torch.zeros_like(circle[:, 0]))
    frequencies = torch.arange(-highest, highest + 1, device=codes.device)
    frequencies = frequencies[frequencies.abs().argsort(stable=True)]  # of equal ones, such as w and w - V, the lowest
    back = -angle[:, None] * frequencies
    turned = plane @ torch.polar(torch.ones_like(back), back) / len(plane)
    losses = (1 - turned.abs().square()).clamp(min=0)
    best = int((losses <= losses.amin() + _ROUNDING).nonzero()[0])
    return RotationLoss(losses[best], frequencies[best].abs())
