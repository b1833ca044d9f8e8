"""Sums over decoder Jacobians: everything the manifold metrics need, in one state."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from torchdisentangle.functional.blocks import row_blocks
from torchdisentangle.functional.gram import (
    MAX_PAIRWISE,
    dead_latents,
    log_column_norms,
    log_det_correlation,
    log_volume,
    pairwise_mutual_information,
    rescale_jacobian,
    tangent_correlation,
)
from torchdisentangle.functional.manifold import check_index_set, cross_pairwise_of_samples
from torchdisentangle.statistics.classes import ClassMeanStatistic, Estimate, mean_estimate, standard_error

DataScale = Tensor | Sequence[float] | float | None

_BLOCK = 2**22  # numbers of Jacobians at a time


class DecoderJacobianStatistic(ClassMeanStatistic):
    r"""Moments of the log-volumes of a decoder's tangent vectors.

    For every sample a vector of *readings* is formed: :math:`\log \lVert J_i \rVert` of each latent,
    :math:`\log |J|` of all, :math:`\log |J_S|` of further index sets, and the mean off-diagonal MPMI. The state holds,
    for each class, their sum and the sum of their outer products, so that every linear combination (any entropy, mutual
    information or total correlation) has an exact mean and standard error; beside them the sums of the MPMI matrix, of
    its square, and of the Jacobian itself.

    Args:
        index_sets: sets of latents whose volume is to be followed beside the single latents and the whole. Metrics with
            the same sets (and other settings) share one compute group.
        num_classes: number of classes; by default as many as the labels show.
        data_std: standard deviation by which the data were divided before the model saw them, a number or ``(D,)``:
            results are then in the data's own unit.
        mean_jacobian: whether to keep the ``(C, D, d)`` sum of Jacobians; off saves memory for large data.
        kwargs: as for :class:`torchmetrics.Metric`.
    """

    readings: Tensor
    readings_outer: Tensor
    pairwise: Tensor
    pairwise_squared: Tensor
    jacobian_sum: Tensor
    num_dead: Tensor
    num_saturated: Tensor
    num_singular: Tensor

    def __init__(
        self,
        index_sets: Sequence[Sequence[int]] = (),
        num_classes: int | None = None,
        data_std: DataScale = None,
        mean_jacobian: bool = True,
        **kwargs: Any,
    ) -> None:
        followed = {tuple(sorted(int(index) for index in index_set)) for index_set in index_sets}
        sets = sorted((s for s in followed if len(s) > 1), key=lambda s: (len(s), s))
        scale = check_scale(data_std)
        settings = ("decoder Jacobians", sets, None if scale is None else scale.tolist(), mean_jacobian)
        super().__init__(num_classes, configuration=settings, **kwargs)
        self.index_sets, self.data_std, self.mean_jacobian = sets, scale, mean_jacobian
        for name in ("readings", "readings_outer", "pairwise", "pairwise_squared", "jacobian_sum"):
            self.add_sum(name)
        for name in ("num_dead", "num_saturated", "num_singular"):
            self.add_sum(name, dtype=torch.int64)

    def update(self, jacobian: Tensor, labels: Tensor | None = None, log_det: Tensor | None = None) -> None:
        """Add samples.

        Args:
            jacobian: decoder Jacobians, ``(N, D, d)``. Samples with NaN or infinite entries are left out, counted in
                ``num_nonfinite``, and warned of.
            labels: class of each sample, ``(N,)`` integers.
            log_det: the model's own log-determinant of its decoder, ``(N,)`` in nats, used for the volume of all
                latents instead of the Gram determinant (flows: ``D = d``).

        Raises:
            ValueError: if shapes, labels or index sets do not fit.
        """
        self._check(jacobian, log_det)
        labels, num_classes = self.check_labels(labels, len(jacobian), jacobian.device)
        for rows in row_blocks(len(jacobian), jacobian[:1].numel(), _BLOCK):
            self._add(jacobian[rows], labels[rows], None if log_det is None else log_det[rows].double(), num_classes)

    def _add(self, jacobian: Tensor, labels: Tensor, log_det: Tensor | None, num_classes: int) -> None:
        finite = jacobian.isfinite().flatten(1).all(1)
        if log_det is not None:
            finite = finite & log_det.isfinite()
        if not finite.all():
            self.warn_nonfinite(int((~finite).sum()))
            jacobian, labels = jacobian[finite], labels[finite]
            log_det = None if log_det is None else log_det[finite]
        scaled = rescale_jacobian(jacobian, self.data_std).double()
        gram = scaled.mT @ scaled
        correlation = tangent_correlation(gram)
        diagonal = torch.eye(gram.shape[-1], dtype=torch.bool, device=gram.device)
        pairwise = pairwise_mutual_information(correlation.masked_fill(diagonal, 0.0))
        total, singular = self._log_volume_of_all(gram, correlation, log_det, jacobian.shape[1])
        others = [log_volume(gram, index_set) for index_set in self.index_sets]
        mean_pairwise = pairwise.sum((1, 2)) / max(diagonal.numel() - len(diagonal), 1)
        readings = torch.cat([log_column_norms(gram), torch.stack([total, *others, mean_pairwise], dim=1)], dim=1)
        by_class = [labels == label if num_classes > 1 else slice(None) for label in range(num_classes)]
        self.accumulate(
            num_samples=torch.tensor([len(labels[rows]) for rows in by_class]),
            num_nonfinite=(~finite).sum(),
            readings=torch.stack([readings[rows].sum(0) for rows in by_class]),
            readings_outer=torch.stack([readings[rows].mT @ readings[rows] for rows in by_class]),
            pairwise=torch.stack([pairwise[rows].sum(0) for rows in by_class]),
            pairwise_squared=torch.stack([pairwise[rows].square().sum(0) for rows in by_class]),
            num_dead=dead_latents(gram).sum(0),
            num_saturated=(pairwise >= MAX_PAIRWISE).sum() // 2,
            num_singular=singular.sum(),
        )
        if self.mean_jacobian:
            self.accumulate(jacobian_sum=torch.stack([scaled[rows].sum(0) for rows in by_class]))

    def _log_volume_of_all(
        self, gram: Tensor, correlation: Tensor, log_det: Tensor | None, data_size: int
    ) -> tuple[Tensor, Tensor]:
        if log_det is None:
            log_det_correlation_, singular = log_det_correlation(correlation)
            return log_column_norms(gram).sum(-1) + 0.5 * log_det_correlation_, singular
        unit = 0.0 if self.data_std is None else float(self.data_std.log().expand(data_size).sum())
        return log_det + unit, torch.zeros_like(log_det, dtype=torch.bool)

    def _check(self, jacobian: Tensor, log_det: Tensor | None) -> None:
        if jacobian.ndim != 3 or not jacobian.is_floating_point() or 0 in jacobian.shape[1:]:
            raise ValueError(
                f"Jacobians must be floating point of shape (N, D, d), got {tuple(jacobian.shape)} of {jacobian.dtype}"
            )
        num_samples, data_size, num_latents = jacobian.shape
        for index_set in self.index_sets:
            check_index_set(index_set, num_latents)
        if self.pairwise.ndim and self.pairwise.shape[-1] != num_latents:
            raise ValueError(f"updates so far had {self.pairwise.shape[-1]} latents, this one has {num_latents}")
        if log_det is not None and log_det.shape != (num_samples,):
            raise ValueError(f"log_det must have shape ({num_samples},), got {tuple(log_det.shape)}")
        if log_det is not None and data_size != num_latents:
            raise ValueError(f"a log-determinant belongs to a square Jacobian, got {data_size} x {num_latents}")

    @property
    def num_latents(self) -> int:
        """Latent dimension ``d``, known after the first update."""
        return self.pairwise.shape[-1]

    @property
    def num_readings(self) -> int:
        """Number of readings ``m``."""
        return self.readings.shape[-1]

    def reading_index(self, index_set: Sequence[int] | None) -> int:
        """Which reading is the log-volume of an index set (``None``: all latents)."""
        num_latents = self.num_latents
        index = check_index_set(range(num_latents) if index_set is None else index_set, num_latents)
        if len(index) == num_latents:
            return num_latents
        return index[0] if len(index) == 1 else num_latents + 1 + self.index_sets.index(index)

    def linear_estimate(self, weights: Tensor, offset: Tensor | float = 0.0) -> Estimate:
        """Mean and standard error, per class, of linear combinations of the readings.

        Args:
            weights: ``(k, m)`` over the ``m`` readings.
            offset: added to the value, broadcast to ``(C, k)``.

        Returns:
            Values and standard errors, ``(C, k)``: NaN for a class without samples, and an infinite standard error for
            one with a single sample.
        """
        count = self.num_samples[:, None]
        mean = self.readings / count
        covariance = self.readings_outer / count[..., None] - mean[:, :, None] * mean[:, None, :]
        weights = weights.to(mean)
        variance = ((weights @ covariance) * weights).sum(-1)
        return Estimate(mean @ weights.mT + offset, standard_error(variance, count))

    def pairwise_estimate(self) -> Estimate:
        """Mean and standard error, per class, of the MPMI matrix, ``(C, d, d)``."""
        return mean_estimate(self.num_samples, self.pairwise, self.pairwise_squared)


class CrossJacobianStatistic(ClassMeanStatistic):
    """Moments of the pairwise mutual information between tangent vectors of two decoders at the same data points.

    Args:
        num_classes: number of classes; by default as many as the labels show.
        data_std: standard deviation by which the data were divided before the models saw them, a number or ``(D,)``.
        kwargs: as for :class:`torchmetrics.Metric`.
    """

    pairwise: Tensor
    pairwise_squared: Tensor
    num_saturated: Tensor

    def __init__(self, num_classes: int | None = None, data_std: DataScale = None, **kwargs: Any) -> None:
        scale = check_scale(data_std)
        settings = ("cross Jacobians", None if scale is None else scale.tolist())
        super().__init__(num_classes, configuration=settings, **kwargs)
        self.data_std = scale
        self.add_sum("pairwise")
        self.add_sum("pairwise_squared")
        self.add_sum("num_saturated", dtype=torch.int64)

    def update(self, jacobian_a: Tensor, jacobian_b: Tensor, labels: Tensor | None = None) -> None:
        """Add data points.

        Args:
            jacobian_a: ``(N, D, d_a)`` of the first model. Points where either Jacobian is NaN or infinite are left
                out, counted in ``num_nonfinite``, and warned of.
            jacobian_b: ``(N, D, d_b)`` of the second model.
            labels: class of each point, ``(N,)`` integers.

        Raises:
            ValueError: if shapes or labels do not fit.
        """
        if jacobian_a.ndim != 3 or jacobian_b.ndim != 3 or jacobian_a.shape[:2] != jacobian_b.shape[:2]:
            raise ValueError(
                "both Jacobians must have shape (N, D, d) with the same data points (N, D), "
                f"got {tuple(jacobian_a.shape)} and {tuple(jacobian_b.shape)}"
            )
        labels, num_classes = self.check_labels(labels, len(jacobian_a), jacobian_a.device)
        finite = jacobian_a.isfinite().flatten(1).all(1) & jacobian_b.isfinite().flatten(1).all(1)
        if not finite.all():
            self.warn_nonfinite(int((~finite).sum()))
            jacobian_a, jacobian_b, labels = jacobian_a[finite], jacobian_b[finite], labels[finite]
        self.accumulate(num_nonfinite=(~finite).sum())
        for rows in row_blocks(len(labels), jacobian_a.shape[1] * (jacobian_a.shape[2] + jacobian_b.shape[2]), _BLOCK):
            pairwise = cross_pairwise_of_samples(jacobian_a[rows], jacobian_b[rows], self.data_std)
            by_class = [labels[rows] == label for label in range(num_classes)]
            self.accumulate(
                num_samples=torch.stack([in_class.sum() for in_class in by_class]),
                pairwise=torch.stack([pairwise[in_class].sum(0) for in_class in by_class]),
                pairwise_squared=torch.stack([pairwise[in_class].square().sum(0) for in_class in by_class]),
                num_saturated=(pairwise >= MAX_PAIRWISE).sum(),
            )


def check_scale(data_std: DataScale) -> Tensor | None:
    """The data's standard deviation as a float64 vector, refused if not positive and finite."""
    if data_std is None:
        return None
    scale = torch.as_tensor(data_std, dtype=torch.float64).detach().cpu().flatten()
    if not (scale.isfinite() & (scale > 0)).all():
        raise ValueError("data_std must be positive and finite")
    return scale
