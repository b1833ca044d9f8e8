"""Scores of latents against known factors, in every validation epoch."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import lightning as L
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from torchmetrics import Metric
from typing_extensions import Unpack

from torchdisentangle.callbacks.checks import misconfiguration
from torchdisentangle.callbacks.evaluation import EvaluationCallback
from torchdisentangle.callbacks.settings import CallbackSettings
from torchdisentangle.evaluation import DisentanglementEvaluation, Evaluation
from torchdisentangle.evaluation.rows import Columns
from torchdisentangle.supervised import default_scores


class DisentanglementCallback(EvaluationCallback):
    r"""Logs how well a model's latents correspond to known factors of the data.

    In every validation epoch the callback encodes the validation data and logs, under ``<prefix>/disentanglement/``,
    the quick scores of :func:`~torchdisentangle.supervised_metrics`, or those that you name in ``metrics``. Scores that
    fit predictors to the rows follow on a schedule of their own. Ideally all of them are 1, except JEMMIG in nats; see
    :mod:`torchdisentangle.supervised` for what each means and what noise scores. Figures are
    ``latents_against_factors``, ``mutual_information``, heatmaps of the scores that have one (``sap_matrix``,
    ``dci_matrix``, ...), and with ``intervals`` ``scores``, all with their error bars.

    Scores of interventions (``irs``, ``factor_vae``, ``beta_vae``, ``z_max``) need groups of rows that agree in a
    factor. If the validation data set is a :class:`~torchdisentangle.datasets.FactorDataset` (or a
    :class:`~torch.utils.data.Subset` of one) and the batches hold its factors, these scores get images of their own
    from it, with independent factors over the whole grid. Otherwise they use the validation rows.

    An evaluation encodes the validation data and ``sampler_rows`` rendered images once, and computes the scores.
    Several processes log the values that one would, and training stays bitwise the same.

    Args:
        metrics: names of scores, or metrics whose ``update`` takes ``codes`` and ``factors``, and by keyword any of
            ``log_variance`` and ``index``; by default the quick ones.
        slow_metrics: likewise, but computed only at every ``slow_every``-th evaluation; by default those that need
            scikit-learn.
        slow_every: how often in a fit; ``None``: never. Validate and test always compute them.
        factors: where the factors are in a batch, ``(n, F)`` or ``(n,)``: a position, a key or an attribute (dotted:
            ``"meta.factors"``), also of a mapping of factors; a list of these, one for each column; or a function of
            the batch.
        factor_names: of the factors; by default those of the data set, if it has any.
        continuous: columns of the factors that are real numbers; ``True``: all.
        codes: ``"mean"`` of the posteriors, or a ``"sample"`` of each, with noise that belongs to the row.
        max_rows: how many rows the scores that need rows keep, a uniform sample.
        sampler_rows: how many images the data set renders for the scores of interventions; 0: use validation rows.
        seed: of the sample, and of what is drawn or fitted.
        intervals: whether to log the ends of 95 % confidence intervals too, as ``<key>_low`` and ``<key>_high``:
            ``True`` those of counts and moments, IRS and the FactorVAE score, at up to three times their cost;
            ``"all"`` also those of scores that are computed anew from rows, each twenty times.
        settings: of :class:`EvaluationCallback`, such as ``every_n_epochs`` and ``input_key``.

    Raises:
        MisconfigurationException: for wrong settings, and before training if the model cannot encode.

    Example:
        >>> callback = DisentanglementCallback(["sap", "irs"], slow_metrics=["dci"], slow_every=5)
        >>> trainer = L.Trainer(callbacks=[callback], logger=False, accelerator="cpu", enable_progress_bar=False)
    """

    def __init__(
        self,
        metrics: list[str | Metric] | None = None,
        slow_metrics: list[str | Metric] | None = None,
        slow_every: int | None = None,
        factors: Columns = 1,
        factor_names: list[str] | None = None,
        continuous: bool | list[int] = False,
        codes: Literal["mean", "sample"] = "mean",
        max_rows: int = 10_000,
        sampler_rows: int = 4096,
        seed: int = 0,
        intervals: bool | Literal["all"] = False,
        **settings: Unpack[CallbackSettings],
    ) -> None:
        if slow_every is not None and slow_every < 1:
            raise MisconfigurationException(f"slow_every must be at least 1, got {slow_every}")
        self.metrics = metrics
        self.slow_metrics = slow_metrics
        self.slow_every = slow_every
        self._quick: list[str | Metric] = list(default_scores("quick") if metrics is None else metrics)
        slow: list[str | Metric] = list(default_scores("slow") if slow_metrics is None else slow_metrics)
        with misconfiguration():
            evaluation = DisentanglementEvaluation(
                [*self._quick, *(slow if slow_every else [])],
                factors,
                factor_names,
                continuous,
                codes,
                max_rows,
                sampler_rows,
                seed,
                intervals,
            )
        super().__init__(evaluation, **settings)

    def evaluation_now(self, trainer: L.Trainer, evaluation: Evaluation) -> Evaluation:
        """Without the slow scores where they are not due."""
        assert isinstance(evaluation, DisentanglementEvaluation)
        due = self.slow_every and (trainer.state.fn != "fit" or self.num_evaluations % self.slow_every == 0)
        return evaluation if due else replace(evaluation, metrics=self._quick)
