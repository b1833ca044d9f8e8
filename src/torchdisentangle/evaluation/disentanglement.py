"""Scores of latents against known factors."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor
from torch.utils.data import Subset
from torchmetrics import Metric, MetricCollection
from torchmetrics.utilities import rank_zero_warn

from torchdisentangle.datasets import FactorDataset, intervention_factors
from torchdisentangle.evaluation.base import Context, Evaluation, Goal, Pass
from torchdisentangle.evaluation.place import Place
from torchdisentangle.evaluation.report import Report, draws
from torchdisentangle.evaluation.rows import Columns, Rows
from torchdisentangle.evaluation.scores import read_score, with_scores_figure
from torchdisentangle.functional.row_hash import hashed_normal
from torchdisentangle.latent_model import LatentModel, Posterior
from torchdisentangle.statistics import StatisticCollection
from torchdisentangle.supervised import CodeFactorSample, SupervisedScore, default_scores, supervised_metrics

_AT_ONCE = 256  # rendered images that are encoded together
_SAMPLE = "rows"  # the member that keeps rows for the figure
_SAME_PIXELS = 1e-3
_HEADLINES: Mapping[str, Goal] = dict.fromkeys(("mig", "sap", "modularity", "mcc", "dcimig"), "max")


@dataclass(frozen=True)
class DisentanglementEvaluation(Evaluation):
    """How well latents correspond to known factors of the data.

    Args:
        metrics: names of scores, or metrics whose ``update`` takes ``codes``, ``factors`` and by keyword any of
            ``log_variance`` and ``index``; ``None``: the quick ones.
        factors: where the factors are in a batch, ``(n, F)`` or ``(n,)``: a position, a key or an attribute (dotted:
            ``"meta.factors"``), also of a mapping of factors; a list of these, one for each column; or a function of
            the batch.
        factor_names: of the factors; by default those of the data set, if it has any.
        continuous: columns of the factors that are real numbers; ``True``: all.
        codes: ``"mean"`` of the posteriors, or a ``"sample"`` of each, with noise that belongs to the row.
        max_rows: how many rows the scores that need rows keep, a uniform sample.
        sampler_rows: how many images the data set renders for the scores of interventions; 0: use the given rows.
        seed: of the sample, and of what is drawn or fitted.
        intervals: whether to report the ends of 95 % confidence intervals too, as ``<name>_low`` and ``<name>_high``:
            ``True`` those of counts and moments, IRS and the FactorVAE score, at up to three times their cost;
            ``"all"`` also those of scores that are computed anew from rows, each twenty times.

    Raises:
        ValueError: for wrong settings.

    Example:
        >>> DisentanglementEvaluation(["mig", "sap"]).abilities
        ('encode',)
    """

    family: ClassVar[str] = "disentanglement"

    metrics: Sequence[str | Metric] | None = None
    factors: Columns = 1
    factor_names: Sequence[str] | None = None
    continuous: bool | Sequence[int] = False
    codes: Literal["mean", "sample"] = "mean"
    max_rows: int = 10_000
    sampler_rows: int = 4096
    seed: int = 0
    intervals: bool | Literal["all"] = False

    def __post_init__(self) -> None:
        if self.codes not in ("mean", "sample"):
            raise ValueError(f"codes must be 'mean' or 'sample', got {self.codes!r}")
        if self.intervals not in (True, False, "all"):
            raise ValueError(f"intervals must be True, False or 'all', got {self.intervals!r}")
        if self.max_rows < 1 or self.sampler_rows < 0:
            raise ValueError(f"max_rows and sampler_rows cannot be {self.max_rows} and {self.sampler_rows}")
        self.scores()

    @property
    def headlines(self) -> Mapping[str, Goal]:
        """The values to look at first."""
        wanted = list(default_scores("quick") if self.metrics is None else self.metrics)
        few = len(wanted) <= len(_HEADLINES)
        return {} if few else {name: goal for name, goal in _HEADLINES.items() if name in wanted}

    @property
    def abilities(self) -> tuple[str, ...]:
        """Encoding."""
        return ("encode",)

    def begin(self, model: LatentModel, place: Place, context: Context) -> DisentanglementPass:
        """Begin a pass."""
        return DisentanglementPass(self, model, place, context)

    def scores(self) -> dict[str, Metric | MetricCollection]:
        """New metrics by the names under which they are reported."""
        wanted = default_scores("quick") if self.metrics is None else self.metrics
        fresh = [metric if isinstance(metric, str) else metric.clone() for metric in wanted]
        for metric in fresh:
            if isinstance(metric, Metric):
                metric.reset()
        members = supervised_metrics(
            fresh,
            max_rows=self.max_rows,
            continuous=self.continuous,
            factor_names=self.factor_names,
            seed=self.seed,
        )
        return {str(name): metric for name, metric in members.items(copy_state=False)}

    def sample(self) -> CodeFactorSample:
        """The rows themselves, for the figure."""
        return CodeFactorSample(
            max_rows=self.max_rows, continuous=self.continuous, factor_names=self.factor_names, seed=self.seed
        )


class DisentanglementPass(Pass):
    """One evaluation of :class:`DisentanglementEvaluation`.

    If the rows come from a :class:`~torchdisentangle.datasets.FactorDataset` and the batches hold its factors, the
    scores of interventions get images of their own from it.
    """

    def __init__(
        self, evaluation: DisentanglementEvaluation, model: LatentModel, place: Place, context: Context
    ) -> None:
        dataset = factor_dataset(context.dataset)
        own = None if dataset is None or callable(evaluation.factors) else tuple(dataset.factor_names)
        names = evaluation.factor_names or _names(evaluation.factors) or own
        usable = own is not None and names is not None and len(names) == len(own) and model.num_classes is None
        evaluation = replace(evaluation, factor_names=names)
        self.evaluation = evaluation
        self.model = model
        self.place = place
        self.draws: bool = context.figures
        self.dataset: FactorDataset | None = dataset if usable and evaluation.sampler_rows else None
        scores = evaluation.scores()
        sampled = {name for name, score in scores.items() if self.dataset is not None and is_interventional(score)}
        from_rows = {name: score for name, score in scores.items() if name not in sampled}
        if self.draws:
            from_rows[_SAMPLE] = evaluation.sample()
        self.from_rows: StatisticCollection = StatisticCollection(from_rows).to(place.device)
        self.from_sampler: StatisticCollection = StatisticCollection({name: scores[name] for name in sampled}).to(
            place.device
        )
        self._compared = self.dataset is None

    def start(self) -> None:
        """Encode this process's share of the images that the data set renders."""
        if self.dataset is None or not len(self.from_sampler):
            return
        generator = torch.Generator().manual_seed(self.evaluation.seed)
        factors = intervention_factors(self.dataset, self.evaluation.sampler_rows, generator=generator)
        share = torch.arange(len(factors))[self.place.share]
        like = self.model.like
        for index in share.split(_AT_ONCE):
            images = self.dataset.render(factors[index]).to(like.device)
            posterior = self.model.encode(images.to(like) if images.is_floating_point() else images)
            data = images if needs_data(self.from_sampler) else None
            self._update(self.from_sampler, posterior, factors[index], index, data)

    def add(self, rows: Rows) -> None:
        """Add the codes of rows with their factors."""
        factors = self._factors(rows)
        self._compare(rows, factors)
        data = rows.take(rows.input_key) if needs_data(self.from_rows) else None
        self._update(self.from_rows, Posterior(rows.mean, rows.log_variance), factors, rows.index, data)

    def finish(self) -> Report:
        """Scores and figures over all processes."""
        reports, metrics, num_rows, num_lost = [], {}, 0, 0
        for collection in (self.from_rows, self.from_sampler):
            if not len(collection):
                continue
            with collection.reduced():
                for name, metric in collection.items(keep_base=True, copy_state=False):
                    metrics[str(name)] = metric
                    try:
                        reports.append(self._read(str(name), metric))
                    except Exception as error:  # one score that cannot be had must not take the others with it
                        warnings.warn(f"{name} could not be computed: {error}", UserWarning, stacklevel=2)
                    num_rows = max(num_rows, int(getattr(metric, "num_seen", 0)))
                    num_lost = max(num_lost, int(getattr(metric, "num_nonfinite", 0)))
        lost = Report({"num_nonfinite": num_lost} if num_lost else {}, num_rows=num_rows)
        found = Report.joined(*reports, lost)
        return with_scores_figure(found, metrics) if self.draws else found

    def _read(self, name: str, metric: Any) -> Report:
        if isinstance(metric, CodeFactorSample):
            return Report(figures=draws({"latents_against_factors": partial(metric.plot, metric.compute())}))
        return read_score(name, metric, level=0.95 if self._wants_interval(metric) else None)

    def _wants_interval(self, metric: Any) -> bool:
        wanted = self.evaluation.intervals
        return wanted == "all" or (bool(wanted) and isinstance(metric, SupervisedScore) and metric.has_quick_interval)

    def _update(
        self,
        collection: StatisticCollection,
        posterior: Posterior,
        factors: Tensor,
        index: Tensor,
        data: Tensor | None,
    ) -> None:
        device = posterior.mean.device
        index = index.to(device)
        codes, log_variance = posterior.mean, posterior.log_variance
        if self.evaluation.codes == "sample":
            codes = posterior.sample(hashed_normal(index, codes.shape[1], self.evaluation.seed).to(codes))
            log_variance = None
        given = {"index": index, "log_variance": log_variance, "data": data}
        given = {name: value for name, value in given.items() if value is not None}
        collection.update(codes, factors.to(device), **given)

    def _factors(self, rows: Rows) -> Tensor:
        factors = rows.take(self.evaluation.factors)
        return factors[:, None] if factors.ndim == 1 else factors

    def _compare(self, rows: Rows, factors: Tensor) -> None:
        """Warn if the images in the batches are not those that the data set renders."""
        if self._compared or self.dataset is None:
            return
        self._compared = True
        seen = rows.take(rows.input_key)[:1]
        try:
            rendered = self.dataset.render(factors[:1].long().cpu()).to(seen.device)
        except ValueError:  # other factors
            rendered = torch.empty(0)
        if rendered.shape != seen.shape or not torch.allclose(rendered, seen.to(rendered), atol=_SAME_PIXELS):
            rank_zero_warn(
                "the data set renders other images, or of other factors, than the batches hold, so the scores of "
                "interventions are not of what the model is given: set sampler_rows=0 to take validation rows instead",
                UserWarning,
            )


def _names(factors: Columns) -> list[str] | None:
    """The names of the factors, if each is taken by its key."""
    if not isinstance(factors, list) or not all(isinstance(key, str) for key in factors):
        return None
    return [str(key).rpartition(".")[2] for key in factors]


def factor_dataset(dataset: Any) -> FactorDataset | None:
    """The factor data set that a data set is, or is a subset of."""
    while isinstance(dataset, Subset):
        dataset = dataset.dataset
    return dataset if isinstance(dataset, FactorDataset) else None


def is_interventional(metric: Metric | MetricCollection) -> bool:
    """Whether a score is about interventions, so wants rows of independent factors, by design if it can be."""
    return isinstance(metric, SupervisedScore) and "interventions" in metric.needs


def needs_data(metrics: StatisticCollection) -> bool:
    """Whether one of the scores compares distances between data."""
    return any(isinstance(one, SupervisedScore) and "data" in one.needs for one in metrics.values(copy_state=False))
