"""Manifold entropic metrics of a decoder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import torch
from torch import Tensor

from torchdisentangle.evaluation.base import Context, Evaluation, Goal, Pass, Say, silent
from torchdisentangle.evaluation.budget import Plan, agree, estimator_for, plan_in_time
from torchdisentangle.evaluation.latents import LatentSamples, decode, is_flow, posterior_noise, prior_samples
from torchdisentangle.evaluation.manifold_figures import image_shape, manifold_figures
from torchdisentangle.evaluation.place import Place
from torchdisentangle.evaluation.report import Report, draws, floats
from torchdisentangle.evaluation.rows import Rows
from torchdisentangle.functional import decoder_jacobian_chunks, probed_jacobian_chunks
from torchdisentangle.functional.device import Sizes, sizes_beside_training, sizes_of, use_sizes
from torchdisentangle.functional.manifold.entropy import check_partition
from torchdisentangle.functional.manifold.probes import DEFAULT_NUM_PROBES
from torchdisentangle.functional.manifold.wishart import MIN_PROBES
from torchdisentangle.latent_model import LatentModel
from torchdisentangle.manifold import ManifoldMetrics, ManifoldSummary
from torchdisentangle.statistics.jacobian import Estimator, check_scale

_LARGEST_MEAN_JACOBIAN = 2**27  # bytes of the state that the figure of averaged columns may take
_ENOUGH = 100  # samples; with fewer, 1.96 standard errors of skewed values cover well below 95 %
_MATRICES = ("spectrum", "pairwise", "path_length", "mean_jacobian")


@dataclass(frozen=True)
class ManifoldEvaluation(Evaluation):
    """Manifold entropic metrics of the decoder's Jacobians at ``num_samples`` latents (Galperin & Köthe).

    Args:
        num_samples: how many latents.
        estimator: ``"exact"``, ``"probes"``, or ``"auto"``.
        num_probes: random probes for each sample.
        max_seconds: how long an evaluation may take on each process.
        source: ``"prior"``, ``"posterior"`` or ``"posterior_mean"``.
        classes: number of classes over which values are averaged with equal weight.
        partition: disjoint index sets that cover all latents.
        data_std: standard deviation by which the data were divided.
        normalize: whether to report totals in nats per dimension.
        active_threshold: a latent is active if ``exp(H_i)`` is at least this fraction of the largest.
        active_reference: entropy in nats whose extent takes the place of the largest.
        standard_errors: whether to report ``<name>_standard_error``; those of fewer than 100 samples are too small, and
            a warning says so.
        image_shape: shape of data that are flat images.
        memory_budget: bytes that the evaluation may use; ``None``: as suits the device.
        compile: whether ``torch.compile`` fuses the Jacobian-vector products.
        seed: of the latents and the probes.
        data_shape: shape of a decoded datum; found when the evaluation is settled.

    Raises:
        ValueError: for wrong settings.

    Example:
        >>> ManifoldEvaluation(num_samples=256).abilities
        ('decode',)
    """

    family: ClassVar[str] = "manifold"

    num_samples: int = 1024
    estimator: Literal["auto", "exact", "probes"] = "auto"
    num_probes: int = DEFAULT_NUM_PROBES
    max_seconds: float | None = None
    source: Literal["prior", "posterior", "posterior_mean"] = "prior"
    classes: int | None = None
    partition: Sequence[Sequence[int]] | None = None
    data_std: float | Sequence[float] | None = None
    normalize: bool = False
    active_threshold: float = 0.1
    active_reference: float | None = None
    standard_errors: bool = False
    image_shape: Sequence[int] | None = None
    memory_budget: int | None = None
    compile: bool = False
    seed: int = 0
    data_shape: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        if self.num_samples < 1:
            raise ValueError(f"num_samples must be at least 1, got {self.num_samples}")
        if self.source not in ("prior", "posterior", "posterior_mean"):
            raise ValueError(f"source must be 'prior', 'posterior' or 'posterior_mean', got {self.source!r}")
        if self.estimator not in ("auto", "exact", "probes"):
            raise ValueError(f"estimator must be 'auto', 'exact' or 'probes', got {self.estimator!r}")
        if self.num_probes < MIN_PROBES:
            raise ValueError(f"num_probes must be at least {MIN_PROBES}, got {self.num_probes}")
        if self.max_seconds is not None and not self.max_seconds > 0:
            raise ValueError(f"max_seconds must be positive, got {self.max_seconds}")
        check_scale(self.data_std)

    @property
    def headlines(self) -> Mapping[str, Goal]:
        """The values to look at first."""
        return {"total_entropy": "none", "total_correlation": "min", "mpmi_mean": "min", "active_latents": "none"}

    @property
    def abilities(self) -> tuple[str, ...]:
        """Decoding, and encoding for a posterior source."""
        return ("decode",) if self.source == "prior" else ("decode", "encode")

    def check(self, model: LatentModel) -> None:
        """Raise an error if the model lacks what is needed."""
        super().check(model)
        check_partition(self.partition, model.latent_dim)
        if self.source == "prior" and model.num_classes is None and (self.classes or 1) > 1:
            raise ValueError(
                "an unconditional model's prior has no classes: use source='posterior', or a conditional model"
            )

    def caution(self, report: Report) -> str | None:
        """Say so if there are too few samples for standard errors."""
        few = self.standard_errors and 0 < report.num_rows < _ENOUGH
        return f"{report.num_rows} samples are few: standard errors of skewed values are too small" if few else None

    def rehearse(self, model: LatentModel, place: Place) -> None:
        """Evaluate two samples."""
        one = self.begin(model, place.alone, Context(figures=False))
        one.evaluate(prior_samples(model, self.num_samples, self.seed, slice(2)))

    def settle(self, model: LatentModel, place: Place, say: Say = silent) -> ManifoldEvaluation:
        """Choose the estimator, and with ``max_seconds`` the number of samples."""
        if self.max_seconds is None:
            return self._of_shape(model, say)

        def evaluate(plan: Plan) -> None:
            one = self._with(model, plan).begin(model, place.alone, Context(figures=False))
            one.evaluate(prior_samples(model, plan.num_samples, self.seed))
            one.wait()

        agree(place, lambda: float(len(self._shape(model))))  # the first decoding fails on all processes, or on none
        plan = plan_in_time(place, evaluate, self._estimators(model, say), self.num_samples, self.max_seconds)
        wanted = f"{plan.num_samples} of {self.num_samples} samples"
        say(f"max_seconds={self.max_seconds:g} allows {wanted} with estimator={plan.estimator!r}")
        return self._with(model, plan)

    def begin(self, model: LatentModel, place: Place, context: Context) -> ManifoldPass:
        """Begin a pass."""
        settled = self if self.data_shape is not None else self._of_shape(model)
        return ManifoldPass(settled, model, place, context.training)

    def _of_shape(self, model: LatentModel, say: Say = silent) -> ManifoldEvaluation:
        return self._with(model, Plan(self._estimators(model, say)[0], self.num_samples))

    def _with(self, model: LatentModel, plan: Plan) -> ManifoldEvaluation:
        return replace(
            self, estimator=plan.estimator, num_samples=plan.num_samples, data_shape=tuple(self._shape(model))
        )

    def _shape(self, model: LatentModel) -> torch.Size:
        if self.data_shape is not None:
            return torch.Size(self.data_shape)
        z, labels, _ = prior_samples(model, self.num_samples, self.seed, slice(2))
        return decode(model, z, labels).shape[1:]

    def _estimators(self, model: LatentModel, say: Say) -> list[Estimator]:
        """Those that may be used, the preferred one first."""
        if self.estimator != "auto":
            return [self.estimator]
        size = self._shape(model).numel()
        largest_part = max((len(part) for part in self.partition or ()), default=1)
        volume = is_flow(model, size) or model.latent_dim <= self.num_probes
        if not volume or self.num_probes < largest_part < model.latent_dim:
            return ["exact"]  # probes would lose scalars
        preferred = estimator_for(model.latent_dim, size, self.num_probes, model.like.device)
        say(f"estimator={preferred!r} for {model.latent_dim} latents and {size} data dimensions")
        return ["exact", "probes"] if preferred == "exact" else ["probes"]


class ManifoldPass(Pass):
    """One evaluation of :class:`ManifoldEvaluation`."""

    def __init__(self, evaluation: ManifoldEvaluation, model: LatentModel, place: Place, training: bool) -> None:
        self.evaluation = evaluation
        self.model = model
        self.place = place
        self.sizes: Sizes = (sizes_beside_training if training else sizes_of)(model.like.device)
        shape = torch.Size(evaluation.data_shape or ())
        self.is_flow: bool = is_flow(model, shape.numel())
        self.image_shape: tuple[int, ...] | None = image_shape(tuple(evaluation.image_shape or shape))
        classes = evaluation.classes or model.num_classes
        size = 8 * model.latent_dim * shape.numel() * (classes or 1)
        self.metrics: ManifoldMetrics = ManifoldMetrics(
            evaluation.partition,
            evaluation.active_threshold,
            evaluation.active_reference,
            data_std=evaluation.data_std,
            normalize=evaluation.normalize,
            estimator="probes" if evaluation.estimator == "probes" else "exact",
            num_probes=evaluation.num_probes,
            num_classes=classes,
            prior_entropy=model.prior.entropies().double(),
            mean_jacobian=self.image_shape is not None and size <= _LARGEST_MEAN_JACOBIAN,
        ).to(model.like.device)
        self._last = -1  # the last position that was seen

    @property
    def done(self) -> bool:
        """With the prior as source no rows are needed; else the first ``num_samples``."""
        return self.evaluation.source == "prior" or self._last >= self.evaluation.num_samples - self.place.world_size

    def start(self) -> None:
        """With the prior as source, evaluate this process's share of the samples."""
        if self.evaluation.source == "prior":
            settings = self.evaluation
            self.evaluate(prior_samples(self.model, settings.num_samples, settings.seed, self.place.share))

    def wants(self, index: Tensor) -> Tensor:
        """Rows that are among the first ``num_samples``."""
        self._last = max(self._last, int(index.max()))
        return index < self.evaluation.num_samples

    def add(self, rows: Rows) -> None:
        """Evaluate the latents of rows."""
        settings = self.evaluation
        labelled = self.model.num_classes is not None or settings.classes is not None
        z, labels = rows.mean, rows.labels if labelled else None
        if settings.source == "posterior" and rows.posterior is not None:
            noise = posterior_noise(self.model, settings.num_samples, settings.seed)[rows.index]
            z = rows.posterior.sample(noise.to(z))
        self.evaluate(LatentSamples(z, labels, rows.index))

    def rehearse(self, rows: Rows) -> None:
        """Evaluate two rows."""
        self.add(rows.at(torch.arange(min(2, len(rows)))))

    def evaluate(self, samples: LatentSamples) -> None:
        """Take the Jacobians at latents, and add them to the metrics."""
        z, labels, positions = samples
        if len(z) == 0:
            return
        labels = None if labels is None else labels.to(z.device)
        given = None if self.model.num_classes is None else labels
        with use_sizes(self.sizes):
            for rows, jacobian in self._jacobians(z, given, positions):
                of_rows = None if labels is None else labels[rows]
                log_det = self.model.log_det(z[rows], None if given is None else of_rows) if self.is_flow else None
                self.metrics.update(jacobian, labels=of_rows, log_det=log_det)

    def wait(self) -> None:
        """Wait until the device has done its work."""
        float(self.metrics.summary.num_samples.sum())

    def finish(self) -> Report:
        """Scalars, matrices and figures over all processes."""
        metrics, settings = self.metrics, self.evaluation
        with metrics.reduced():
            counts = floats(self._counts())
            if settings.max_seconds is not None:
                counts["num_samples"] = float(settings.num_samples)
                counts["num_probes"] = 0.0 if settings.estimator == "exact" else float(settings.num_probes)
            num_samples = int(metrics.summary.num_samples.sum())
            if not num_samples:
                return Report(counts)
            values, errors = metrics.compute(), metrics.standard_errors()
            decomposition = metrics.decomposition.decomposition()
        scalars = floats({name: values[name] for name in ManifoldSummary.scalar_names}) | counts
        if settings.partition is not None:
            scalars["partition_total_correlation"] = float(values["decomposition"])
        if settings.standard_errors:
            scalars |= {f"{name}_standard_error": float(errors[name]) for name in ManifoldSummary.mean_names}
        matrices: dict[str, Tensor] = {name: values[name] for name in _MATRICES if name in values}
        figures = manifold_figures(
            values,
            errors,
            decomposition,
            image_shape=self.image_shape,
            part_names=metrics.decomposition.part_names,
            normalize=settings.normalize,
        )
        return Report(scalars, matrices, draws(figures), num_samples)

    def _jacobians(self, z: Tensor, labels: Tensor | None, positions: Tensor) -> Iterator[tuple[slice, Tensor]]:
        """Jacobians, or their projections; the probes belong to a sample's position, so are those of one process."""
        settings = self.evaluation
        if settings.estimator == "exact":
            return decoder_jacobian_chunks(
                self.model.decode, z, labels, memory_budget=settings.memory_budget, compile=settings.compile
            )
        return probed_jacobian_chunks(
            self.model.decode,
            z,
            labels,
            num_probes=settings.num_probes,
            index=positions,
            seed=settings.seed,
            data_std=check_scale(settings.data_std),
            memory_budget=settings.memory_budget,
        )

    def _counts(self) -> dict[str, Tensor]:
        names = ("num_nonfinite", "num_dead", "num_saturated", "num_singular")
        counts = {name: getattr(self.metrics.summary, name).sum() for name in names}
        return {name: count for name, count in counts.items() if count > 0}
