"""What all manifold metrics have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from torchdisentangle.functional.manifold.entropy import STANDARD_NORMAL_ENTROPY, prior_entropies
from torchdisentangle.statistics.classes import Estimate
from torchdisentangle.statistics.jacobian import DecoderJacobianStatistic


class ManifoldMetric(DecoderJacobianStatistic):
    """Base of the read-outs of :class:`~torchdisentangle.statistics.jacobian.DecoderJacobianStatistic`.

    Subclasses say what their estimate per class is.

    Args:
        index_sets: sets of latents to follow; see the statistic. A metric adds those it needs itself.
        prior_entropy: :math:`H(p_i)` of the prior's dimensions in nats: a number, ``(d,)``, or ``(C, d)`` per class;
            by default that of a standard normal.
        normalize: whether to normalise the value; each metric says how.
        kwargs: settings of the statistic (``num_classes``, ``data_std``, ``mean_jacobian``, ``estimator``,
            ``num_probes``) and of :class:`torchmetrics.Metric`.
    """

    is_differentiable: bool = True
    higher_is_better: bool | None = None

    def __init__(
        self,
        index_sets: Sequence[Sequence[int]] = (),
        prior_entropy: Tensor | Sequence[float] | float = STANDARD_NORMAL_ENTROPY,
        normalize: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(index_sets=index_sets, **kwargs)
        self.prior_entropy = torch.as_tensor(prior_entropy, dtype=torch.float64)
        self.normalize = normalize

    def entropy_estimate(self, index_set: Sequence[int] | None) -> Estimate:
        """Manifold entropy of an index set (``None``: all latents) per class, ``(C,)``, in nats."""
        index = list(range(self.num_latents)) if index_set is None else list(index_set)
        value, error = self.linear_estimate(self.volume_weights(index_set)[None], self.prior[:, index].sum(-1, True))
        return Estimate(value[:, 0], error[:, 0])

    def volume_weights(self, index_set: Sequence[int] | None) -> Tensor:
        """Weights over the readings, ``(m,)``, that read the log-volume of an index set."""
        weights = self.readings.new_zeros(self.num_readings)
        weights[self.reading_index(index_set)] = 1.0
        return weights

    @property
    def spectrum_weights(self) -> Tensor:
        """Weights over the readings, ``(d, m)``, that read the log-length of every tangent vector."""
        return torch.eye(self.num_latents, self.num_readings, dtype=torch.float64, device=self.readings.device)

    @property
    def prior(self) -> Tensor:
        """Entropies of the prior's dimensions, ``(1, d)`` or ``(C, d)``."""
        return prior_entropies(self.prior_entropy, self.readings[:, : self.num_latents]).view(-1, self.num_latents)


def scaled(estimate: Estimate, factor: float) -> Estimate:
    """Value and standard error times a number."""
    return Estimate(estimate.value * factor, estimate.standard_error * factor)


def linfoot(estimate: Estimate) -> Estimate:
    r"""Linfoot's coefficient :math:`\sqrt{1 - e^{-2 I}}` of mutual information, with its first-order standard error.

    Near zero, where the root has no slope, the standard error is that of a value one standard error away from zero.
    Values below zero, which probes may give, count as zero.
    """
    value, error = estimate
    coefficient = (1 - (-2 * value).exp()).clamp(min=0).sqrt()
    away = (1 - (-2 * error).exp()).sqrt()
    slope = (-2 * value.clamp(min=0)).exp() / torch.maximum(coefficient, away).clamp(min=1e-8)
    return Estimate(coefficient, torch.where(error == 0, error, slope * error))
