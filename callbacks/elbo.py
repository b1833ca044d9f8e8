"""The KL divergence of the encoder taken apart, in every validation epoch."""

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
from torchdisentangle.elbo import CodeMutualInformation, ELBODecomposition, elbo_metrics
from torchdisentangle.functional.elbo.decomposition import ELBOTerms
from torchdisentangle.models import LatentModel
from torchdisentangle.plots import plot_elbo_decomposition, plot_latent_kl, plot_pairwise

_LARGEST_TABLE = 2**27  # bytes that the counts of all pairs of codes may take


class ELBODecompositionCallback(EvaluationCallback):
    r"""Watches how an encoder spends its KL divergence, and how dependent its latents are. Needs no factors.

    .. math:: \mathbb{E}_x \mathrm{KL}(q(z \mid x) \,\|\, p(z)) = I(x; z) + \mathrm{TC} + \mathrm{DWKL}

    In every validation epoch all validation data are encoded, and logged are, under ``<prefix>/elbo/``:

    ==================================== =========================================================== ===========
    key                                  meaning                                                     ideal
    ==================================== =========================================================== ===========
    ``kl``                               KL divergence from the prior, nats
    ``mutual_information``               between data points and latents, nats; at most ``log N``
    ``total_correlation``                how far the latents are from independent, nats              0
    ``dimension_wise_kl``                how far each latent is from its prior, nats                 0
    ``active_units``                     number of latents whose posterior mean depends on the data
    ``gaussian_total_correlation``       of the posterior means' covariance, nats                    0
    ``gaussian_wasserstein_correlation`` of the posterior means' covariance, normalised              0
    ``code_mutual_information``          mean over pairs of binned posterior means, nats             0
    ==================================== =========================================================== ===========

    and the figures ``decomposition``, ``latent_kl`` and ``code_pairs``; ``num_nonfinite`` counts rows left out, if
    there are any. The first three terms add to ``kl``; they are those of the aggregate posterior, without minibatch
    approximations.

    The encoder runs once more over the validation data; the terms cost ``num_queries * N * d`` exponentials, seconds
    for 20,000 rows, shared out over processes. The values are those of one process. Nothing about the training changes.

    Args:
        num_queries: latents whose density is taken; standard errors fall with its square root.
        max_rows: how many posteriors to keep at most; with more data the aggregate posterior is that of a uniform
            sample of them.
        active_threshold: a latent is active if its posterior mean varies by more than this.
        num_bins: bins of ``code_mutual_information``, quantiles of the prior. It is left out where its table of
            ``(num_bins * d) ** 2`` counts would take more than 128 MiB.
        standard_errors: log ``<key>_standard_error`` beside the three terms.
        kwargs: as for :class:`~torchdisentangle.callbacks.evaluation.EvaluationCallback`: ``prefix``,
            ``every_n_epochs``, ``figures``, ``seed``, ``dataloader_idx``, ``input_key``, ``label_key``,
            ``latent_dim``, ``num_classes``.

    Raises:
        MisconfigurationException: for wrong settings; before training if the model has no encoder, or a prior that is
            not Gaussian or differs between classes; at the first batch if the encoder gives no variance.

    Example:
        >>> callback = ELBODecompositionCallback(num_queries=256, figures=5)
        >>> trainer = L.Trainer(callbacks=[callback], logger=False, accelerator="cpu", enable_progress_bar=False)
    """

    family = "elbo"

    def __init__(
        self,
        num_queries: int = 1024,
        max_rows: int = 2**15,
        active_threshold: float = 1e-2,
        num_bins: int = 20,
        standard_errors: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.num_queries, self.max_rows = num_queries, max_rows
        self.active_threshold, self.num_bins, self.standard_errors = active_threshold, num_bins, standard_errors
        try:
            self._metrics = self._new_metrics(1)
        except ValueError as error:
            raise MisconfigurationException(str(error)) from error

    @property
    def abilities(self) -> tuple[str, ...]:
        """Encoding."""
        return ("encode",)

    def rehearse(self, trainer: L.Trainer, model: LatentModel) -> None:
        """Look at the prior."""
        if len(model.prior.loc) > 1 or model.prior.uniform.any():
            raise ValueError("the ELBO decomposition needs a Gaussian prior that is the same for all classes")

    def rehearse_batch(self, trainer: L.Trainer, model: LatentModel, batch: Any) -> None:
        """Encode the first data points of a batch."""
        self.start(trainer, model)
        size = len(self.take(batch, self.input_key))
        self._update(model, batch, torch.arange(size).masked_fill(torch.arange(size) > 1, -1))

    def start(self, trainer: L.Trainer, model: LatentModel) -> None:
        """Reset."""
        self._metrics = self._new_metrics(model.latent_dim).to(trainer.strategy.root_device)
        self._rows = RowPositions(self.loader(trainer), trainer.global_rank, trainer.world_size)

    def on_batch(self, trainer: L.Trainer, model: LatentModel, batch: Any) -> None:
        """Add the posteriors of a batch."""
        self._update(model, batch, self._rows.next(len(self.take(batch, self.input_key))))

    def finish(self, trainer: L.Trainer) -> tuple[Mapping[str, Tensor], Mapping[str, Callable[[], Figure]]]:
        """Scalars and figures over all processes."""
        decomposition = cast(ELBODecomposition, self._metrics["decomposition"])
        with self._metrics.reduced():
            lost = decomposition.num_nonfinite
            counts = {"num_nonfinite": lost} if lost > 0 else {}
            if not decomposition.num_rows > 0:
                return counts, {}
            values = self._metrics.compute()
            errors = decomposition.standard_error()
            kl, active = decomposition.latent_kl(), decomposition.mean_variance() > self.active_threshold
            pairs = None
            if "code_mutual_information" in values:
                pairs = cast(CodeMutualInformation, self._metrics["code_mutual_information"]).pairwise()
        scalars = {name: value for name, value in values.items() if name != "latent_kl"} | counts
        if self.standard_errors:
            scalars |= {f"{name}_standard_error": error for name, error in errors.items()}
        terms = {name: values[name] for name in (*ELBOTerms._fields, "kl")}
        figures: dict[str, Callable[[], Any]] = {
            "decomposition": partial(plot_elbo_decomposition, terms, errors),
            "latent_kl": partial(plot_latent_kl, kl, active),
        }
        if pairs is not None and len(pairs) > 1:
            figures["code_pairs"] = partial(plot_pairwise, pairs, label="mutual information (nats)")
        return scalars, {name: lambda draw=draw: draw()[0] for name, draw in figures.items()}

    def _new_metrics(self, latent_dim: int) -> Any:
        fits = 8 * (self.num_bins * latent_dim) ** 2 <= _LARGEST_TABLE
        return elbo_metrics(
            self.num_queries, self.max_rows, self.active_threshold, self.num_bins if fits else None, self.seed
        )

    def _update(self, model: LatentModel, batch: Any, positions: Tensor) -> None:
        rows = (positions >= 0).nonzero()[:, 0]
        if len(rows) == 0:
            return
        posterior = self.encode(model, batch, rows)
        if posterior.log_variance is None:
            raise TypeError(
                f"the encoder of {type(model.module).__name__} gives no variance, and the ELBO decomposition is about "
                "Gaussian posteriors: return a pair (mean, log_variance)"
            )
        loc, scale = (value.detach()[0].to(posterior.mean) for value in (model.prior.loc, model.prior.scale))
        mean = (posterior.mean - loc) / scale  # all terms are the same in units of the prior
        log_variance = posterior.log_variance - 2 * scale.log()
        self._metrics.update(mean=mean, log_variance=log_variance, codes=mean, index=positions[rows].to(mean.device))
