"""The terms of the KL divergence, one by one and together."""

from __future__ import annotations

from typing import Any

import torch
from matplotlib.axes import Axes
from torch import Tensor

from torchdisentangle.elbo.base import ELBOMetric
from torchdisentangle.functional.elbo.decomposition import ELBOTerms
from torchdisentangle.plots import plot_elbo_decomposition
from torchdisentangle.plots.style import Plot
from torchdisentangle.statistics.readout import readout


class TotalCorrelation(ELBOMetric):
    r"""Total correlation of the aggregate posterior: how far the latents are from independent.

    .. math:: \mathrm{TC} = \mathbb{E}_{q(z)} \Bigl[ \log q(z) - \sum_i \log q(z_i) \Bigr], \quad
              q(z) = \frac1N \sum_n q(z \mid x_n)

    Ideal 0; without a finite worst value. Few rows and narrow posteriors bias it upwards: each row is then an island
    of its own, and ten independent latents of standard deviation 0.3 in 10,000 rows show 3 nats. Cost:
    ``num_queries * N * d`` exponentials.

    As input to ``forward`` and ``update`` the metric accepts ``mean`` and ``log_variance`` of diagonal Gaussian
    posteriors, ``(n, d)`` each, and ``index`` ``(n,)``; ``compute`` returns a scalar in nats.

    Args:
        settings: those of :class:`~torchdisentangle.elbo.base.ELBOMetric`: ``estimator``, ``num_queries``,
            ``dataset_size``, ``max_rows``, ``seed``.

    Reference:
        Chen et al., *Isolating Sources of Disentanglement in VAEs*, NeurIPS 2018; Watanabe, *Information
        theoretical analysis of multivariate correlation*, 1960.

    Example:
        >>> import torch
        >>> total_correlation = TotalCorrelation()
        >>> x = torch.tensor([-5.0, 5.0]).repeat(500)
        >>> total_correlation.update(torch.stack([x, x], dim=1), torch.zeros(1000, 2))  # one bit, twice
        >>> total_correlation.compute()
        tensor(0.6931, dtype=torch.float64)
    """

    higher_is_better: bool | None = False
    position: int = 1
    label: str = "total correlation"


class IndexCodeMutualInformation(ELBOMetric):
    r"""Mutual information between data points and their latents.

    .. math:: I(x; z) = \mathbb{E} \bigl[ \log q(z \mid x) - \log q(z) \bigr]

    0 if the posteriors have collapsed to one; at most :math:`\log N`, which is reached when no two posteriors overlap.
    A value near the ceiling says that more rows are needed, not how much information there is. Cost: as for
    :class:`TotalCorrelation`.

    As input to ``forward`` and ``update`` the metric accepts ``mean`` and ``log_variance`` of diagonal Gaussian
    posteriors, ``(n, d)`` each, and ``index`` ``(n,)``; ``compute`` returns a scalar in nats.

    Args:
        settings: those of :class:`~torchdisentangle.elbo.base.ELBOMetric`.

    Reference:
        Hoffman & Johnson, *ELBO surgery*, NIPS 2016 workshop; Chen et al., NeurIPS 2018.

    Example:
        >>> import torch
        >>> information = IndexCodeMutualInformation()
        >>> information.update(torch.tensor([[-9.0], [9.0]]), torch.zeros(2, 1))
        >>> information.compute()  # log 2
        tensor(0.6931, dtype=torch.float64)
    """

    position: int = 0
    label: str = "index-code mutual information"


class DimensionWiseKL(ELBOMetric):
    r"""How far the single latents' aggregate posteriors are from the standard normal prior.

    .. math:: \mathrm{DWKL} = \sum_i \mathrm{KL}(q(z_i) \,\|\, p(z_i))

    Ideal 0. Cost: as for :class:`TotalCorrelation`.

    As input to ``forward`` and ``update`` the metric accepts ``mean`` and ``log_variance`` of diagonal Gaussian
    posteriors, ``(n, d)`` each, and ``index`` ``(n,)``; ``compute`` returns a scalar in nats.

    Args:
        settings: those of :class:`~torchdisentangle.elbo.base.ELBOMetric`.

    Reference:
        Chen et al., NeurIPS 2018.

    Example:
        >>> import torch
        >>> divergence = DimensionWiseKL()
        >>> divergence.update(torch.ones(100, 1), torch.zeros(100, 1))
        >>> divergence.compute()
        tensor(0.5000, dtype=torch.float64)
    """

    higher_is_better: bool | None = False
    position: int = 2
    label: str = "dimension-wise KL"


class ELBODecomposition(ELBOMetric):
    r"""The KL divergence of a VAE and the three terms that it consists of.

    .. math:: \mathbb{E}_x \mathrm{KL}(q(z \mid x) \,\|\, p(z)) = I(x; z) + \mathrm{TC} + \mathrm{DWKL}

    ``compute`` returns a dictionary of scalars in nats: ``mutual_information``, ``total_correlation``,
    ``dimension_wise_kl``, and their sum ``kl``, which is analytic. As input to ``forward`` and ``update`` the metric
    accepts what :class:`TotalCorrelation` accepts, at the same cost for all of it.

    Args:
        settings: those of :class:`~torchdisentangle.elbo.base.ELBOMetric`.

    Reference:
        Chen et al., NeurIPS 2018.

    Example:
        >>> import torch
        >>> decomposition = ELBODecomposition()
        >>> decomposition.update(torch.tensor([[-9.0], [9.0]]).repeat(100, 1), torch.zeros(200, 1))
        >>> {name: round(float(value), 3) for name, value in decomposition.compute().items()}
        {'mutual_information': 0.693, 'total_correlation': 0.0, 'dimension_wise_kl': 39.807, 'kl': 40.5}
    """

    def compute(self) -> dict[str, Tensor]:  # type: ignore[override]
        """The terms and their sum, by name."""
        return {**self._read(self._value()), "kl": self.latent_kl().sum()}

    @readout
    def standard_error(self) -> dict[str, Tensor]:  # type: ignore[override]
        """Standard errors of the terms over latents, by name; that of ``kl`` is 0, for it is exact."""
        errors = self._read(self._estimates().standard_error)
        return {**errors, "kl": torch.zeros_like(errors["mutual_information"])}

    def plot(self, val: Any = None, ax: Axes | None = None) -> Plot:
        """The terms as bars; or given values, a dictionary as from ``compute``."""
        if val is not None:
            return plot_elbo_decomposition(val, ax=ax)
        return plot_elbo_decomposition(*map(self._read, self.estimates()), ax=ax)

    def _read(self, terms: Tensor) -> dict[str, Tensor]:
        return dict(zip(ELBOTerms._fields, terms, strict=True))
