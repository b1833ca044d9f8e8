"""What all manifold metrics have in common: the sums over Jacobians, and how they are read."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torchmetrics.utilities import rank_zero_warn
from typing_extensions import Unpack

from torchdisentangle.functional.device import float64_device
from torchdisentangle.functional.manifold.entropy import (
    STANDARD_NORMAL_ENTROPY,
    PriorEntropy,
    check_index_set,
    prior_entropies,
)
from torchdisentangle.functional.manifold.probes import DEFAULT_NUM_PROBES
from torchdisentangle.statistics import MetricSettings
from torchdisentangle.statistics.classes import ClassMeanStatistic, Estimate, Value, mean_estimate, standard_error
from torchdisentangle.statistics.jacobian import DataScale, Estimator, check_jacobian, check_scale, probes_of
from torchdisentangle.statistics.jacobian_sums import JacobianSums, pairs_of


class ManifoldSettings(MetricSettings, total=False):
    """Settings that every manifold metric takes; see :class:`ManifoldMetric`."""

    index_sets: Sequence[Sequence[int]]
    prior_entropy: PriorEntropy
    normalize: bool
    num_classes: int | None
    data_std: DataScale
    mean_jacobian: bool
    estimator: Estimator
    num_probes: int


class ManifoldMetric(ClassMeanStatistic[Value]):
    r"""Base of the manifold metrics of one decoder, and home of their states.

    For every sample a vector of *readings* is formed: :math:`\log \lVert J_i \rVert` of each latent,
    :math:`\log |J|` of all, :math:`\log |J_S|` of further index sets, and the mean off-diagonal MPMI. The state holds,
    for each class, their sum and the sum of their outer products, so that every linear combination (any entropy, mutual
    information or total correlation) has an exact mean and standard error; beside them the sums of the MPMI of all
    pairs, of the columns' squared lengths, of the squares of both, and of the Jacobian itself.

    With ``estimator="probes"`` the same sums are made of unbiased estimates from random projections of the Jacobians.
    Their standard errors hold what the latents and the probes contribute. The volume of all latents is then known where
    ``d <= num_probes`` or a flow gives its log-determinant; otherwise values that need it are NaN, and a warning says
    so.

    A subclass defines ``_estimate``, which returns an :class:`~torchdisentangle.statistics.classes.Estimate` for each
    class. It is made of ``_entropy_estimate``, ``_spectrum_estimate``, ``_pairwise_estimate``, or ``_linear_estimate``
    of weights over the readings (``_volume_weights``, ``_lengths_weights``).

    Args:
        index_sets: sets of latents whose volume is followed beside the single latents and the whole. A metric adds
            those it needs itself. Metrics with the same sets (and other settings) share one compute group.
        prior_entropy: :math:`H(p_i)` of the prior's dimensions in nats: a number, ``(d,)``, or ``(C, d)`` per class;
            by default that of a standard normal.
        normalize: whether to normalise the value; each metric says how.
        num_classes: number of classes; by default as many as the labels show.
        data_std: standard deviation by which the data were divided before the model saw them, a number or ``(D,)``:
            results are then in the data's own unit. Projections cannot be rescaled, so give it to
            :func:`~torchdisentangle.functional.probed_jacobian` too.
        mean_jacobian: whether to keep the ``(C, D, d)`` sum of Jacobians; off saves memory for large data. Never kept
            with probes.
        estimator: ``"exact"``: ``update`` takes Jacobians; ``"probes"``: it takes projections of them.
        num_probes: number of projections ``m``, at least 2 and better 8; the exact estimator ignores it.
        settings: as for :class:`torchmetrics.Metric`.

    Raises:
        ValueError: for wrong settings.
        TypeError: for unknown settings.
    """

    is_differentiable: bool | None = True

    readings: Tensor
    readings_outer: Tensor
    pairwise: Tensor
    pairwise_squared: Tensor
    squared_lengths: Tensor
    squared_lengths_squared: Tensor
    jacobian_sum: Tensor
    num_dead: Tensor
    num_saturated: Tensor
    num_singular: Tensor
    num_without_volume: Tensor

    def __init__(
        self,
        index_sets: Sequence[Sequence[int]] = (),
        prior_entropy: PriorEntropy = STANDARD_NORMAL_ENTROPY,
        normalize: bool = False,
        num_classes: int | None = None,
        data_std: DataScale = None,
        mean_jacobian: bool = True,
        estimator: Estimator = "exact",
        num_probes: int = DEFAULT_NUM_PROBES,
        **settings: Unpack[MetricSettings],
    ) -> None:
        followed = {tuple(sorted(int(index) for index in index_set)) for index_set in index_sets}
        sets = tuple(sorted((s for s in followed if len(s) > 1), key=lambda s: (len(s), s)))
        scale = check_scale(data_std)
        probes = probes_of(estimator, num_probes)
        keeps_jacobian = mean_jacobian and probes is None
        configuration = ("Jacobians", sets, None if scale is None else scale.tolist(), keeps_jacobian, probes)
        super().__init__(num_classes, configuration=configuration, **settings)
        self.index_sets = sets
        self.prior_entropy = prior_entropy
        self.normalize = normalize
        self.data_std = data_std
        self.mean_jacobian = mean_jacobian
        self.estimator = estimator
        self.num_probes = num_probes
        self._probes = probes
        self._sums = JacobianSums(sets, scale, probes, keeps_jacobian)
        for name in ("readings", "readings_outer", "pairwise", "pairwise_squared", "jacobian_sum"):
            self.add_sum(name)
        self.add_sum("squared_lengths")
        self.add_sum("squared_lengths_squared")
        for name in ("num_dead", "num_saturated", "num_singular", "num_without_volume"):
            self.add_sum(name, dtype=torch.int64)

    def update(self, jacobian: Tensor, *, labels: Tensor | None = None, log_det: Tensor | None = None) -> None:
        """Add samples.

        Args:
            jacobian: decoder Jacobians, ``(N, D, d)``, or with probes their projections, ``(N, m, d)``. Samples with
                NaN or infinite entries are left out, counted in ``num_nonfinite``, and warned of.
            labels: class of each sample, ``(N,)`` integers.
            log_det: the model's own log-determinant of its decoder, ``(N,)`` in nats, used for the volume of all
                latents instead of the Gram determinant (flows: ``D = d``).

        Raises:
            TypeError: if a tensor is of the wrong kind.
            ValueError: if shapes, labels or index sets do not fit.
        """
        jacobian = check_jacobian(jacobian, self._probes)
        self._check(jacobian, log_det)
        device = float64_device(jacobian.device)
        self._sums = self._sums.on(device)
        sums, num_lost = self._sums(jacobian, self._classes(labels, len(jacobian), device), log_det)
        self.accumulate(**sums)
        self.leave_out(num_lost, "Jacobians")

    def _check(self, jacobian: Tensor, log_det: Tensor | None) -> None:
        num_samples, num_rows, num_latents = jacobian.shape
        for index_set in self.index_sets:
            check_index_set(index_set, num_latents)
        if self.num_dead.ndim and self._num_latents != num_latents:
            raise ValueError(f"updates so far had {self._num_latents} latents, this one has {num_latents}")
        if log_det is not None and log_det.shape != (num_samples,):
            raise ValueError(f"log_det must have shape ({num_samples},), got {tuple(log_det.shape)}")
        if self._probes is not None:
            self._check_probes(self._probes, num_latents, log_det)
        elif log_det is not None and num_rows != num_latents:
            raise ValueError(f"a log-determinant belongs to a square Jacobian, got {num_rows} x {num_latents}")

    def _check_probes(self, num_probes: int, num_latents: int, log_det: Tensor | None) -> None:
        for index_set in self.index_sets:
            if num_probes < len(index_set) < num_latents:
                raise ValueError(f"{len(index_set)} latents need at least as many probes, got {num_probes}")
        if log_det is None and num_latents > num_probes:
            rank_zero_warn(
                f"the volume of all {num_latents} latents needs at least as many probes (here {num_probes}), or a "
                "flow's log_det: total entropy and total correlation are not known and left out (NaN)",
                UserWarning,
            )

    @property
    def _num_latents(self) -> int:
        """Latent dimension ``d``, known after the first update."""
        return self.num_dead.shape[-1]

    def _linear_estimate(self, weights: Tensor, offset: Tensor | float = 0.0) -> Estimate:
        """Mean and standard error, per class, of linear combinations of the readings.

        Args:
            weights: ``(k, m)`` over the ``m`` readings.
            offset: added to the value, broadcast to ``(C, k)``.

        Returns:
            Values and standard errors, ``(C, k)``: NaN for a class without samples and for what needs the volume of all
            latents where that is unknown, and an infinite standard error for a class with a single sample.
        """
        count = self.num_samples[:, None]
        mean = self.readings / count
        covariance = self.readings_outer / count[..., None] - mean[:, :, None] * mean[:, None, :]
        variance = ((weights.to(mean) @ covariance) * weights.to(mean)).sum(-1)
        error = standard_error(variance, count).masked_fill(self._unknown(weights), torch.nan)
        return Estimate(self._linear_value(weights, offset), error)

    def _linear_value(self, weights: Tensor, offset: Tensor | float = 0.0) -> Tensor:
        """The value of :meth:`_linear_estimate`, ``(C, k)``, without products of whole matrices."""
        mean = self.readings / self.num_samples[:, None]
        return (mean @ weights.to(mean).mT + offset).masked_fill(self._unknown(weights), torch.nan)

    def _unknown(self, weights: Tensor) -> Tensor:
        """Which combinations need the volume of all latents where that is unknown, ``(k,)``."""
        return (weights[:, self._num_latents] != 0) & (self.num_without_volume > 0)

    def _spectrum_estimate(self) -> Estimate:
        """Entropy of every latent and its standard error per class, ``(C, d)``."""
        squares = self.readings_outer.diagonal(dim1=1, dim2=2)
        of_latents = mean_estimate(self.num_samples, self.readings, squares)
        value, error = (values[:, : self._num_latents] for values in of_latents)
        return Estimate(value + self._prior, error)

    def _pairwise_estimate(self) -> Estimate:
        """Mean and standard error, per class, of the MPMI matrix, ``(C, d, d)``."""
        of_pairs = mean_estimate(self.num_samples, self.pairwise, self.pairwise_squared)
        return Estimate(*(_symmetric(values, self._num_latents) for values in of_pairs))

    def _entropy_estimate(self, index_set: Sequence[int] | None) -> Estimate:
        """Manifold entropy of an index set (``None``: all latents) per class, ``(C,)``, in nats."""
        value, error = self._linear_estimate(*self._entropy_weights([index_set]))
        return Estimate(value[:, 0], error[:, 0])

    def _entropy_weights(self, index_sets: Sequence[Sequence[int] | None]) -> tuple[Tensor, Tensor]:
        """Weights over the readings, ``(k, m)``, and offsets that read the entropies of several index sets."""
        everything, prior = range(self._num_latents), self._prior
        sets = [list(everything if index_set is None else index_set) for index_set in index_sets]
        weights = torch.stack([self._volume_weights(index_set) for index_set in index_sets])
        return weights, torch.stack([prior[:, index].sum(-1) for index in sets], dim=1)

    def _volume_weights(self, index_set: Sequence[int] | None) -> Tensor:
        """Weights over the readings, ``(m,)``, that read the log-volume of an index set (``None``: of all latents)."""
        d = self._num_latents
        index = check_index_set(range(d) if index_set is None else index_set, d)
        weights = self.readings.new_zeros(self.readings.shape[-1])
        followed = [tuple(range(d)), *self.index_sets]  # their readings come after those of the single latents
        weights[index[0] if len(index) == 1 else d + followed.index(index)] = 1.0
        return weights

    @property
    def _lengths_weights(self) -> Tensor:
        """Weights over the readings, ``(m,)``, that read the sum of the log-lengths of all tangent vectors."""
        weights = self.readings.new_zeros(self.readings.shape[-1])
        weights[: self._num_latents] = 1.0
        return weights

    @property
    def _prior(self) -> Tensor:
        """Entropies of the prior's dimensions, ``(1, d)`` or ``(C, d)``."""
        entropies = torch.as_tensor(self.prior_entropy, dtype=torch.float64)
        return prior_entropies(entropies, self.readings[:, : self._num_latents]).view(-1, self._num_latents)


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


def _symmetric(of_pairs: Tensor, num_latents: int) -> Tensor:
    """Matrices ``(C, d, d)`` with zeros on the diagonal from their pairs ``(C, d (d - 1) / 2)``."""
    flat = of_pairs.new_zeros(len(of_pairs), num_latents**2)
    upper = flat.index_copy(1, pairs_of(num_latents, flat.device), of_pairs).unflatten(1, (num_latents, num_latents))
    return upper + upper.mT
