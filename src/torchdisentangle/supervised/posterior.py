"""Information of Gaussian posteriors about factors, without bins, and its gap."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from torchdisentangle.functional.elbo.gaussian import gaussian_log_density
from torchdisentangle.functional.supervised.information import entropy
from torchdisentangle.functional.supervised.information_gap import mutual_information_gap
from torchdisentangle.functional.supervised.posterior_information import posterior_mutual_information
from torchdisentangle.plots import plot_scalar
from torchdisentangle.statistics.posterior import PosteriorSampleStatistic
from torchdisentangle.supervised.information import factor_labels


class PosteriorInformationMetric(PosteriorSampleStatistic):
    """Base of the scores that are read from the information of posteriors about factors.

    Cost: ``num_queries * max_rows * d`` exponentials, once for all metrics with the same state and ``num_queries``.

    Args:
        num_queries: latents at which densities are compared; the standard error of a mutual information is at most
            about ``num_queries ** -0.5`` nats.
        factor_names: what to call the factors; by default their numbers.
        kwargs: settings of :class:`~torchdisentangle.statistics.posterior.PosteriorSampleStatistic` (``max_rows``,
            ``seed``) and of :class:`torchmetrics.Metric`.

    Raises:
        ValueError: if there are no queries.
    """

    is_differentiable: bool = False
    higher_is_better: bool = True
    plot_lower_bound: float = 0.0

    def __init__(self, num_queries: int = 2048, factor_names: Sequence[str] | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if num_queries < 1:
            raise ValueError(f"num_queries must be at least 1, got {num_queries}")
        self.num_queries, self.factor_names = num_queries, factor_names

    def mutual_information(self) -> Tensor:
        """Information of every latent about every factor, ``(d, F)`` in nats."""
        return posterior_mutual_information(self.log_sums(self.num_queries, matched=True))

    def latent_information(self) -> Tensor:
        """Information of every latent about the data, :math:`I(z_k; x)`, ``(d,)`` in nats."""
        queries, sums = self.queries(self.num_queries), self.log_sums(self.num_queries, matched=True)
        own = gaussian_log_density(queries.z, queries.mean, queries.log_variance)
        return (own - (sums.marginal - sums.weight)).mean(0).clamp(min=0)

    def factor_entropy(self) -> Tensor:
        """Entropy of every factor, ``(F,)`` in nats.

        Raises:
            ValueError: if there are no rows, or every factor was seen with a single value.
        """
        self.require_rows()
        entropies = torch.stack([entropy(column.unique(return_counts=True)[1]) for column in self.factors.mT])
        if not (entropies > 0).any():
            raise ValueError(f"{type(self).__name__} cannot score factors that were all seen with a single value")
        return entropies

    def matrix(self) -> Tensor:
        """Information of every latent about every factor over all processes, ``(d, F)`` in nats."""
        with self.reduced():
            return self.mutual_information()

    @property
    def unscored_factors(self) -> list[str]:
        """Names of the factors that were seen with a single value."""
        with self.reduced():
            entropies = self.factor_entropy()
        names = factor_labels(self.factor_names, len(entropies))
        return [name for name, value in zip(names, entropies.tolist(), strict=True) if value == 0]

    def plot(self, val: Any = None, ax: Any = None) -> Any:
        """The value, or given values over steps."""
        return plot_scalar(self.compute() if val is None else val, ax=ax, label=type(self).__name__)


class PosteriorMutualInformationGap(PosteriorInformationMetric):
    r"""Mutual information gap (MIG) as first defined: of posteriors, without bins.

    .. math:: \mathrm{MIG} = \frac1F \sum_f \frac{I_{(1) f} - I_{(2) f}}{H(y_f)}, \quad
              I(z_k; y_f) = \mathbb{E} \log \frac{q(z_k \,|\, y_f)}{q(z_k)}

    Ideal 1, worst 0. Both densities are mixtures of the posteriors of the rows kept, all or at most ``max_rows``; few
    rows with narrow posteriors make information that is not there, for a latent recognises its own row. Unlike
    :class:`~torchdisentangle.supervised.MutualInformationGap` it sees the posteriors' widths and has no bins that cap
    it. Cost: ``num_queries * max_rows * d`` exponentials. Shares its state with the metrics of posteriors that have the
    same ``max_rows`` and ``seed``.

    As input to ``forward`` and ``update`` the metric accepts ``mean`` and ``log_variance`` ``(n, d)``, ``factors``
    ``(n, F)`` integers and ``index`` ``(n,)``; ``compute`` returns a scalar. With a single latent the second best is 0.
    Factors that were seen with a single value are left out, and named in ``unscored_factors``.

    Args:
        kwargs: settings of :class:`PosteriorInformationMetric`.

    Reference:
        Chen et al., *Isolating sources of disentanglement in variational autoencoders*, NeurIPS 2018, Section 4.

    Example:
        >>> factors = torch.cartesian_prod(torch.arange(2), torch.arange(4)).repeat(20, 1)
        >>> mig = PosteriorMutualInformationGap()
        >>> mig.update(10.0 * factors, torch.full((160, 2), -4.0), factors)
        >>> mig.compute()
        tensor(1., dtype=torch.float64)
    """

    plot_upper_bound: float = 1.0

    def compute(self) -> Tensor:
        """Mean gap over factors."""
        return self._gaps().nanmean()

    def per_factor(self) -> Tensor:
        """The gap of every factor, ``(F,)``; NaN for one that was seen with a single value."""
        with self.reduced():
            return self._gaps()

    def _gaps(self) -> Tensor:
        of_factors = self.factor_entropy()
        gaps = mutual_information_gap(
            self.mutual_information(), of_factors.clamp(min=torch.finfo(of_factors.dtype).tiny)
        )
        return gaps.masked_fill(of_factors == 0, torch.nan)
