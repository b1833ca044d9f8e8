"""The KL divergence of an encoder, and the terms that it consists of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from torchdisentangle.elbo import ELBOMetrics
from torchdisentangle.evaluation.base import Context, Evaluation, Goal, Pass
from torchdisentangle.evaluation.place import Place
from torchdisentangle.evaluation.report import Report, draws, floats
from torchdisentangle.evaluation.rows import Rows
from torchdisentangle.evaluation.units import in_prior_units
from torchdisentangle.functional.elbo import ELBOTerms
from torchdisentangle.latent_model import LatentModel
from torchdisentangle.plots import plot_elbo_decomposition, plot_latent_kl, plot_pairwise

_LARGEST_TABLE = 2**27  # bytes that the counts of all pairs of codes may take


@dataclass(frozen=True)
class ELBOEvaluation(Evaluation):
    """The KL divergence of all rows and its terms, and how dependent the latents are (Chen et al.).

    The report holds the ceiling of ``mutual_information``, and a warning tells if the value comes within 5 % of it.

    Args:
        num_queries: latents whose density is taken.
        max_rows: how many posteriors to keep at most.
        active_threshold: a latent is active if its posterior mean varies by more than this.
        num_bins: bins of ``code_mutual_information``.
        standard_errors: whether to report ``<name>_standard_error`` for the three terms.
        seed: of the choice of rows and latents.

    Raises:
        ValueError: for wrong settings.

    Example:
        >>> ELBOEvaluation(num_queries=256).abilities
        ('encode',)
    """

    family: ClassVar[str] = "elbo"

    num_queries: int = 1024
    max_rows: int = 2**15
    active_threshold: float = 1e-2
    num_bins: int = 20
    standard_errors: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        self.metrics(latent_dim=1)

    @property
    def headlines(self) -> Mapping[str, Goal]:
        """The values to look at first."""
        return {"kl": "none", "mutual_information": "none", "total_correlation": "min", "active_units": "none"}

    @property
    def abilities(self) -> tuple[str, ...]:
        """Encoding."""
        return ("encode",)

    def check(self, model: LatentModel) -> None:
        """Raise an error if the model cannot encode, or its prior is not one Gaussian."""
        super().check(model)
        if not model.prior.is_gaussian:
            raise ValueError("the ELBO decomposition needs a Gaussian prior that is the same for all classes")

    def caution(self, report: Report) -> str | None:
        """Say so if the mutual information is at the ceiling of the rows kept."""
        return report.caution(
            "mutual_information",
            "the posteriors of the rows hardly overlap, so that it and total_correlation say how few rows there are, "
            "not how much the latents tell or share: give more rows, or a larger max_rows",
        )

    def begin(self, model: LatentModel, place: Place, context: Context) -> ELBOPass:
        """Begin a pass."""
        return ELBOPass(self, model, place)

    def metrics(self, latent_dim: int) -> ELBOMetrics:
        """New metrics for a number of latents."""
        fits = 8 * (self.num_bins * latent_dim) ** 2 <= _LARGEST_TABLE
        num_bins = self.num_bins if fits else None
        return ELBOMetrics(self.num_queries, self.max_rows, self.active_threshold, num_bins, self.seed)


class ELBOPass(Pass):
    """One evaluation of :class:`ELBOEvaluation`."""

    def __init__(self, evaluation: ELBOEvaluation, model: LatentModel, place: Place) -> None:
        self.evaluation = evaluation
        self.model = model
        self.metrics: ELBOMetrics = evaluation.metrics(model.latent_dim).to(place.device)

    def add(self, rows: Rows) -> None:
        """Add the posteriors of rows; all terms are the same in units of the prior."""
        mean, log_variance = in_prior_units(self.model, rows, "the ELBO decomposition")
        self.metrics.update(mean, log_variance=log_variance, index=rows.index.to(mean.device))

    def finish(self) -> Report:
        """Scalars, matrices and figures over all processes."""
        metrics, decomposition = self.metrics, self.metrics.decomposition
        with metrics.reduced():
            lost, num_rows = int(decomposition.num_nonfinite), int(decomposition.num_rows)
            counts = {"num_nonfinite": float(lost)} if lost else {}
            if not num_rows:
                return Report(counts)
            values = metrics.compute()
            errors, ceiling = decomposition.standard_error(), decomposition.ceiling()
            kl, active = metrics.latent_kl.compute(), metrics.active_units.active()
            pairs = metrics.code_mutual_information.pairwise() if metrics.has_code_pairs else None
        scalars = {name: values[name] for name in values if name != "latent_kl"}
        if self.evaluation.standard_errors:
            scalars |= {f"{name}_standard_error": errors[name] for name in ELBOTerms._fields}
        terms = {name: values[name] for name in (*ELBOTerms._fields, "kl")}
        figures: dict[str, Callable[[], Any]] = {
            "decomposition": partial(plot_elbo_decomposition, terms, errors),
            "latent_kl": partial(plot_latent_kl, kl, active),
        }
        matrices = {"latent_kl": kl}
        if pairs is not None:
            matrices["code_pairs"] = pairs
            if len(pairs) > 1:
                figures["code_pairs"] = partial(plot_pairwise, pairs, label="mutual information (nats)")
        scalars["mutual_information_ceiling"] = ceiling
        ceilings = {"mutual_information": float(ceiling)}
        return Report(floats(scalars) | counts, matrices, draws(figures), num_rows, ceilings=ceilings)
