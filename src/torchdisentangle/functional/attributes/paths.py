"""Smoothness and monotonicity of an attribute of the decoded data along paths in latent space."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor

from torchdisentangle.functional.device import to_float64

Jerk = Literal["lehmer", "max"]
"""How the sizes of the second differences of a path are made into one number."""

_STRAIGHT = 1e-6  # second differences of this share of the largest first one are those of a straight line
_ROUNDING = 16  # units in the last place by which rounding moves an attribute


class PathScores(NamedTuple):
    """Scores of each path by itself, each ``(N, *)``: smoothness, monotonicity, and largest minus smallest value."""

    smoothness: Tensor
    monotonicity: Tensor
    range: Tensor


def smoothness(attributes: Tensor, jerk: Jerk = "lehmer") -> Tensor:
    r"""Smoothness of an attribute along equally spaced steps of a latent.

    .. math:: 1 - \frac{L(|\Delta^2 a|)}{\max \Delta a - \min \Delta a}, \qquad
              L(x) = \frac{\sum_k x_k^2}{\sum_k x_k}

    with the first and second differences :math:`\Delta a`, :math:`\Delta^2 a` of the attribute from step to step; mean
    over paths. Ideal 1: the attribute changes at a constant rate, or not at all. 0: all its change of rate is in one
    place, as in a step.

    Second differences that rounding explains count as 0: those below :math:`10^{-6}` of the largest first difference,
    or below 16 units in the last place of the largest value. Without that, 0/0 of a straight line would be any number.

    Args:
        attributes: of the data decoded at ``K`` equally spaced values of a latent, ``(N, K, *)``, at least three.
        jerk: ``"lehmer"``: the contraharmonic mean :math:`L`; ``"max"``: the largest in its place.

    Returns:
        ``(*)``, between 0 and 1.

    Raises:
        ValueError: for fewer than three steps, or an unknown ``jerk``.

    Reference:
        Watcharasupat, *Controllable Music: Supervised Learning of Disentangled Representations for Music Generation*,
        2021.

    Example:
        >>> z = torch.linspace(-1, 1, 11).double()
        >>> smoothness(torch.stack([z, z.square(), z.sign()], dim=1)[None])
        tensor([1.0000, 0.8889, 0.0000], dtype=torch.float64)
    """
    return path_scores(attributes, jerk).smoothness.mean(0)


def monotonicity(attributes: Tensor, step: float = 1.0, threshold: float = 1e-3) -> Tensor:
    r"""Monotonicity of an attribute along equally spaced steps of a latent.

    .. math:: \frac{\sum_k \operatorname{sgn}(D_k) \, 1[|D_k| > \epsilon]}{\sum_k 1[|D_k| > \epsilon]}, \qquad
              D_k = \frac{a_{k+1} - a_k}{\delta}

    mean over paths. 1: the attribute never falls; -1: it never rises; 0: it rises in as many steps as it falls.

    Args:
        attributes: of the data decoded at ``K`` equally spaced values of a latent, ``(N, K, *)``, at least two.
        step: :math:`\delta`, the distance of neighbouring values of the latent.
        threshold: :math:`\epsilon`, the slope below which a step counts as level, in units of the attribute per unit of
            the latent.

    Returns:
        ``(*)``, between -1 and 1. Paths that are level everywhere are left out; NaN if all are.

    Raises:
        ValueError: for fewer than two steps, or a step or threshold that is not positive.

    Reference:
        Watcharasupat, *Controllable Music: Supervised Learning of Disentangled Representations for Music Generation*,
        2021.

    Example:
        >>> z = torch.linspace(-1, 1, 11).double()
        >>> monotonicity(torch.stack([z, z.square(), -z], dim=1)[None], step=0.2)
        tensor([ 1.,  0., -1.], dtype=torch.float64)
    """
    check_paths(attributes, at_least=2)
    check_slope(step, threshold)
    return _monotonicity(to_float64(attributes).diff(dim=1), step, threshold).nanmean(0)


def path_scores(attributes: Tensor, jerk: Jerk = "lehmer", step: float = 1.0, threshold: float = 1e-3) -> PathScores:
    """Smoothness, monotonicity and range of each path by itself.

    Args:
        attributes: ``(N, K, *)``, at least three steps.
        jerk: as for :func:`smoothness`.
        step: as for :func:`monotonicity`.
        threshold: likewise.

    Returns:
        The scores, each ``(N, *)``; the monotonicity of level paths is NaN.

    Raises:
        ValueError: for fewer than three steps, or wrong settings.

    Example:
        >>> path_scores(torch.tensor([[0.0, 1.0, 2.0]]))
        PathScores(smoothness=tensor([1.], dtype=torch.float64), monotonicity=tensor([1.], dtype=torch.float64), \
range=tensor([2.], dtype=torch.float64))
    """
    check_paths(attributes, at_least=3)
    check_slope(step, threshold)
    check_jerk(jerk)
    values = to_float64(attributes)
    first = values.diff(dim=1)
    second = first.diff(dim=1).abs()
    size = second.amax(1) if jerk == "max" else second.square().sum(1) / second.sum(1).clamp(min=1e-300)
    rounding = _ROUNDING * torch.finfo(attributes.dtype).eps * values.abs().amax(1)
    straight = second.amax(1) <= torch.maximum(_STRAIGHT * first.abs().amax(1), rounding)
    spread = (first.amax(1) - first.amin(1)).masked_fill(straight, 1.0)
    smooth = (1 - size / spread).masked_fill(straight, 1.0)
    return PathScores(smooth, _monotonicity(first, step, threshold), values.amax(1) - values.amin(1))


def check_paths(attributes: Tensor, at_least: int) -> None:
    """Refuse what is no batch of paths of so many steps."""
    if not attributes.is_floating_point() or attributes.ndim < 2 or attributes.shape[1] < at_least:
        raise ValueError(
            f"attributes must be floating point of shape (N, K, *) with at least {at_least} steps K, got "
            f"{tuple(attributes.shape)} of {attributes.dtype}"
        )


def check_slope(step: float, threshold: float) -> None:
    """Refuse steps and thresholds that tell no slope."""
    if not (step > 0 and threshold >= 0):
        raise ValueError(f"step must be positive and threshold at least 0, got {step} and {threshold}")


def check_jerk(jerk: str) -> None:
    """Refuse an unknown way to sum up second differences."""
    if jerk not in ("lehmer", "max"):
        raise ValueError(f"jerk must be 'lehmer' or 'max', got {jerk!r}")


def _monotonicity(first: Tensor, step: float, threshold: float) -> Tensor:
    counts = (first / step).abs() > threshold
    return (first.sign() * counts).sum(1) / counts.sum(1)
