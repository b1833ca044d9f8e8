"""All metrics of one encoder, updated and reduced together."""

from __future__ import annotations

from torchmetrics import Metric, MetricCollection

from torchdisentangle.elbo.codes import (
    CodeMutualInformation,
    GaussianTotalCorrelation,
    GaussianWassersteinCorrelation,
)
from torchdisentangle.elbo.decomposition import ELBODecomposition
from torchdisentangle.elbo.latents import ActiveUnits, LatentKL
from torchdisentangle.statistics.collection import StatisticCollection


class ELBOMetrics(StatisticCollection):
    """The collection that :func:`~torchdisentangle.elbo_metrics` makes, with its members as attributes.

    Args:
        num_queries: as for :func:`~torchdisentangle.elbo_metrics`, like all others.
        max_rows: likewise.
        active_threshold: likewise.
        num_bins: likewise.
        seed: likewise.
    """

    decomposition: ELBODecomposition
    latent_kl: LatentKL
    active_units: ActiveUnits
    code_mutual_information: CodeMutualInformation

    def __init__(
        self,
        num_queries: int = 1024,
        max_rows: int = 2**15,
        active_threshold: float = 1e-2,
        num_bins: int | None = 20,
        seed: int = 0,
    ) -> None:
        members: dict[str, Metric | MetricCollection] = {
            "decomposition": ELBODecomposition(num_queries=num_queries, max_rows=max_rows, seed=seed),
            "latent_kl": LatentKL(max_rows=max_rows, seed=seed),  # in one group with the decomposition
            "active_units": ActiveUnits(active_threshold, max_rows=max_rows, seed=seed),
            "gaussian_total_correlation": GaussianTotalCorrelation(),
            "gaussian_wasserstein_correlation": GaussianWassersteinCorrelation(normalize=True),
        }
        if num_bins is not None:
            members["code_mutual_information"] = CodeMutualInformation(num_bins)
        super().__init__(members)
        self.has_code_pairs: bool = num_bins is not None


def elbo_metrics(
    num_queries: int = 1024,
    max_rows: int = 2**15,
    active_threshold: float = 1e-2,
    num_bins: int | None = 20,
    seed: int = 0,
) -> ELBOMetrics:
    """The metrics one watches of an encoder, as a collection that is reduced once.

    Args:
        num_queries: of :class:`~torchdisentangle.elbo.ELBODecomposition`.
        max_rows: likewise.
        active_threshold: of :class:`~torchdisentangle.elbo.ActiveUnits`.
        num_bins: of :class:`~torchdisentangle.elbo.CodeMutualInformation`; ``None`` leaves it out.
        seed: of the choice of rows and latents.

    Returns:
        A collection with the members ``decomposition``, ``latent_kl``, ``active_units``,
        ``gaussian_total_correlation``, ``gaussian_wasserstein_correlation`` (normalised) and
        ``code_mutual_information``. All are updated with the means first, which are codes, and the rest by keyword:
        ``metrics.update(mean, log_variance=log_variance, index=index)``.

    Example:
        >>> import torch
        >>> metrics = elbo_metrics()
        >>> mean, log_variance = torch.randn(100, 3), torch.zeros(100, 3)
        >>> metrics.update(mean, log_variance=log_variance)
        >>> int(metrics.compute()["active_units"])
        3
    """
    return ELBOMetrics(num_queries, max_rows, active_threshold, num_bins, seed)
