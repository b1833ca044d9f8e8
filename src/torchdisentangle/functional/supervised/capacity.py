r"""How much capacity a probe needs to read factors off codes: loss against capacity, and what the curve says."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class LossCurves(NamedTuple):
    """Losses of probes of growing capacity."""

    capacity: Tensor
    """In ascending order, ``(T,)``."""
    loss: Tensor
    """Of each factor, ``(T, F)``."""
    base: Tensor
    """Of a constant prediction, ``(F,)``."""


def explicitness_of_curves(curves: LossCurves) -> Tensor:
    r"""Explicitness (the E of DCI-ES): how little capacity the best loss takes.

    .. math:: E_f = 1 - 2 \, \frac{\int (\ell_f(\kappa) - \ell_f^{\min}) \, d\kappa}
                                  {(\kappa_T - \kappa_1) \, \ell_f^{\mathrm{base}}}

    by the trapezoidal rule, of the running minimum :math:`\ell` of the losses. 1: the probe of least capacity is as
    good as any; 0: the loss falls along a straight line from the constant prediction's to 0; towards -1: only the
    largest probe is any good. A code that knows nothing has a flat curve, and 1.

    Args:
        curves: losses of at least two capacities; larger ones than that of the constant prediction count as that.

    Returns:
        ``(F,)`` between -1 and 1.

    Raises:
        ValueError: if there are fewer than two capacities, or they do not ascend.

    Reference:
        Eastwood et al., *DCI-ES: An extended disentanglement framework with connections to identifiability*, ICLR 2023.

    Example:
        >>> capacity = torch.arange(11.0)
        >>> loss = torch.stack([1 - capacity / 10, (capacity < 10).float(), torch.zeros(11)], dim=1)
        >>> explicitness_of_curves(LossCurves(capacity, loss, torch.ones(3)))
        tensor([ 0.0000, -0.9000,  1.0000])
    """
    steps = curves.capacity.diff()
    if not len(steps) or (steps <= 0).any():
        raise ValueError(f"at least two ascending capacities are needed, got {curves.capacity.tolist()}")
    loss = torch.minimum(curves.loss, curves.base).cummin(0).values
    above = loss - loss[-1]
    area = (steps[:, None] * (above[1:] + above[:-1]) / 2).sum(0)
    return 1 - 2 * area / (steps.sum() * curves.base)


def informativeness_of_curves(curves: LossCurves) -> Tensor:
    r"""How far the best probe is better than a constant prediction.

    .. math:: I_f = 1 - \ell_f^{\min} / \ell_f^{\mathrm{base}}

    Args:
        curves: losses of probes.

    Returns:
        ``(F,)`` in [0, 1].

    Example:
        >>> informativeness_of_curves(LossCurves(torch.arange(2), torch.tensor([[0.5], [0.2]]), torch.tensor([0.8])))
        tensor([0.7500])
    """
    return 1 - torch.minimum(curves.loss, curves.base).amin(0) / curves.base


def random_features(codes: Tensor, num_features: int, generator: torch.Generator | None = None) -> Tensor:
    r"""Random Fourier features of codes with mean zero and variance one.

    .. math:: \phi_m(z) = \sqrt 2 \cos(w_m \cdot z + b_m), \quad w_m \sim \mathcal N(0, I / d), \;
              b_m \sim \mathcal U(0, 2 \pi)

    Args:
        codes: ``(N, d)``.
        num_features: how many, ``M``.
        generator: source of the random numbers.

    Returns:
        ``(N, M)``.

    Reference:
        Rahimi & Recht, *Random features for large-scale kernel machines*, NeurIPS 2007.

    Example:
        >>> random_features(torch.randn(4, 2), 16).shape
        torch.Size([4, 16])
    """
    width = codes.shape[1]
    frequency = torch.randn(width, num_features, generator=generator, dtype=torch.float64) / math.sqrt(width)
    phase = 2 * math.pi * torch.rand(num_features, generator=generator, dtype=torch.float64)
    return math.sqrt(2) * (codes.double() @ frequency.to(codes.device) + phase.to(codes.device)).cos()


def nested_ridge(
    features: Tensor, targets: Tensor, train: slice, sizes: Sequence[int], regularization: float
) -> list[Tensor]:
    r"""Predictions of ridge regressions on the first :math:`m` features, for several ``m``, by one factorisation.

    .. math:: \min_w \frac1n \lVert y - \phi_{1:m} w \rVert^2 + \lambda \lVert w \rVert^2

    of centred features and targets. The leading block of a Cholesky factor is the factor of the leading block.

    Args:
        features: ``(N, M)``.
        targets: ``(N, k)``.
        train: which rows to fit.
        sizes: the values of ``m``.
        regularization: :math:`\lambda`, positive.

    Returns:
        For each of them the predictions of all rows, ``(N, k)``.

    Example:
        >>> line = torch.arange(5.0, dtype=torch.float64)[:, None]
        >>> nested_ridge(line, 2 * line, slice(None), [1], 1e-9)[0].round()[:, 0]
        tensor([0., 2., 4., 6., 8.], dtype=torch.float64)
    """
    mean, level = features[train].mean(0), targets[train].mean(0)
    features, centred = features - mean, targets - level
    fitted = features[train]
    gram = fitted.mT @ fitted / len(fitted)
    factor = torch.linalg.cholesky(gram + regularization * torch.eye(len(gram)).to(gram))
    half = torch.linalg.solve_triangular(factor, fitted.mT @ centred[train] / len(fitted), upper=False)
    predictions = []
    for size in sizes:
        weights = torch.linalg.solve_triangular(factor[:size, :size].mT, half[:size], upper=True)
        predictions.append(features[:, :size] @ weights + level)
    return predictions
