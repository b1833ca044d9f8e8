"""Manifold entropic metrics of the decoder, in every validation epoch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, Literal, cast

import lightning as L
import torch
from lightning.pytorch.utilities import rank_zero_info
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from matplotlib.figure import Figure
from torch import Tensor

from torchdisentangle.callbacks.budget import Plan, agree, estimator_for, plan_in_time
from torchdisentangle.callbacks.evaluation import EvaluationCallback
from torchdisentangle.callbacks.latents import LatentSamples, posterior_noise, prior_samples
from torchdisentangle.callbacks.rows import RowPositions
from torchdisentangle.functional import decoder_jacobian_chunks, probed_jacobian_chunks
from torchdisentangle.functional.manifold.entropy import check_partition
from torchdisentangle.functional.manifold.probes import DEFAULT_NUM_PROBES
from torchdisentangle.functional.manifold.wishart import MIN_PROBES
from torchdisentangle.manifold import ManifoldTotalCorrelation, manifold_metrics
from torchdisentangle.manifold.summary import ManifoldSummary
from torchdisentangle.models import LatentModel
from torchdisentangle.plots import plot_decomposition, plot_jacobian_columns, plot_pairwise, plot_spectrum
from torchdisentangle.statistics import StatisticCollection
from torchdisentangle.statistics.jacobian import Estimator, check_scale

_LARGEST_MEAN_JACOBIAN = 2**27  # bytes of the state that the figure of averaged columns may take
_MOST_BARS = 16  # single latents whose entropies are drawn as bars


class ManifoldEntropyCallback(EvaluationCallback):
    r"""Watches how disentangled and aligned a decoder is, by its Jacobian (Galperin & Köthe, AISTATS 2025).

    In every validation epoch the Jacobians at ``num_samples`` latents are taken, and logged are, under
    ``<prefix>/manifold/``:

    ======================= ===================================================================== ================
    key                     meaning                                                               ideal
    ======================= ===================================================================== ================
    ``total_entropy``       entropy of the generated distribution, nats                           that of the data
    ``total_correlation``   how far the latents' tangent vectors are from orthogonal, nats        0
    ``mpmi_mean``           mean pairwise mutual information of tangent vectors, nats             0
    ``mpmi_max``            the largest, nats                                                     0
    ``active_latents``      number of latents that move the data noticeably                       few
    ``active_mpmi_mean``    mean pairwise mutual information of the active latents alone, nats    0
    ``effective_dimension`` number of latents that share the spectrum's entropy power             few
    ======================= ===================================================================== ================

    and the figures ``spectrum``, ``pairwise``, ``decomposition`` and, for images, ``mean_jacobian``. With a partition
    also ``partition_total_correlation``; ``num_nonfinite``, ``num_dead`` and ``num_saturated`` count samples (latents,
    pairs) that met a floor, if there are any.

    The exact estimator takes ``d`` Jacobian-vector products for each sample (or one vector-Jacobian product for each
    data dimension where there are fewer), that by random probes ``num_probes`` vector-Jacobian products, whatever the
    size; its values are unbiased (but for ``mpmi_max``, which noise makes larger), and their standard errors hold the
    probes' noise too. Probes know the volume of all latents, and with it ``total_entropy`` and ``total_correlation``,
    only of a flow or with as many probes as latents, and never the average Jacobian: what they do not know is not
    logged, and a warning says so.

    The samples are shared out over processes and the sums reduced once; the values are those of one process. Nothing
    about the training changes.

    Args:
        num_samples: how many latents.
        estimator: ``"exact"``, ``"probes"``, or ``"auto"``: probes where they take at least eight times fewer products
            and none of the scalars is lost. What is chosen is said once.
        num_probes: random probes for each sample, at least 2 and better 8.
        max_seconds: how long an evaluation may take on each process, figures not counted. The first evaluation is
            measured, and if ``num_samples`` do not fit, probes are taken (if ``estimator`` leaves the choice, and no
            scalar is lost) or fewer samples, a power of two. All processes agree on it, it is said once, and stays for
            the rest of the fit; ``num_samples`` and ``num_probes`` (0: exact) are logged.
        source: ``"prior"``: drawn once and for all from the model's prior, so that curves are smooth; ``"posterior"``:
            from the posteriors of the first ``num_samples`` validation data, with fixed noise; ``"posterior_mean"``:
            their means.
        classes: number of classes over which values are averaged with equal weight; by default those of a conditional
            model. An unconditional model takes them from the validation labels, so needs a posterior source.
        partition: disjoint index sets that cover all latents, such as ``[[0, 1], [2, 3]]``.
        data_std: standard deviation by which the data were divided, a number or one for each data dimension: the
            values are then in the data's own unit.
        normalize: report totals in nats per dimension, and Linfoot coefficients in the pairwise figure.
        active_threshold: a latent is active if ``exp(H_i)`` is at least this fraction of the largest.
        active_reference: entropy in nats whose extent takes the place of the largest, such as the first entry of the
            data's :func:`~torchdisentangle.functional.principal_spectrum`: so the latents of a VAE that has collapsed
            altogether are not active.
        standard_errors: log ``<key>_standard_error`` beside the values that are means over samples.
        image_shape: shape of data that are flat images, for the figure of averaged Jacobian columns.
        memory_budget: bytes that the evaluation may use for Jacobians and what is needed on the way; by default what
            suits the device.
        compile: have ``torch.compile`` fuse the Jacobian-vector products of the exact estimator, which takes up to a
            minute in the first evaluation; see :func:`~torchdisentangle.functional.decoder_jacobian`.
        kwargs: as for :class:`~torchdisentangle.callbacks.evaluation.EvaluationCallback`: ``prefix``,
            ``every_n_epochs``, ``figures``, ``seed``, ``dataloader_idx``, ``input_key``, ``label_key``,
            ``latent_dim``, ``num_classes``.

    Raises:
        MisconfigurationException: for wrong settings, and before training if the model lacks what is needed.

    Example:
        >>> callback = ManifoldEntropyCallback(num_samples=256, partition=[[0], [1]])
        >>> trainer = L.Trainer(callbacks=[callback], logger=False, accelerator="cpu", enable_progress_bar=False)
    """

    family = "manifold"

    def __init__(
        self,
        num_samples: int = 1024,
        estimator: Literal["auto", "exact", "probes"] = "auto",
        num_probes: int = DEFAULT_NUM_PROBES,
        max_seconds: float | None = None,
        source: Literal["prior", "posterior", "posterior_mean"] = "prior",
        classes: int | None = None,
        partition: list[list[int]] | None = None,
        data_std: float | list[float] | None = None,
        normalize: bool = False,
        active_threshold: float = 0.1,
        active_reference: float | None = None,
        standard_errors: bool = False,
        image_shape: list[int] | None = None,
        memory_budget: int | None = None,
        compile: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if num_samples < 1:
            raise MisconfigurationException(f"num_samples must be at least 1, got {num_samples}")
        if source not in ("prior", "posterior", "posterior_mean"):
            raise MisconfigurationException(f"source must be 'prior', 'posterior' or 'posterior_mean', got {source!r}")
        if estimator not in ("auto", "exact", "probes"):
            raise MisconfigurationException(f"estimator must be 'auto', 'exact' or 'probes', got {estimator!r}")
        if num_probes < MIN_PROBES:
            raise MisconfigurationException(f"num_probes must be at least {MIN_PROBES}, got {num_probes}")
        if max_seconds is not None and not max_seconds > 0:
            raise MisconfigurationException(f"max_seconds must be positive, got {max_seconds}")
        self.num_samples, self.source = num_samples, source
        self.estimator, self.num_probes, self.max_seconds = estimator, num_probes, max_seconds
        self.classes, self.partition, self.data_std = classes, partition, data_std
        self.active_threshold, self.active_reference = active_threshold, active_reference
        self.normalize, self.standard_errors = normalize, standard_errors
        self.image_shape, self.memory_budget, self.compile = image_shape, memory_budget, compile
        self._plan = Plan("exact", num_samples)
        self._agreed: Plan | None = None  # within the budget of time
        self._said: set[str] = set()
        self._metrics = self._new_metrics()

    @property
    def abilities(self) -> tuple[str, ...]:
        """Decoding, and encoding for a posterior source."""
        return ("decode",) if self.source == "prior" else ("decode", "encode")

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        if stage == "fit":
            self._agreed = None

    def rehearse(self, trainer: L.Trainer, model: LatentModel) -> None:
        """Evaluate two samples."""
        check_partition(self.partition, model.latent_dim)
        if self.source == "prior" and model.num_classes is None and (self.classes or 1) > 1:
            raise ValueError(
                "an unconditional model's prior has no classes: use source='posterior', or a conditional model"
            )
        self._begin(trainer, model)
        self._update(model, *prior_samples(model, self.num_samples, self.seed, slice(2)))

    def rehearse_batch(self, trainer: L.Trainer, model: LatentModel, batch: Any) -> None:
        """Evaluate the first data points of a batch."""
        if self.source != "prior":
            self._begin(trainer, model)
            self._update(model, *self._posterior_samples(model, batch, torch.arange(2)))

    def start(self, trainer: L.Trainer, model: LatentModel) -> None:
        """Reset, and with the prior as source evaluate this process's share of the samples."""
        if self.max_seconds is not None and self._agreed is None:
            self._agreed = self._plan_in_time(trainer, model, self.max_seconds)
        self._begin(trainer, model, self._agreed)
        if self.source == "prior":
            share = slice(trainer.global_rank, None, trainer.world_size)
            self._update(model, *prior_samples(model, self._plan.num_samples, self.seed, share))
        else:
            self._rows = RowPositions(self.loader(trainer), trainer.global_rank, trainer.world_size)

    @property
    def done(self) -> bool:
        """With the prior as source, after the first batch; else when the first ``num_samples`` rows have been seen."""
        return self.source == "prior" or self._rows.seen * self._rows.world_size >= self._plan.num_samples

    def on_batch(self, trainer: L.Trainer, model: LatentModel, batch: Any) -> None:
        """Evaluate the batch's data points that are among the first."""
        positions = self._rows.next(len(self.take(batch, self.input_key)))
        if ((positions >= 0) & (positions < self._plan.num_samples)).any():
            self._update(model, *self._posterior_samples(model, batch, positions))

    def finish(self, trainer: L.Trainer) -> tuple[Mapping[str, Tensor], Mapping[str, Callable[[], Figure]]]:
        """Scalars and figures over all processes."""
        with self._metrics.reduced():
            counts = self._counts() | self._choices()
            if not self._summary.num_samples.sum() > 0:
                return counts, {}
            values = self._metrics.compute()
            errors = self._metrics.standard_errors()
            decomposition = self._decomposition.decomposition()
        scalars = {name: values[name] for name in ManifoldSummary.scalar_names} | counts
        if self.partition is not None:
            scalars["partition_total_correlation"] = values["decomposition"]
        if self.standard_errors:
            scalars |= {f"{name}_standard_error": errors[name] for name in ManifoldSummary.mean_names}
        return scalars, self._figures(values | {"decomposition": decomposition}, errors)

    def _begin(self, trainer: L.Trainer, model: LatentModel, plan: Plan | None = None) -> None:
        parameters = (parameter for parameter in model.module.parameters() if parameter.is_floating_point())
        self._like = next(parameters, torch.empty(0, device=trainer.strategy.root_device))
        z, labels, _ = prior_samples(model, self.num_samples, self.seed, slice(2))
        two = z.to(self._like)
        data = model.decode(two) if labels is None else model.decode(two, labels.to(two.device))
        if not isinstance(data, Tensor):
            raise TypeError(f"decode must return a tensor, got {type(data).__name__}")
        self._data_shape = tuple(data.shape[1:])
        self._plan = plan or Plan(self._estimators(model)[0], self.num_samples)
        self._metrics = self._new_metrics(model).to(two.device)

    def _estimators(self, model: LatentModel) -> list[Estimator]:
        """Those that may be used, the preferred one first."""
        if self.estimator != "auto":
            return [self.estimator]
        largest_part = max((len(part) for part in self.partition or ()), default=1)
        volume = self._is_flow(model) or model.latent_dim <= self.num_probes
        if not volume or self.num_probes < largest_part < model.latent_dim:
            return ["exact"]  # probes would lose scalars
        size = _product(self._data_shape)
        preferred = estimator_for(model.latent_dim, size, self.num_probes)
        self._say(f"estimator={preferred!r} for {model.latent_dim} latents and {size} data dimensions")
        return ["exact", "probes"] if preferred == "exact" else ["probes"]

    def _plan_in_time(self, trainer: L.Trainer, model: LatentModel, max_seconds: float) -> Plan:
        def evaluate(plan: Plan) -> None:
            self._begin(trainer, model, plan)
            self._update(model, *prior_samples(model, plan.num_samples, self.seed))
            float(self._summary.readings.sum())  # waits for the device

        agree(trainer, partial(self._begin, trainer, model))
        plan = plan_in_time(trainer, evaluate, self._estimators(model), self.num_samples, max_seconds)
        wanted = f"{plan.num_samples} of {self.num_samples} samples"
        self._say(f"max_seconds={max_seconds:g} allows {wanted} with estimator={plan.estimator!r}")
        return plan

    def _say(self, message: str) -> None:
        if message not in self._said:
            rank_zero_info(f"{type(self).__name__}: {message}")
            self._said.add(message)

    def _new_metrics(self, model: LatentModel | None = None) -> StatisticCollection:
        settings: dict[str, Any] = {"num_classes": self.classes}
        settings |= {"estimator": self._plan.estimator, "num_probes": self.num_probes}
        if model is not None:
            settings["num_classes"] = self.classes or model.num_classes
            settings["prior_entropy"] = model.prior.entropies().double()
            size = 8 * model.latent_dim * _product(self._data_shape) * (settings["num_classes"] or 1)
            settings["mean_jacobian"] = self._image_shape is not None and size <= _LARGEST_MEAN_JACOBIAN
        return manifold_metrics(
            self.partition,
            self.active_threshold,
            self.active_reference,
            data_std=self.data_std,
            normalize=self.normalize,
            **settings,
        )

    def _update(self, model: LatentModel, z: Tensor, labels: Tensor | None, positions: Tensor) -> None:
        if len(z) == 0:
            return
        z = z.to(self._like)
        labels = None if labels is None else labels.to(z.device)
        given = None if model.num_classes is None else labels
        for rows, jacobian in self._jacobians(model, z, given, positions):
            of_rows = None if labels is None else labels[rows]
            log_det = model.log_det(z[rows], None if given is None else of_rows) if self._is_flow(model) else None
            self._metrics.update(jacobian, labels=of_rows, log_det=log_det)

    def _jacobians(
        self, model: LatentModel, z: Tensor, labels: Tensor | None, positions: Tensor
    ) -> Iterator[tuple[slice, Tensor]]:
        """Jacobians, or their projections; the probes belong to a sample's position, so are those of one process."""
        if self._plan.estimator == "exact":
            return decoder_jacobian_chunks(
                model.decode, z, labels, memory_budget=self.memory_budget, compile=self.compile
            )
        return probed_jacobian_chunks(
            model.decode,
            z,
            labels,
            num_probes=self.num_probes,
            index=positions,
            seed=self.seed,
            data_std=check_scale(self.data_std),
            memory_budget=self.memory_budget,
        )

    def _is_flow(self, model: LatentModel) -> bool:
        """Whether the model's own log-determinant is that of its Jacobian."""
        return model.supports("log_det") and _product(self._data_shape) == model.latent_dim

    def _posterior_samples(self, model: LatentModel, batch: Any, positions: Tensor) -> LatentSamples:
        """The latents of a batch's rows, given their positions in the data set."""
        x = self.take(batch, self.input_key)
        rows = ((positions >= 0) & (positions < self._plan.num_samples)).nonzero()[:, 0][: len(x)]
        labelled = model.num_classes is not None or self.classes is not None
        labels = self.take(batch, self.label_key)[rows.to(x.device)] if labelled else None
        x, index = x[rows.to(x.device)], positions[rows]
        posterior = model.encode(x.to(self._like) if x.is_floating_point() else x, labels)
        if self.source == "posterior_mean":
            return LatentSamples(posterior.mean, labels, index)
        noise = posterior_noise(model, self._plan.num_samples, self.seed)[index]
        return LatentSamples(posterior.sample(noise.to(posterior.mean)), labels, index)

    @property
    def _summary(self) -> ManifoldSummary:
        return cast(ManifoldSummary, self._metrics["summary"])

    @property
    def _decomposition(self) -> ManifoldTotalCorrelation:
        return cast(ManifoldTotalCorrelation, self._metrics["decomposition"])

    def _counts(self) -> dict[str, Tensor]:
        statistic = self._summary
        names = ("num_nonfinite", "num_dead", "num_saturated", "num_singular")
        counts = {name: getattr(statistic, name).sum() for name in names}
        return {name: count for name, count in counts.items() if count > 0}

    def _choices(self) -> dict[str, Tensor]:
        """What was chosen to stay within the budget, if there is one."""
        if self.max_seconds is None:
            return {}
        probes = 0 if self._plan.estimator == "exact" else self.num_probes
        return {"num_samples": torch.tensor(self._plan.num_samples), "num_probes": torch.tensor(probes)}

    @property
    def _image_shape(self) -> tuple[int, ...] | None:
        """The data's shape if they are images of one or three channels."""
        shape = tuple(self.image_shape or self._data_shape)
        shape = (1, *shape) if len(shape) == 2 else shape
        return shape if len(shape) == 3 and shape[0] in (1, 3) and min(shape[1:]) > 1 else None

    def _figures(self, values: Mapping[str, Any], errors: Mapping[str, Tensor]) -> dict[str, Callable[[], Figure]]:
        spectrum = values["spectrum"]
        order = spectrum.argsort(descending=True, stable=True)
        label = "MPMI (Linfoot coefficient)" if self.normalize else "MPMI (nats)"
        figures: dict[str, Callable[[], Any]] = {
            "spectrum": partial(plot_spectrum, spectrum, errors["spectrum"]),
            "pairwise": partial(plot_pairwise, values["pairwise"], order=order, label=label),
        }
        known = values["decomposition"].total.isfinite()
        if known and (self.partition is not None or len(spectrum) <= _MOST_BARS):
            names = self._decomposition.part_names
            figures["decomposition"] = partial(plot_decomposition, *values["decomposition"], labels=names)
        if "mean_jacobian" in values:
            columns, shape = values["mean_jacobian"], self._image_shape or ()
            figures["mean_jacobian"] = partial(plot_jacobian_columns, columns, shape, order=order, entropies=spectrum)
        return {name: lambda draw=draw: draw()[0] for name, draw in figures.items()}  # type: ignore[misc]


def _product(shape: tuple[int, ...]) -> int:
    return int(torch.Size(shape).numel())
