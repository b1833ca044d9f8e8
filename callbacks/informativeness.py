"""Informativeness and separability of an encoder's latents, in every validation epoch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, cast

import lightning as L
import torch
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from matplotlib.figure import Figure
from torch import Tensor

from torchdisentangle.callbacks.evaluation import EvaluationCallback
from torchdisentangle.callbacks.rows import RowPositions
from torchdisentangle.functional.informativeness.quantization import informative_latents
from torchdisentangle.informativeness import MISJED, PairwiseMutualInformation, Separability, informativeness_metrics
from torchdisentangle.models import LatentModel
from torchdisentangle.plots import plot_independence, plot_informativeness
from torchdisentangle.statistics import StatisticCollection


class InformativenessCallback(EvaluationCallback):
    r"""Watches what each latent of an encoder tells about the data, and what it alone tells (Do & Tran, ICLR 2020).

    In every validation epoch all validation data are encoded, and logged are, under ``<prefix>/informativeness/``, in
    nats:

    ======================= ================================================================== =========================
    key                     meaning                                                            ideal
    ======================= ================================================================== =========================
    ``total``               sum of :math:`I(x; z_i)` over latents, in bins                     high
    ``informative_latents`` number of latents with :math:`I(x; z_i)` above the threshold       the number of factors
    ``information``         :math:`I(x; z)` of all latents together                            high, at most ``log N``
    ``sep_mean``            mean of :math:`I(z_i; z_{\neq i})`                                 0
    ``wsepin``              what each latent alone tells, weighted by informativeness          high
    ``windin``              the same quantity in other terms, for factorised encoders          equal to ``wsepin``
    ``sepin_at_k``          what the ``top_k`` most informative latents alone tell, mean       high
    ``pairwise_mean``       mean :math:`I(z_i; z_j)` of pairs of latents                       0
    ``pairwise_max``        the largest                                                        0
    ``misjed_at_k``         mean MISJED of the ``top_k`` most informative latents, normalised  low
    ======================= ================================================================== =========================

    and the figures ``ranking`` (informativeness as bars, split into SEPIN and SEP), ``pairwise`` and ``misjed``.
    ``num_nonfinite`` counts posteriors that were left out, if there are any. With no more than three latents
    ``sepin_at_k`` is of all.

    The posteriors of at most ``max_rows`` data are kept, the same for any number of processes, and a padded sampler
    counts no row twice. Latents are taken in units of a Gaussian prior. Beside one encoding of the data the cost is
    about ``4 * num_queries * max_rows * latent_dim`` exponentials.

    Args:
        num_queries: how many latents are drawn to estimate separability.
        top_k: how many of the most informative latents ``sepin_at_k`` and MISJED are of.
        threshold: in nats; a latent that tells more is informative.
        max_rows: how many posteriors to keep at most.
        bounds: where the bins of informativeness and MISJED begin and end.
        num_bins: how many there are.
        standard_errors: log ``<key>_standard_error`` beside ``information`` and ``wsepin``.
        kwargs: as for :class:`~torchdisentangle.callbacks.evaluation.EvaluationCallback`: ``prefix``,
            ``every_n_epochs``, ``figures``, ``seed``, ``dataloader_idx``, ``input_key``, ``label_key``,
            ``latent_dim``, ``num_classes``.

    Raises:
        MisconfigurationException: for wrong settings, and before training if the model has no posterior.

    Example:
        >>> callback = InformativenessCallback(num_queries=512, threshold=0.05)
        >>> trainer = L.Trainer(callbacks=[callback], logger=False, accelerator="cpu", enable_progress_bar=False)
    """

    family = "informativeness"
    abilities = ("encode",)

    def __init__(
        self,
        num_queries: int = 1024,
        top_k: int = 3,
        threshold: float = 0.1,
        max_rows: int = 2**15,
        bounds: tuple[float, float] = (-4.0, 4.0),
        num_bins: int = 100,
        standard_errors: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if threshold < 0:
            raise MisconfigurationException(f"threshold must not be negative, got {threshold}")
        self.num_queries, self.top_k, self.threshold, self.max_rows = num_queries, top_k, threshold, max_rows
        self.bounds, self.num_bins, self.standard_errors = bounds, num_bins, standard_errors
        try:
            self._metrics = self._new_metrics()
        except ValueError as error:
            raise MisconfigurationException(str(error)) from error

    def rehearse_batch(self, trainer: L.Trainer, model: LatentModel, batch: Any) -> None:
        """Encode the first rows."""
        self._posteriors(model, batch, torch.arange(min(2, len(self.take(batch, self.input_key)))))

    def start(self, trainer: L.Trainer, model: LatentModel) -> None:
        """Reset."""
        self._metrics = self._new_metrics().to(trainer.strategy.root_device)
        self._rows = RowPositions(self.loader(trainer), trainer.global_rank, trainer.world_size)

    def on_batch(self, trainer: L.Trainer, model: LatentModel, batch: Any) -> None:
        """Add the posteriors of a batch."""
        positions = self._rows.next(len(self.take(batch, self.input_key)))
        rows = (positions >= 0).nonzero()[:, 0]
        if len(rows):
            mean, log_variance = self._posteriors(model, batch, rows)
            self._metrics.update(mean, log_variance, index=positions[rows].to(mean.device))

    def finish(self, trainer: L.Trainer) -> tuple[Mapping[str, Tensor], Mapping[str, Callable[[], Figure]]]:
        """Scalars and figures over all processes."""
        with self._metrics.reduced():
            count = self._separability.num_nonfinite
            lost = {"num_nonfinite": count.clone()} if count > 0 else {}
            if not self._separability.num_rows > 0:
                return lost, {}
            values = self._metrics.compute()
            errors = self._separability.standard_errors() if self.standard_errors else {}
            pairs, top = (metric.latents().tolist() for metric in (self._pairwise, self._misjed))
        binned = values["binned_informativeness"]
        scalars = {
            "total": binned.sum(),
            "informative_latents": informative_latents(binned, self.threshold).sum().double(),
            "sep_mean": values["sep"].mean(),
            **{name: values[name] for name in ("information", "wsepin", "windin", "sepin_at_k")},
        }
        if len(pairs) > 1:
            off_diagonal = _off_diagonal(values["pairwise"])
            scalars |= {"pairwise_mean": off_diagonal.mean(), "pairwise_max": off_diagonal.amax()}
        if len(top) > 1:
            scalars["misjed_at_k"] = _off_diagonal(values["misjed"]).mean()
        scalars |= {f"{name}_standard_error": errors[name] for name in ("information", "wsepin") if name in errors}
        return scalars | lost, self._figures(values, pairs, top)

    def _figures(
        self, values: Mapping[str, Tensor], pairs: list[int], top: list[int]
    ) -> dict[str, Callable[[], Figure]]:
        drawings: dict[str, Callable[[], Any]] = {
            "ranking": partial(
                plot_informativeness, values["informativeness"], values["sep"], threshold=self.threshold
            ),
        }
        if len(pairs) > 1:
            drawings["pairwise"] = partial(plot_independence, values["pairwise"], pairs)
        if len(top) > 1:
            drawings["misjed"] = partial(plot_independence, values["misjed"], top, label="MISJED (normalised)")
        return {name: lambda draw=draw: draw()[0] for name, draw in drawings.items()}  # type: ignore[misc]

    def _new_metrics(self) -> StatisticCollection:
        return informativeness_metrics(
            self.num_queries, self.top_k, self.max_rows, self.bounds, self.num_bins, seed=self.seed
        )

    def _posteriors(self, model: LatentModel, batch: Any, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Means and log-variances, in units of a Gaussian prior."""
        mean, log_variance = self.encode(model, batch, rows)
        if log_variance is None:
            raise TypeError(
                f"{type(model.module).__name__} encodes to points, and what they tell about the data is infinite: "
                "informativeness needs an encoder with a variance"
            )
        prior = model.prior
        if len(prior.loc) > 1 or prior.uniform.any():
            return mean, log_variance
        loc, scale = (value.detach()[0].to(mean) for value in (prior.loc, prior.scale))
        return (mean - loc) / scale, log_variance - 2 * scale.log()

    @property
    def _separability(self) -> Separability:
        return cast(Separability, self._metrics["separability"])

    @property
    def _pairwise(self) -> PairwiseMutualInformation:
        return cast(PairwiseMutualInformation, self._metrics["pairwise"])

    @property
    def _misjed(self) -> MISJED:
        return cast(MISJED, self._metrics["misjed"])


def _off_diagonal(matrix: Tensor) -> Tensor:
    return matrix[~torch.eye(len(matrix), dtype=torch.bool, device=matrix.device)]
