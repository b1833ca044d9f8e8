"""Every score of a model, with its interval where it has one, and the processor time that both took."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import torch
from settings import Images
from torch import Tensor
from torch.utils.data import DataLoader

from torchdisentangle import IOSS, Report, evaluate
from torchdisentangle.datasets import intervention_factors
from torchdisentangle.evaluation import ELBOEvaluation, Evaluation, ManifoldEvaluation, TopologyEvaluation, score
from torchdisentangle.models import VAE
from torchdisentangle.similarity import BhattacharyyaFingerprint, Fingerprint
from torchdisentangle.supervised import registered_scores

SLOW_ROWS = 600
INTERVENTION_ROWS = 1024
OF_POSTERIORS = {"max_rows": SLOW_ROWS, "num_queries": 256}
OWN_SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "dci": {"num_trees": 5},
    "dci_es": {"max_features": 64},
    "beta_vae": {"num_groups": 500},
    "snc": {"max_rows": 2000},
    "downstream": {"predictor": "tree"},
    "nk": {"predictor": "tree"},
    "strong_generalization_gap": {"predictor": "tree", "num_repeats": 5, "max_rows": INTERVENTION_ROWS},
    "unfairness": {"predictor": "tree", "test_fraction": 0.5, "max_rows": INTERVENTION_ROWS},
    "posterior_mig": OF_POSTERIORS,
    "posterior_minimality": OF_POSTERIORS,
    "posterior_sufficiency": OF_POSTERIORS,
    "posterior_unibound": OF_POSTERIORS,
}
"""Of scores that would take tens of seconds with their intervals: cheaper predictors, fewer rows or queries."""

EVALUATIONS: tuple[Evaluation, ...] = (
    ManifoldEvaluation(num_samples=500, standard_errors=True),
    ELBOEvaluation(num_queries=512, max_rows=4096, standard_errors=True),
    TopologyEvaluation(num_samples=300, num_values=3, num_draws=4, num_landmarks=40, embedding="none", num_threads=1),
)
FINGERPRINT_POINTS = 1000
TWO_SIDED_95 = 1.96


def all_scores(model: VAE, data: Images) -> tuple[Report, Fingerprint]:
    """Every score and its cost in seconds (``cost/<name>``), and what the latents tell about a thousand images.

    Scores that are fitted anew for an interval have theirs from :func:`fitted_intervals`.
    """
    mean, log_variance = posteriors(model, data.images)
    fingerprint = BhattacharyyaFingerprint(FINGERPRINT_POINTS)
    fingerprint.update(mean, log_variance, index=torch.arange(len(mean)))
    metrics = {name: new_score(name) for name in sorted(registered_scores())}
    levels = {name: 0.95 if metric.has_quick_interval else None for name, metric in metrics.items()}
    found = Report.joined(supervised(model, data, levels), unsupervised(model, data))
    return found, fingerprint.compute()


def fitted_intervals(model: VAE, data: Images) -> Report:
    """The scores that are fitted again to twenty parts of the rows, with the intervals that this is for."""
    names = [name for name in sorted(registered_scores()) if not new_score(name).has_quick_interval]
    return supervised(model, data, dict.fromkeys(names, 0.95))


def supervised(model: VAE, data: Images, levels: Mapping[str, float | None]) -> Report:
    """Scores of the registry: those of interventions on images that are made for them, the others on all images.

    Args:
        model: that is scored.
        data: that it was trained on.
        levels: of the interval of each score; ``None``: no interval.
    """
    chosen = intervention_factors(data.dataset, INTERVENTION_ROWS, generator=torch.Generator().manual_seed(0))
    by_design = (*posteriors(model, data.dataset.render(chosen)), chosen)
    everything = (*posteriors(model, data.images), data.factors)
    reports = []
    for name, level in levels.items():
        interventions = "interventions" in registered_scores()[name].needs
        codes, log_variance, factors = by_design if interventions else everything
        start = time.process_time()
        found = score(codes, factors, [new_score(name)], log_variance=log_variance, level=level)
        reports.append(Report.joined(found.kept(), _cost(name, start)))
    return Report.joined(*reports)


def new_score(name: str) -> Any:
    """A score of the registry with the settings of the study."""
    entry = registered_scores()[name]
    rows = {"max_rows": SLOW_ROWS} if entry.cost == "slow" else {}
    return entry.score(**{**rows, **entry.settings, **OWN_SETTINGS.get(name, {})})


def unsupervised(model: VAE, data: Images) -> Report:
    """Scores of the decoder and of the codes, which look at no factor; ``<name>_standard_error`` become intervals."""
    reports = []
    for evaluation in EVALUATIONS:
        start = time.process_time()
        batches = DataLoader(data.images, 500)  # type: ignore[arg-type]
        scored = evaluate(model, batches, [evaluation])
        reports.append(Report.joined(_with_intervals(scored), _cost(evaluation.family, start)))
    lengths = reports[0].matrices["manifold/path_length"]
    start, ioss = time.process_time(), IOSS(num_points=2000, max_rows=4000)
    ioss.update(posteriors(model, data.images)[0])
    own = Report({"manifold/path_length": float(lengths.sum()), "ioss": float(ioss.compute())})
    return Report.joined(*reports, own, _cost("ioss", start))


@torch.no_grad()
def posteriors(model: VAE, images: Tensor) -> tuple[Tensor, Tensor]:
    """Means and log-variances."""
    return model.encode(images)


def _cost(name: str, start: float) -> Report:
    return Report({f"cost/{name}": time.process_time() - start})


def _with_intervals(report: Report) -> Report:
    """The same scalars without standard errors, which become intervals."""
    suffix = "_standard_error"
    errors = {key.removesuffix(suffix): value for key, value in report.scalars.items() if key.endswith(suffix)}
    scalars = {key: value for key, value in report.scalars.items() if not key.endswith(suffix)}
    ends = {
        key: (scalars[key] - TWO_SIDED_95 * error, scalars[key] + TWO_SIDED_95 * error) for key, error in errors.items()
    }
    return Report(scalars, report.matrices, num_rows=report.num_rows, intervals=ends)
