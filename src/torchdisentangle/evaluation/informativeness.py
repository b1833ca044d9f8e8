"""Informativeness and separability of an encoder's latents."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor

from torchdisentangle.evaluation.base import Context, Evaluation, Goal, Pass
from torchdisentangle.evaluation.place import Place
from torchdisentangle.evaluation.report import Report, draws, floats
from torchdisentangle.evaluation.rows import Rows
from torchdisentangle.evaluation.units import in_prior_units
from torchdisentangle.functional.informativeness.quantization import informative_latents
from torchdisentangle.informativeness import InformativenessMetrics
from torchdisentangle.latent_model import LatentModel
from torchdisentangle.plots import plot_independence, plot_informativeness


@dataclass(frozen=True)
class InformativenessEvaluation(Evaluation):
    """What each latent tells about the data, and what it alone tells (Do & Tran).

    The report holds the ceiling of ``information``, and a warning tells if the value comes within 5 % of it.

    Args:
        num_queries: how many latents are drawn to estimate separability.
        top_k: how many of the most informative latents ``sepin_at_k`` and MISJED are of.
        threshold: in nats; a latent that tells more is informative.
        max_rows: how many posteriors to keep at most.
        edges: where the bins of informativeness and MISJED begin and end.
        num_bins: how many there are.
        standard_errors: whether to report ``<name>_standard_error`` for ``information`` and ``wsepin``.
        seed: of the choice of rows and latents.

    Raises:
        ValueError: for wrong settings.

    Example:
        >>> InformativenessEvaluation(threshold=0.05).family
        'informativeness'
    """

    family: ClassVar[str] = "informativeness"

    num_queries: int = 1024
    top_k: int = 3
    threshold: float = 0.1
    max_rows: int = 2**15
    edges: tuple[float, float] = (-4.0, 4.0)
    num_bins: int = 100
    standard_errors: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if self.threshold < 0:
            raise ValueError(f"threshold must not be negative, got {self.threshold}")
        self.metrics()

    @property
    def headlines(self) -> Mapping[str, Goal]:
        """The values to look at first."""
        return {"informative_latents": "none", "information": "none", "wsepin": "max", "sep_mean": "min"}

    @property
    def abilities(self) -> tuple[str, ...]:
        """Encoding."""
        return ("encode",)

    def caution(self, report: Report) -> str | None:
        """Say so if the information is at the ceiling of the rows kept."""
        return report.caution(
            "information",
            "the posteriors of the rows hardly overlap, so that any latent can be missed without loss and wsepin, "
            "windin and sepin_at_k fall to 0, whatever the latents tell: give more rows, or a larger max_rows",
        )

    def begin(self, model: LatentModel, place: Place, context: Context) -> InformativenessPass:
        """Begin a pass."""
        return InformativenessPass(self, model, place)

    def metrics(self) -> InformativenessMetrics:
        """New metrics."""
        return InformativenessMetrics(
            self.num_queries, self.top_k, self.max_rows, self.edges, self.num_bins, seed=self.seed
        )


class InformativenessPass(Pass):
    """One evaluation of :class:`InformativenessEvaluation`."""

    def __init__(self, evaluation: InformativenessEvaluation, model: LatentModel, place: Place) -> None:
        self.evaluation = evaluation
        self.model = model
        self.metrics: InformativenessMetrics = evaluation.metrics().to(place.device)

    def add(self, rows: Rows) -> None:
        """Add the posteriors of rows, in units of the prior."""
        mean, log_variance = in_prior_units(self.model, rows, "informativeness")
        self.metrics.update(mean, log_variance=log_variance, index=rows.index.to(mean.device))

    def finish(self) -> Report:
        """Scalars, matrices and figures over all processes."""
        metrics, threshold = self.metrics, self.evaluation.threshold
        with metrics.reduced():
            lost, num_rows = int(metrics.separability.num_nonfinite), int(metrics.separability.num_rows)
            counts = {"num_nonfinite": float(lost)} if lost else {}
            if not num_rows:
                return Report(counts)
            separability, binned = metrics.separability.compute(), metrics.binned_informativeness.compute()
            pairwise, misjed = metrics.pairwise.compute(), metrics.misjed.compute()
            ceiling = metrics.separability.ceiling()
            errors = metrics.separability.standard_error() if self.evaluation.standard_errors else {}
            pairs, top = (metric.compared_latents().tolist() for metric in (metrics.pairwise, metrics.misjed))
        scalars = {
            "total": binned.sum(),
            "informative_latents": informative_latents(binned, threshold).sum().double(),
            "sep_mean": separability["sep"].mean(),
            **{name: separability[name] for name in ("information", "wsepin", "windin", "sepin_at_k")},
        }
        figures: dict[str, Callable[[], Any]] = {
            "ranking": partial(
                plot_informativeness, separability["informativeness"], separability["sep"], threshold=threshold
            ),
        }
        if len(pairs) > 1:
            off_diagonal = _off_diagonal(pairwise)
            scalars |= {"pairwise_mean": off_diagonal.mean(), "pairwise_max": off_diagonal.amax()}
            figures["pairwise"] = partial(plot_independence, pairwise, pairs)
        if len(top) > 1:
            scalars["misjed_at_k"] = _off_diagonal(misjed).mean()
            figures["misjed"] = partial(plot_independence, misjed, top, label="MISJED (normalised)")
        scalars |= {f"{name}_standard_error": errors[name] for name in ("information", "wsepin") if name in errors}
        matrices = {name: separability[name] for name in ("informativeness", "sep", "sepin")}
        matrices["pairwise"] = pairwise
        scalars["information_ceiling"] = ceiling
        ceilings = {"information": float(ceiling)}
        return Report(floats(scalars) | counts, matrices, draws(figures), num_rows, ceilings=ceilings)


def _off_diagonal(matrix: Tensor) -> Tensor:
    return matrix[~torch.eye(len(matrix), dtype=torch.bool, device=matrix.device)]
