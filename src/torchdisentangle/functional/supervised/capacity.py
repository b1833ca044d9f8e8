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


def explicitness_of_curves(curves: LossCurves, capacity_range: tuple[float, float] | None = None) -> Tensor:
    r"""Explicitness (the E of DCI-ES): how little capacity the best loss takes.

    .. math:: E_f = 1 - 2 \, \frac{\int (\ell_f(\kappa) - \ell_f^{\min}) \, d\kappa}
                                  {(\kappa_T - \kappa_1) \, \ell_f^{\mathrm{base}}}

    by the trapezoidal rule, of the running minimum :math:`\ell` of the losses. 1: the probe of least capacity is as
    good as any; 0: the loss falls along a straight line from the constant prediction's to 0; towards -1: only the
    largest probe is any good. A code that knows nothing has a flat curve, and 1.

    Representations whose probes have other capacities compare over a common range, from the smallest capacity of any of
    them to the largest: a curve that ends before is flat from there on, and what a smaller probe than its first one
    would lose is not counted.

    Args:
        curves: losses of at least two capacities; larger ones than that of the constant prediction count as that.
        capacity_range: the smallest and the largest capacity of all that are compared; by default those of the curves.

    Returns:
        ``(F,)`` between -1 and 1.

    Raises:
        ValueError: if there are fewer than two capacities, they do not ascend, or one is outside the range.

    Reference:
        Eastwood et al., *DCI-ES: An extended disentanglement framework with connections to identifiability*, ICLR 2023.

    Example:
        >>> capacity = torch.arange(11.0)
        >>> loss = torch.stack([1 - capacity / 10, (capacity < 10).float(), torch.zeros(11)], dim=1)
        >>> curves = LossCurves(capacity, loss, torch.ones(3))
        >>> explicitness_of_curves(curves)
        tensor([ 0.0000, -0.9000,  1.0000])
        >>> explicitness_of_curves(curves, capacity_range=(0.0, 20.0))
        tensor([0.5000, 0.0500, 1.0000])
    """
    steps = curves.capacity.diff()
    if not len(steps) or (steps <= 0).any():
        raise ValueError(f"at least two ascending capacities are needed, got {curves.capacity.tolist()}")
    own = float(curves.capacity[0]), float(curves.capacity[-1])
    low, high = own if capacity_range is None else capacity_range
    if not low <= own[0] < own[1] <= high:
        raise ValueError(f"capacities from {own[0]} to {own[1]} are not in capacity_range, got {capacity_range}")
    loss = torch.minimum(curves.loss, curves.base).cummin(0).values
    above = loss - loss[-1]
    area = (steps[:, None] * (above[1:] + above[:-1]) / 2).sum(0)
    return 1 - 2 * area / ((high - low) * curves.base)


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


class RandomFeatures(NamedTuple):
    r"""Random Fourier features of codes: :math:`\phi_m(z) = \sqrt 2 \cos(w_m \cdot z + b_m)`.

    Reference:
        Rahimi & Recht, *Random features for large-scale kernel machines*, NeurIPS 2007.

    Example:
        >>> features = RandomFeatures.of_random_phase(num_codes=2, num_features=16)
        >>> features(torch.randn(4, 2)).shape
        torch.Size([4, 16])
    """

    frequency: Tensor
    """``(d, M)``, in radians per unit of a code."""
    phase: Tensor
    """``(M,)``, in radians."""

    @classmethod
    def of_random_phase(
        cls, num_codes: int, num_features: int, generator: torch.Generator | None = None
    ) -> RandomFeatures:
        """Frequencies of normal distribution with variance ``1 / d``, and phases of uniform distribution.

        Args:
            num_codes: ``d``.
            num_features: how many, ``M``.
            generator: source of the random numbers.
        """
        frequency = torch.randn(num_codes, num_features, generator=generator, dtype=torch.float64)
        phase = 2 * math.pi * torch.rand(num_features, generator=generator, dtype=torch.float64)
        return cls(frequency / math.sqrt(num_codes), phase)

    @classmethod
    def of_pairs(
        cls, num_codes: int, num_features: int, gain: float, generator: torch.Generator | None = None
    ) -> RandomFeatures:
        """A cosine and a sine of every frequency, one after the other.

        Args:
            num_codes: ``d``.
            num_features: how many, ``M``, an even number.
            gain: standard deviation of the frequencies in cycles per unit of a code.
            generator: source of the random numbers.
        """
        frequency = torch.randn(num_codes, num_features // 2, generator=generator, dtype=torch.float64)
        phase = torch.tensor([0.0, -math.pi / 2], dtype=torch.float64).repeat(num_features // 2)
        return cls(2 * math.pi * gain * frequency.repeat_interleave(2, dim=1), phase)

    def __call__(self, codes: Tensor, number: int | None = None) -> Tensor:
        """The first features of codes.

        Args:
            codes: ``(n, d)``.
            number: of features, by default all.

        Returns:
            ``(n, number)`` in float64.
        """
        return math.sqrt(2) * (codes.double() @ self.frequency[:, :number] + self.phase[:number]).cos()


class LinearFit(NamedTuple):
    """A linear function of the first features."""

    weights: Tensor
    """``(m, k)``."""
    offset: Tensor
    """``(k,)``."""

    def __call__(self, features: Tensor) -> Tensor:
        """Predictions ``(n, k)``.

        Args:
            features: at least ``m`` of them, ``(n, M)``.
        """
        return features[:, : len(self.weights)] @ self.weights + self.offset


def nested_ridge(features: Tensor, targets: Tensor, sizes: Sequence[int], regularization: float) -> list[LinearFit]:
    r"""Ridge regressions on the first :math:`m` features, for several ``m``.

    .. math:: \min_w \frac1n \lVert y - \phi_{1:m} w \rVert^2 + \lambda \lVert w \rVert^2

    of centred features and targets. All sizes up to the number of rows take one factorisation: the leading block of a
    Cholesky factor is the factor of the leading block. A larger one takes a factorisation of the rows' kernel.

    Args:
        features: ``(n, M)``.
        targets: ``(n, k)``.
        sizes: the values of ``m``.
        regularization: :math:`\lambda`, positive.

    Returns:
        The regression of each size.

    Example:
        >>> line = torch.arange(5.0, dtype=torch.float64)[:, None]
        >>> nested_ridge(line, 2 * line, [1], 1e-9)[0](line).round()[:, 0]
        tensor([0., 2., 4., 6., 8.], dtype=torch.float64)
    """
    mean, level = features.mean(0), targets.mean(0)
    features, targets = features - mean, (targets - level) / len(features)
    few = features[:, : max((size for size in sizes if size <= len(features)), default=0)]
    factor = torch.linalg.cholesky(few.mT @ few / len(few) + regularization * torch.eye(few.shape[1]).to(few))
    half = torch.linalg.solve_triangular(factor, few.mT @ targets, upper=False)
    fits = []
    for size in sizes:
        if size <= len(features):
            weights = torch.linalg.solve_triangular(factor[:size, :size].mT, half[:size], upper=True)
        else:
            first = features[:, :size]
            kernel = first @ first.mT / len(first) + regularization * torch.eye(len(first)).to(first)
            weights = first.mT @ torch.cholesky_solve(targets, torch.linalg.cholesky(kernel))
        fits.append(LinearFit(weights, level - mean[:size] @ weights))
    return fits
