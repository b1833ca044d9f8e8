"""Manifold entropic metrics of the decoder, in every validation epoch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Literal, cast

import lightning as L
import torch
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from matplotlib.figure import Figure
from torch import Tensor

from torchdisentangle.callbacks.evaluation import EvaluationCallback
from torchdisentangle.callbacks.rows import RowPositions
from torchdisentangle.functional import decoder_jacobian_chunks
from torchdisentangle.functional.jacobian import DEFAULT_MEMORY_BUDGET
from torchdisentangle.functional.manifold import check_partition
from torchdisentangle.manifold import ManifoldTotalCorrelation, manifold_metrics
from torchdisentangle.manifold.summary import ManifoldSummary
from torchdisentangle.models import LatentModel
from torchdisentangle.plots import plot_decomposition, plot_jacobian_columns, plot_pairwise, plot_spectrum
from torchdisentangle.statistics import StatisticCollection

_LARGEST_MEAN_JACOBIAN = 2**27  # bytes of the state that the figure of averaged columns may take
_MOST_BARS = 16  # single latents whose entropies are drawn as bars


class ManifoldEntropyCallback(EvaluationCallback):
    r"""Watches how disentangled and aligned a decoder is, by its Jacobian (Galperin & Köthe, AISTATS 2025).

    In every validation epoch the Jacobians at ``num_samples`` latents are taken, and logged are, under
    ``<prefix>/manifold/``:

    ====================== ===================================================================== ==========
    key                    meaning                                                               ideal
    ====================== ===================================================================== ==========
    ``total_entropy``      entropy of the generated distribution, nats                           that of the data
    ``total_correlation``  how far the latents' tangent vectors are from orthogonal, nats        0
    ``mpmi_mean``          mean pairwise mutual information of tangent vectors, nats             0
    ``mpmi_max``           the largest, nats                                                     0
    ``active_latents``     number of latents that move the data noticeably                       few
    ``effective_dimension``  number of latents that share the spectrum's entropy power           few
    ====================== ===================================================================== ==========

    and the figures ``spectrum``, ``pairwise``, ``decomposition`` and, for images, ``mean_jacobian``. With a partition
    also ``partition_total_correlation``; ``num_nonfinite``, ``num_dead`` and ``num_saturated`` count samples (latents,
    pairs) that met a floor, if there are any.

    The cost is ``d`` Jacobian-vector products for each sample (or one vector-Jacobian product for each data dimension
    where there are fewer). The samples are shared out over processes and the sums reduced once; the values are those of
    one process. Nothing about the training changes.

    Args:
        num_samples: how many latents.
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
        standard_errors: log ``<key>_standard_error`` beside the values that are means over samples.
        image_shape: shape of data that are flat images, for the figure of averaged Jacobian columns.
        memory_budget: bytes that the evaluation may use for Jacobians and what is needed on the way.
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
        source: Literal["prior", "posterior", "posterior_mean"] = "prior",
        classes: int | None = None,
        partition: list[list[int]] | None = None,
        data_std: float | list[float] | None = None,
        normalize: bool = False,
        active_threshold: float = 0.1,
        standard_errors: bool = False,
        image_shape: list[int] | None = None,
        memory_budget: int = DEFAULT_MEMORY_BUDGET,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if num_samples < 1:
            raise MisconfigurationException(f"num_samples must be at least 1, got {num_samples}")
        if source not in ("prior", "posterior", "posterior_mean"):
            raise MisconfigurationException(f"source must be 'prior', 'posterior' or 'posterior_mean', got {source!r}")
        self.num_samples, self.source = num_samples, source
        self.classes, self.partition, self.data_std = classes, partition, data_std
        self.normalize, self.active_threshold, self.standard_errors = normalize, active_threshold, standard_errors
        self.image_shape, self.memory_budget = image_shape, memory_budget
        self._metrics = self._new_metrics()

    @property
    def abilities(self) -> tuple[str, ...]:
        """Decoding, and encoding for a posterior source."""
        return ("decode",) if self.source == "prior" else ("decode", "encode")

    def rehearse(self, trainer: L.Trainer, model: LatentModel) -> None:
        """Take two Jacobians."""
        check_partition(self.partition, model.latent_dim)
        if self.source == "prior" and model.num_classes is None and (self.classes or 1) > 1:
            raise ValueError(
                "an unconditional model's prior has no classes: use source='posterior', or a conditional model"
            )
        self._begin(trainer, model)
        z, labels = self._prior_samples(model)
        self._update(model, z[:2], None if labels is None else labels[:2])

    def rehearse_batch(self, trainer: L.Trainer, model: LatentModel, batch: Any) -> None:
        """Take the Jacobians at the first data points of a batch."""
        if self.source != "prior":
            self._begin(trainer, model)
            self._update(model, *self._posterior_samples(model, batch, torch.arange(2)))

    def start(self, trainer: L.Trainer, model: LatentModel) -> None:
        """Reset, and with the prior as source evaluate this process's share of the samples."""
        self._begin(trainer, model)
        if self.source == "prior":
            share = slice(trainer.global_rank, None, trainer.world_size)
            z, labels = self._prior_samples(model)
            self._update(model, z[share], None if labels is None else labels[share])
        else:
            self._rows = RowPositions(self.loader(trainer), trainer.global_rank, trainer.world_size)

    @property
    def done(self) -> bool:
        """With the prior as source, after the first batch; else when the first ``num_samples`` rows have been seen."""
        return self.source == "prior" or self._rows.seen * self._rows.world_size >= self.num_samples

    def on_batch(self, trainer: L.Trainer, model: LatentModel, batch: Any) -> None:
        """Evaluate the batch's data points that are among the first."""
        positions = self._rows.next(len(self.take(batch, self.input_key)))
        if ((positions >= 0) & (positions < self.num_samples)).any():
            self._update(model, *self._posterior_samples(model, batch, positions))

    def finish(self, trainer: L.Trainer) -> tuple[Mapping[str, Tensor], Mapping[str, Callable[[], Figure]]]:
        """Scalars and figures over all processes."""
        with self._metrics.reduced():
            counts = self._counts()
            if not self._summary.num_samples.sum() > 0:
                return counts, {}
            values = self._metrics.compute()
            errors = self._metrics.standard_errors()
            decomposition = self._decomposition.decomposition()
        scalars = {name: values[name] for name in ManifoldSummary.scalar_names} | counts
        if self.partition is not None:
            scalars["partition_total_correlation"] = values["decomposition"]
        if self.standard_errors:
            named = zip(ManifoldSummary.mean_names, errors["summary"], strict=True)
            scalars |= {f"{name}_standard_error": error for name, error in named}
        return scalars, self._figures(values | {"decomposition": decomposition}, errors)

    def _begin(self, trainer: L.Trainer, model: LatentModel) -> None:
        parameters = (parameter for parameter in model.module.parameters() if parameter.is_floating_point())
        self._like = next(parameters, torch.empty(0, device=trainer.strategy.root_device))
        z, labels = self._prior_samples(model)
        two = z[:2].to(self._like)
        data = model.decode(two) if labels is None else model.decode(two, labels[:2].to(two.device))
        if not isinstance(data, Tensor):
            raise TypeError(f"decode must return a tensor, got {type(data).__name__}")
        self._data_shape = tuple(data.shape[1:])
        self._metrics = self._new_metrics(model).to(two.device)

    def _new_metrics(self, model: LatentModel | None = None) -> StatisticCollection:
        settings: dict[str, Any] = {"num_classes": self.classes}
        if model is not None:
            settings["num_classes"] = self.classes or model.num_classes
            settings["prior_entropy"] = model.prior.entropies().double()
            size = 8 * model.latent_dim * _product(self._data_shape) * (settings["num_classes"] or 1)
            settings["mean_jacobian"] = self._image_shape is not None and size <= _LARGEST_MEAN_JACOBIAN
        return manifold_metrics(
            self.partition, self.active_threshold, data_std=self.data_std, normalize=self.normalize, **settings
        )

    def _update(self, model: LatentModel, z: Tensor, labels: Tensor | None) -> None:
        if len(z) == 0:
            return
        z = z.to(self._like)
        labels = None if labels is None else labels.to(z.device)
        given = None if model.num_classes is None else labels
        flow = model.supports("log_det") and _product(self._data_shape) == model.latent_dim
        for rows, jacobian in decoder_jacobian_chunks(model.decode, z, given, memory_budget=self.memory_budget):
            of_rows = None if labels is None else labels[rows]
            log_det = model.log_det(z[rows], None if given is None else of_rows) if flow else None
            self._metrics.update(jacobian, labels=of_rows, log_det=log_det)

    def _prior_samples(self, model: LatentModel) -> tuple[Tensor, Tensor | None]:
        """All latents, the same on every process."""
        labels = None if model.num_classes is None else torch.arange(self.num_samples) % model.num_classes
        generator = torch.Generator().manual_seed(self.seed)
        return model.prior.sample(self.num_samples, generator, labels), labels

    def _posterior_samples(self, model: LatentModel, batch: Any, positions: Tensor) -> tuple[Tensor, Tensor | None]:
        """The latents of a batch's rows, given their positions in the data set."""
        x = self.take(batch, self.input_key)
        rows = ((positions >= 0) & (positions < self.num_samples)).nonzero()[:, 0][: len(x)]
        labelled = model.num_classes is not None or self.classes is not None
        labels = self.take(batch, self.label_key)[rows.to(x.device)] if labelled else None
        x = x[rows.to(x.device)]
        posterior = model.encode(x.to(self._like) if x.is_floating_point() else x, labels)
        if self.source == "posterior_mean":
            return posterior.mean, labels
        generator = torch.Generator().manual_seed(self.seed)
        noise = torch.randn(self.num_samples, model.latent_dim, generator=generator)
        return posterior.sample(noise[positions[rows]].to(posterior.mean)), labels

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
        if self.partition is not None or len(spectrum) <= _MOST_BARS:
            names = self._decomposition.part_names
            figures["decomposition"] = partial(plot_decomposition, *values["decomposition"], labels=names)
        if "mean_jacobian" in values:
            columns, shape = values["mean_jacobian"], self._image_shape or ()
            figures["mean_jacobian"] = partial(plot_jacobian_columns, columns, shape, order=order, entropies=spectrum)
        return {name: lambda draw=draw: draw()[0] for name, draw in figures.items()}  # type: ignore[misc]


def _product(shape: tuple[int, ...]) -> int:
    return int(torch.Size(shape).numel())
