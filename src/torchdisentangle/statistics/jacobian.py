"""Sums over decoder Jacobians: everything the manifold metrics need, in one state."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor
from torchmetrics.utilities import rank_zero_warn

from torchdisentangle.functional.manifold.entropy import check_index_set
from torchdisentangle.functional.manifold.gram import (
    MAX_PAIRWISE,
    dead_latents,
    log_column_norms,
    log_volume,
    log_volume_or_floor,
    pairwise_mutual_information,
    rescale_jacobian,
    tangent_correlation,
)
from torchdisentangle.functional.manifold.pairs import cross_pairwise_of_samples
from torchdisentangle.functional.manifold.probes import DEFAULT_NUM_PROBES
from torchdisentangle.functional.manifold.wishart import MIN_PROBES
from torchdisentangle.functional.row_blocks import row_blocks
from torchdisentangle.statistics.classes import ClassMeanStatistic, Estimate, mean_estimate, standard_error

DataScale = Tensor | Sequence[float] | float | None
Estimator = Literal["exact", "probes"]


class DecoderJacobianStatistic(ClassMeanStatistic):
    r"""Moments of the log-volumes of a decoder's tangent vectors.

    For every sample a vector of *readings* is formed: :math:`\log \lVert J_i \rVert` of each latent,
    :math:`\log |J|` of all, :math:`\log |J_S|` of further index sets, and the mean off-diagonal MPMI. The state holds,
    for each class, their sum and the sum of their outer products, so that every linear combination (any entropy, mutual
    information or total correlation) has an exact mean and standard error; beside them the sums of the MPMI of all
    pairs, of its square, and of the Jacobian itself.

    With ``estimator="probes"`` the same sums are made of unbiased estimates from random projections of the Jacobians.
    Their standard errors hold what the latents and the probes contribute. The volume of all latents is then known where
    ``d <= num_probes`` or a flow gives its log-determinant; otherwise values that need it are NaN, and a warning says
    so.

    Args:
        index_sets: sets of latents whose volume is to be followed beside the single latents and the whole. Metrics with
            the same sets (and other settings) share one compute group.
        num_classes: number of classes; by default as many as the labels show.
        data_std: standard deviation by which the data were divided before the model saw them, a number or ``(D,)``:
            results are then in the data's own unit. Projections cannot be rescaled, so give it to
            :func:`~torchdisentangle.functional.probed_jacobian` too.
        mean_jacobian: whether to keep the ``(C, D, d)`` sum of Jacobians; off saves memory for large data. Never kept
            with probes.
        estimator: ``"exact"``: ``update`` takes Jacobians; ``"probes"``: it takes projections of them.
        num_probes: number of projections ``m``, at least 2 and better 8; nothing to the exact estimator.
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
    num_without_volume: Tensor

    def __init__(
        self,
        index_sets: Sequence[Sequence[int]] = (),
        num_classes: int | None = None,
        data_std: DataScale = None,
        mean_jacobian: bool = True,
        estimator: Estimator = "exact",
        num_probes: int = DEFAULT_NUM_PROBES,
        **kwargs: Any,
    ) -> None:
        followed = {tuple(sorted(int(index) for index in index_set)) for index_set in index_sets}
        sets = sorted((s for s in followed if len(s) > 1), key=lambda s: (len(s), s))
        scale = check_scale(data_std)
        probes = check_estimator(estimator, num_probes)
        mean_jacobian = mean_jacobian and probes is None
        settings = ("decoder Jacobians", sets, None if scale is None else scale.tolist(), mean_jacobian, probes)
        super().__init__(num_classes, configuration=settings, **kwargs)
        self.index_sets, self.data_std, self.mean_jacobian, self.num_probes = sets, scale, mean_jacobian, probes
        for name in ("readings", "readings_outer", "pairwise", "pairwise_squared", "jacobian_sum"):
            self.add_sum(name)
        for name in ("num_dead", "num_saturated", "num_singular", "num_without_volume"):
            self.add_sum(name, dtype=torch.int64)

    def update(self, jacobian: Tensor, labels: Tensor | None = None, log_det: Tensor | None = None) -> None:
        """Add samples.

        Args:
            jacobian: decoder Jacobians, ``(N, D, d)``, or with probes their projections, ``(N, m, d)``. Samples with
                NaN or infinite entries are left out, counted in ``num_nonfinite``, and warned of.
            labels: class of each sample, ``(N,)`` integers.
            log_det: the model's own log-determinant of its decoder, ``(N,)`` in nats, used for the volume of all
                latents instead of the Gram determinant (flows: ``D = d``).

        Raises:
            ValueError: if shapes, labels or index sets do not fit.
        """
        self._check(jacobian, log_det)
        labels, num_classes = self.check_labels(labels, len(jacobian), jacobian.device)
        pairs = _pairs(jacobian.shape[2], jacobian.device)
        sums: dict[str, Tensor] = {}
        for rows in row_blocks(len(jacobian), jacobian.shape[2] * max(jacobian.shape[1:])):
            of_rows = None if log_det is None else log_det[rows].double()
            for name, value in self._sums_of(jacobian[rows], labels[rows], of_rows, num_classes, pairs).items():
                sums[name] = sums[name].add_(value) if name in sums else value
        self.accumulate(**sums)

    def _sums_of(
        self, jacobian: Tensor, labels: Tensor, log_det: Tensor | None, num_classes: int, pairs: Tensor
    ) -> dict[str, Tensor]:
        scaled = rescale_jacobian(jacobian, None if self.num_probes else self.data_std)
        gram = scaled.mT @ scaled
        finite = gram.diagonal(dim1=1, dim2=2).isfinite().all(1)  # a column with NaN or infinity has such a length
        if log_det is not None:
            finite = finite & log_det.isfinite()
        if not finite.all():
            self.warn_nonfinite(int((~finite).sum()))
            scaled, gram, labels = scaled[finite], gram[finite], labels[finite]
            log_det = None if log_det is None else log_det[finite]
        correlation = tangent_correlation(gram)
        of_pairs = correlation.flatten(1).gather(1, pairs.expand(len(gram), -1))
        pairwise = pairwise_mutual_information(of_pairs, self.num_probes)
        total, singular, unknown = self._log_volume_of_all(gram, correlation, log_det)
        others = [log_volume(gram, index_set, self.num_probes) for index_set in self.index_sets]
        mean_pairwise = pairwise.sum(1) / max(len(pairs), 1)
        log_norms = log_column_norms(gram, self.num_probes)
        readings = torch.cat([log_norms, torch.stack([total, *others, mean_pairwise], dim=1)], dim=1)
        by_class = [labels == label for label in range(num_classes)] if num_classes > 1 else [slice(None)]
        sums = {
            "num_samples": torch.tensor([len(labels[rows]) for rows in by_class]),
            "num_nonfinite": (~finite).sum(),
            "readings": _sums(readings, by_class),
            "readings_outer": _stack([readings[rows].mT @ readings[rows] for rows in by_class]),
            "pairwise": _sums(pairwise, by_class),
            "pairwise_squared": _sums(pairwise.square(), by_class),
            "num_dead": dead_latents(gram).sum(0),
            "num_saturated": (pairwise >= MAX_PAIRWISE).sum(),
            "num_singular": singular.sum(),
            "num_without_volume": unknown.sum(),
        }
        return {**sums, "jacobian_sum": _sums(scaled, by_class)} if self.mean_jacobian else sums

    def _log_volume_of_all(
        self, gram: Tensor, correlation: Tensor, log_det: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Log-volume of all latents, where it is only a floor, and where it is unknown (and zero)."""
        no, yes = (torch.full((len(gram),), truth, device=gram.device) for truth in (False, True))
        if log_det is not None:
            unit = 0.0 if self.data_std is None else float(self.data_std.log().expand(gram.shape[-1]).sum())
            return log_det + unit, no, no
        if self.num_probes is not None and gram.shape[-1] > self.num_probes:
            return gram.new_zeros(len(gram)), no, yes
        return *log_volume_or_floor(gram, correlation, self.num_probes), no

    def _check(self, jacobian: Tensor, log_det: Tensor | None) -> None:
        if jacobian.ndim != 3 or not jacobian.is_floating_point() or 0 in jacobian.shape[1:]:
            raise ValueError(
                f"Jacobians must be floating point of shape (N, D, d), got {tuple(jacobian.shape)} of {jacobian.dtype}"
            )
        num_samples, num_rows, num_latents = jacobian.shape
        for index_set in self.index_sets:
            check_index_set(index_set, num_latents)
        if self.num_dead.ndim and self.num_latents != num_latents:
            raise ValueError(f"updates so far had {self.num_latents} latents, this one has {num_latents}")
        if log_det is not None and log_det.shape != (num_samples,):
            raise ValueError(f"log_det must have shape ({num_samples},), got {tuple(log_det.shape)}")
        if self.num_probes is not None:
            check_projection(jacobian, self.num_probes)
            self._check_probes(num_latents, log_det)
        elif log_det is not None and num_rows != num_latents:
            raise ValueError(f"a log-determinant belongs to a square Jacobian, got {num_rows} x {num_latents}")

    def _check_probes(self, num_latents: int, log_det: Tensor | None) -> None:
        for index_set in self.index_sets:
            if self.num_probes < len(index_set) < num_latents:  # type: ignore[operator]
                raise ValueError(f"{len(index_set)} latents need at least as many probes, got {self.num_probes}")
        if log_det is None and num_latents > self.num_probes:  # type: ignore[operator]
            rank_zero_warn(
                f"the volume of all {num_latents} latents needs at least as many probes (here {self.num_probes}), or a "
                "flow's log_det: total entropy and total correlation are not known and left out (NaN)",
                UserWarning,
            )

    @property
    def num_latents(self) -> int:
        """Latent dimension ``d``, known after the first update."""
        return self.num_dead.shape[-1]

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
            Values and standard errors, ``(C, k)``: NaN for a class without samples and for what needs the volume of all
            latents where that is unknown, and an infinite standard error for a class with a single sample.
        """
        count = self.num_samples[:, None]
        mean = self.readings / count
        covariance = self.readings_outer / count[..., None] - mean[:, :, None] * mean[:, None, :]
        weights = weights.to(mean)
        variance = ((weights @ covariance) * weights).sum(-1)
        unknown = (weights[:, self.num_latents] != 0) & (self.num_without_volume > 0)
        value, error = mean @ weights.mT + offset, standard_error(variance, count)
        return Estimate(value.masked_fill(unknown, torch.nan), error.masked_fill(unknown, torch.nan))

    def pairwise_estimate(self) -> Estimate:
        """Mean and standard error, per class, of the MPMI matrix, ``(C, d, d)``."""
        of_pairs = mean_estimate(self.num_samples, self.pairwise, self.pairwise_squared)
        return Estimate(*(_symmetric(values, self.num_latents) for values in of_pairs))


class CrossJacobianStatistic(ClassMeanStatistic):
    """Moments of the pairwise mutual information between tangent vectors of two decoders at the same data points.

    Args:
        num_classes: number of classes; by default as many as the labels show.
        data_std: standard deviation by which the data were divided before the models saw them, a number or ``(D,)``;
            with probes give it to :func:`~torchdisentangle.functional.probed_jacobian` too.
        estimator: ``"exact"``: ``update`` takes Jacobians; ``"probes"``: it takes projections of them, made with the
            same probes for both models.
        num_probes: number of projections ``m``, at least 2 and better 8; nothing to the exact estimator.
        kwargs: as for :class:`torchmetrics.Metric`.
    """

    pairwise: Tensor
    pairwise_squared: Tensor
    num_saturated: Tensor

    def __init__(
        self,
        num_classes: int | None = None,
        data_std: DataScale = None,
        estimator: Estimator = "exact",
        num_probes: int = DEFAULT_NUM_PROBES,
        **kwargs: Any,
    ) -> None:
        scale, probes = check_scale(data_std), check_estimator(estimator, num_probes)
        settings = ("cross Jacobians", None if scale is None else scale.tolist(), probes)
        super().__init__(num_classes, configuration=settings, **kwargs)
        self.data_std, self.num_probes = scale, probes
        self.add_sum("pairwise")
        self.add_sum("pairwise_squared")
        self.add_sum("num_saturated", dtype=torch.int64)

    def update(self, jacobian_a: Tensor, jacobian_b: Tensor, labels: Tensor | None = None) -> None:
        """Add data points.

        Args:
            jacobian_a: ``(N, D, d_a)`` of the first model, or with probes ``(N, m, d_a)``. Points where either Jacobian
                is NaN or infinite are left out, counted in ``num_nonfinite``, and warned of.
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
        if self.num_probes is not None:
            check_projection(jacobian_a, self.num_probes)
        labels, num_classes = self.check_labels(labels, len(jacobian_a), jacobian_a.device)
        finite = jacobian_a.isfinite().flatten(1).all(1) & jacobian_b.isfinite().flatten(1).all(1)
        if not finite.all():
            self.warn_nonfinite(int((~finite).sum()))
            jacobian_a, jacobian_b, labels = jacobian_a[finite], jacobian_b[finite], labels[finite]
        self.accumulate(num_nonfinite=(~finite).sum())
        width = jacobian_a.shape[2] + jacobian_b.shape[2]
        unit = None if self.num_probes else self.data_std
        for rows in row_blocks(len(labels), width * max(width, jacobian_a.shape[1])):
            pairwise = cross_pairwise_of_samples(jacobian_a[rows], jacobian_b[rows], unit, self.num_probes)
            by_class = [labels[rows] == label for label in range(num_classes)]
            self.accumulate(
                num_samples=torch.stack([in_class.sum() for in_class in by_class]),
                pairwise=_sums(pairwise, by_class),
                pairwise_squared=_sums(pairwise.square(), by_class),
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


def check_estimator(estimator: str, num_probes: int) -> int | None:
    """The number of probes, ``None`` for the exact estimator; refused if unknown or too few."""
    if estimator not in ("exact", "probes"):
        raise ValueError(f"estimator must be 'exact' or 'probes', got {estimator!r}")
    if estimator == "probes" and num_probes < MIN_PROBES:
        raise ValueError(f"at least {MIN_PROBES} probes are needed, got {num_probes}")
    return num_probes if estimator == "probes" else None


def check_projection(projection: Tensor, num_probes: int) -> None:
    """Refuse what is not made of that many probes."""
    if projection.shape[1] != num_probes:
        raise ValueError(
            f"with estimator='probes' projections of shape (N, {num_probes}, d) are needed, as probed_jacobian gives, "
            f"got {tuple(projection.shape)}"
        )


def _sums(values: Tensor, by_class: Sequence[Tensor | slice]) -> Tensor:
    """Sum over the samples of each class, ``(C, ...)``."""
    return _stack([values[rows].sum(0) for rows in by_class])


def _stack(of_classes: Sequence[Tensor]) -> Tensor:
    return torch.stack(list(of_classes)) if len(of_classes) > 1 else of_classes[0][None]  # which copies nothing


def _pairs(num_latents: int, device: torch.device) -> Tensor:
    """Where the pairs ``i < j`` are in a flattened ``(d, d)`` matrix."""
    rows, columns = torch.triu_indices(num_latents, num_latents, 1, device=device)
    return rows * num_latents + columns


def _symmetric(of_pairs: Tensor, num_latents: int) -> Tensor:
    """Matrices ``(C, d, d)`` with zeros on the diagonal from their pairs ``(C, d (d - 1) / 2)``."""
    flat = of_pairs.new_zeros(len(of_pairs), num_latents**2)
    upper = flat.index_copy(1, _pairs(num_latents, flat.device), of_pairs).unflatten(1, (num_latents, num_latents))
    return upper + upper.mT
