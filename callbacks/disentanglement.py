"""Scores of latents against known factors, in every validation epoch."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Literal

import lightning as L
import torch
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from matplotlib.figure import Figure
from torch import Tensor
from torch.utils.data import Subset
from torchmetrics import Metric
from torchmetrics.utilities import rank_zero_warn

from torchdisentangle.callbacks.evaluation import EvaluationCallback
from torchdisentangle.callbacks.rows import RowPositions
from torchdisentangle.datasets import FactorDataset, intervention_factors
from torchdisentangle.functional.row_hash import hashed_normal
from torchdisentangle.models import LatentModel
from torchdisentangle.statistics import StatisticCollection
from torchdisentangle.supervised import CodeFactorSample
from torchdisentangle.supervised.collection import QUICK, SLOW, supervised_metrics
from torchdisentangle.supervised.factor_scores import FactorScores
from torchdisentangle.supervised.row_metric import Rows

_AT_ONCE = 256  # rendered images that are encoded together
_SAMPLE = "rows"  # the member that keeps rows for the figure
_SAME_PIXELS = 1e-3


class DisentanglementCallback(EvaluationCallback):
    r"""Watches how well a model's latents correspond to known factors of the data.

    In every validation epoch the validation data are encoded, and logged are, under ``<prefix>/disentanglement/``, the
    scores ``mig``, ``mig_sup``, ``dcimig``, ``modularity``, ``jemmig``, ``sap``, ``irs`` and ``factor_vae``, or those
    that ``metrics`` names; and on a schedule of their own those that fit predictors to the rows. Ideal is 1 for all;
    see :mod:`torchdisentangle.supervised` for what each means and where it starts. Figures are
    ``latents_against_factors``, ``mutual_information``, and heatmaps of the scores that have one (``sap_matrix``,
    ``dci_matrix``, ...).

    Scores of interventions (``irs``, ``factor_vae``, ``beta_vae``, ``z_max``) need groups of rows that agree in a
    factor. If the validation data set is a :class:`~torchdisentangle.datasets.FactorDataset` (or a
    :class:`~torch.utils.data.Subset` of one) whose factors the batches hold, they get images of their own from it,
    with independent factors, of the whole grid; else they use the validation rows.

    The cost is one more encoding of the validation data, that of ``sampler_rows`` rendered images, and the scores'
    own. Values are those of one process, however many there are. Nothing about the training changes.

    Args:
        metrics: names of scores, see :data:`torchdisentangle.supervised.collection.SCORES`, or metrics whose ``update``
            takes some of ``codes``, ``factors``, ``mean``, ``log_variance`` and ``index``; by default the quick ones.
        slow_metrics: the same, evaluated only at every ``slow_every`` evaluations; by default ``dci``,
            ``explicitness``, ``discrete_sap`` and ``beta_vae``. These need scikit-learn.
        slow_every: how often in a fit, always in validate and test; ``None``: never.
        factors: where the factors are in a batch, ``(n, F)`` or ``(n,)``: a position, a key, or a function of the
            batch.
        factor_names: of the factors; by default those of the data set, if it has any.
        continuous: columns of the factors that are real numbers; ``True``: all.
        codes: ``"mean"`` of the posteriors, or a ``"sample"`` of each, with noise that belongs to the row.
        max_rows: how many rows the scores that need rows keep, a uniform sample.
        sampler_rows: how many images the data set renders for the scores of interventions; 0: use validation rows.
        kwargs: as for :class:`~torchdisentangle.callbacks.evaluation.EvaluationCallback`: ``prefix``,
            ``every_n_epochs``, ``figures``, ``seed``, ``dataloader_idx``, ``input_key``, ``label_key``,
            ``latent_dim``, ``num_classes``.

    Raises:
        MisconfigurationException: for wrong settings, and before training if the model cannot encode.

    Example:
        >>> callback = DisentanglementCallback(["sap", "irs"], slow_metrics=["dci"], slow_every=5)
        >>> trainer = L.Trainer(callbacks=[callback], logger=False, accelerator="cpu", enable_progress_bar=False)
    """

    family = "disentanglement"

    def __init__(
        self,
        metrics: list[str | Metric] | None = None,
        slow_metrics: list[str | Metric] | None = None,
        slow_every: int | None = None,
        factors: int | str | Callable[[Any], Tensor] = 1,
        factor_names: list[str] | None = None,
        continuous: bool | list[int] = False,
        codes: Literal["mean", "sample"] = "mean",
        max_rows: int = 10_000,
        sampler_rows: int = 4096,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if codes not in ("mean", "sample"):
            raise MisconfigurationException(f"codes must be 'mean' or 'sample', got {codes!r}")
        if slow_every is not None and slow_every < 1:
            raise MisconfigurationException(f"slow_every must be at least 1, got {slow_every}")
        if max_rows < 1 or sampler_rows < 0:
            raise MisconfigurationException(f"max_rows and sampler_rows cannot be {max_rows} and {sampler_rows}")
        self.metrics: list[str | Metric] = list(QUICK if metrics is None else metrics)
        self.slow_metrics: list[str | Metric] = list(SLOW if slow_metrics is None else slow_metrics)
        self.slow_every, self.factors, self.factor_names = slow_every, factors, factor_names
        self.continuous, self.codes = continuous, codes
        self.max_rows, self.sampler_rows = max_rows, sampler_rows
        self._from_rows = self._from_sampler = StatisticCollection({})
        self._dataset: FactorDataset | None = None
        self._names, self._draws, self._like = factor_names, False, torch.empty(0)

    @property
    def abilities(self) -> tuple[str, ...]:
        """Encoding."""
        return ("encode",)

    def rehearse(self, trainer: L.Trainer, model: LatentModel) -> None:
        """Make the metrics, the slow ones too."""
        self._build([*self.metrics, *(self.slow_metrics if self.slow_every else [])], sampling=False)

    def rehearse_batch(self, trainer: L.Trainer, model: LatentModel, batch: Any) -> None:
        """Encode a batch and look at its factors."""
        self._begin(trainer, model)
        self._update(model, batch, torch.arange(len(self.take(batch, self.input_key))))

    def start(self, trainer: L.Trainer, model: LatentModel) -> None:
        """Reset, and encode this process's share of the images that the data set renders."""
        self._begin(trainer, model)
        self._rows = RowPositions(self.loader(trainer), trainer.global_rank, trainer.world_size)
        if self._dataset is not None and len(self._from_sampler):
            generator = torch.Generator().manual_seed(self.seed)
            factors = intervention_factors(self._dataset, self.sampler_rows, generator=generator)
            share = torch.arange(len(factors))[trainer.global_rank :: trainer.world_size]
            for index in share.split(_AT_ONCE):
                images = self._dataset.render(factors[index])
                encoded = self._encode(model, images.to(self._like.device), None, index)
                self._from_sampler.update(factors=factors[index].to(self._like.device), **encoded)

    def on_batch(self, trainer: L.Trainer, model: LatentModel, batch: Any) -> None:
        """Encode the rows of a batch."""
        first = self._rows.seen == 0
        self._update(model, batch, self._rows.next(len(self.take(batch, self.input_key))))
        if first and self._dataset is not None:
            self._compare(batch, self._dataset)

    def finish(self, trainer: L.Trainer) -> tuple[Mapping[str, Tensor], Mapping[str, Callable[[], Figure]]]:
        """Scores and figures over all processes."""
        scalars: dict[str, Tensor] = {}
        figures: dict[str, Callable[[], Any]] = {}
        for collection in (self._from_rows, self._from_sampler):
            if not len(collection):
                continue
            with collection.reduced():
                for name, metric in collection.items(keep_base=True, copy_state=False):
                    try:
                        self._read(name, metric, scalars, figures)
                    except Exception as error:  # one score that cannot be had must not take the others with it
                        warnings.warn(f"{name} could not be computed: {error}", UserWarning, stacklevel=2)
        return scalars, {name: lambda draw=draw: draw()[0] for name, draw in figures.items()}

    def _read(self, name: str, metric: Any, scalars: dict[str, Tensor], figures: dict[str, Callable[[], Any]]) -> None:
        value = metric.compute()
        if isinstance(value, Rows):
            figures["latents_against_factors"] = partial(metric.plot, value)
            return
        if isinstance(value, Tensor) and value.ndim == 2 and self._draws:
            figures[name] = partial(metric.plot, value)
        found = value if isinstance(value, Mapping) else {name: value}
        scalars |= {key: number for key, number in found.items() if number.numel() == 1}
        if int(getattr(metric, "num_nonfinite", 0)):
            scalars["num_nonfinite"] = metric.num_nonfinite
        has_matrix = isinstance(metric, FactorScores) and hasattr(metric, "matrix")
        if self._draws and has_matrix:
            figures[f"{name}_matrix"] = partial(metric.plot, metric.matrix())

    def _begin(self, trainer: L.Trainer, model: LatentModel) -> None:
        parameters = (parameter for parameter in model.module.parameters() if parameter.is_floating_point())
        self._like = next(parameters, torch.empty(0, device=trainer.strategy.root_device))
        dataset = _factor_dataset(getattr(self.loader(trainer), "dataset", None))
        own = None if dataset is None or callable(self.factors) else list(dataset.factor_names)
        self._names = self.factor_names or own
        usable = own is not None and len(self._names or []) == len(own) and model.num_classes is None
        self._dataset = dataset if usable and self.sampler_rows else None
        self._draws = bool(self.figures) and self._evaluations % max(self.figures, 1) == 0
        slow = self.slow_every and (trainer.state.fn != "fit" or self._evaluations % self.slow_every == 0)
        self._build([*self.metrics, *(self.slow_metrics if slow else [])], sampling=self._dataset is not None)

    def _build(self, chosen: Sequence[str | Metric], sampling: bool) -> None:
        """The metrics that read validation rows, and those that read rendered images."""
        settings: dict[str, Any] = {
            "max_rows": self.max_rows,
            "continuous": self.continuous,
            "factor_names": self._names,
            "seed": self.seed,
        }
        named = supervised_metrics([metric for metric in chosen if isinstance(metric, str)], **settings)
        members: dict[str, Any] = {str(name): metric for name, metric in named.items(copy_state=False)}
        for metric in chosen:
            if isinstance(metric, Metric):
                name = _snake(type(metric).__name__)
                if name in members:
                    raise ValueError(f"two metrics would be logged as {name!r}")
                members[name] = metric.clone()
                members[name].reset()
        sampled = {name for name, metric in members.items() if sampling and getattr(metric, "interventional", False)}
        from_rows = {name: metric for name, metric in members.items() if name not in sampled}
        if self.figures:
            from_rows[_SAMPLE] = CodeFactorSample(**settings)
        from_sampler = {name: metric for name, metric in members.items() if name in sampled}
        self._from_rows = StatisticCollection(from_rows).to(self._like.device)
        self._from_sampler = StatisticCollection(from_sampler).to(self._like.device)

    def _update(self, model: LatentModel, batch: Any, positions: Tensor) -> None:
        x, factors = self.take(batch, self.input_key), self._take_factors(batch)
        rows = (positions >= 0).nonzero()[:, 0].to(x.device)
        if len(rows) == 0:
            return
        labels = None if model.num_classes is None else self.take(batch, self.label_key)[rows]
        index = positions[positions >= 0]
        encoded = self._encode(model, x[rows], labels, index)
        self._from_rows.update(factors=factors[rows.to(factors.device)].to(self._like.device), **encoded)

    def _encode(self, model: LatentModel, x: Tensor, labels: Tensor | None, index: Tensor) -> dict[str, Tensor]:
        """Codes by the names of update's arguments; the posteriors too, if the codes are their means."""
        posterior = model.encode(x.to(self._like) if x.is_floating_point() else x, labels)
        index = index.to(self._like.device)
        if self.codes == "sample":
            noise = hashed_normal(index, model.latent_dim, self.seed).to(posterior.mean)
            return {"codes": posterior.sample(noise), "index": index}
        encoded = {"codes": posterior.mean, "mean": posterior.mean, "index": index}
        return encoded if posterior.log_variance is None else {**encoded, "log_variance": posterior.log_variance}

    def _take_factors(self, batch: Any) -> Tensor:
        factors = self.factors(batch) if callable(self.factors) else self.take(batch, self.factors)
        return factors[:, None] if factors.ndim == 1 else factors

    def _compare(self, batch: Any, dataset: FactorDataset) -> None:
        """Warn if the images in the batches are not those that the data set renders."""
        seen, factors = self.take(batch, self.input_key)[:1], self._take_factors(batch)[:1]
        try:
            rendered = dataset.render(factors.long().cpu()).to(seen.device)
        except ValueError:  # other factors
            rendered = torch.empty(0)
        if rendered.shape != seen.shape or not torch.allclose(rendered, seen.to(rendered), atol=_SAME_PIXELS):
            rank_zero_warn(
                "the data set renders other images, or of other factors, than the batches hold, so the scores of "
                "interventions are not of what the model is given: set sampler_rows=0 to take validation rows instead",
                UserWarning,
            )


def _factor_dataset(dataset: Any) -> FactorDataset | None:
    while isinstance(dataset, Subset):
        dataset = dataset.dataset
    return dataset if isinstance(dataset, FactorDataset) else None


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()
