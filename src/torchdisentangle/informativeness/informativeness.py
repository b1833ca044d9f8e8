"""What each latent tells about the data."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from torchdisentangle.functional.elbo.gaussian import gaussian_log_density
from torchdisentangle.functional.informativeness.quantization import mutual_information_of, rank_latents
from torchdisentangle.informativeness.estimator import EstimatedMetric
from torchdisentangle.plots import plot_informativeness
from torchdisentangle.statistics.classes import standard_error
from torchdisentangle.statistics.posterior import PosteriorSampleStatistic
from torchdisentangle.statistics.posterior_bins import PosteriorBinStatistic


class Informativeness(EstimatedMetric):
    r"""Informativeness: mutual information between the data and each latent.

    .. math:: I(x; z_i) = H(z_i) - H(z_i \mid x)

    High is informative; 0 is a dead latent. ``estimator="bins"`` quantises: by default 100 bins between -4 and 4, as in
    the paper, of which the outer two are open. It is a lower bound of the continuous value for the given rows, too low
    by a few hundredths of a nat where posteriors are as narrow as a bin, and never above :math:`\log B`.
    ``mode="reference"`` gives the published numbers. ``estimator="sampling"`` has no bins and is unbiased for the kept
    rows; its noise is ``standard_error()``. For both, no value exceeds the logarithm of the number of rows, so a large
    one is biased down when rows are few.

    ``normalize=True`` divides by :math:`H(z_i)` and so gives values in [0, 1] that fall as bins get finer: compare them
    only for equal bins.

    As input to ``forward`` and ``update`` the metric accepts ``mean`` and ``log_variance`` ``(n, d)``, and ``index``;
    ``compute`` returns ``(d,)`` in nats, in latent order; :meth:`ranking` sorts. The cost is ``N d B``, or ``S N d``.

    Args:
        estimator: ``"bins"`` or ``"sampling"``.
        normalize: whether to divide by the entropy (bins only).
        kwargs: ``bounds``, ``num_bins``, ``mode`` and ``pairs`` of
            :class:`~torchdisentangle.statistics.posterior_bins.PosteriorBinStatistic`, or ``num_queries`` (by default
            1024), ``max_rows`` and ``seed`` of
            :class:`~torchdisentangle.statistics.posterior.PosteriorSampleStatistic`.

    Raises:
        ValueError: for an unknown estimator or settings that do not fit.

    Reference:
        Do & Tran, *Theory and evaluation metrics for learning disentangled representations*, ICLR 2020.

    Example:
        >>> import torch
        >>> informativeness = Informativeness()
        >>> informativeness.update(torch.tensor([[-2.0, 0.0], [2.0, 0.0]]), torch.full((2, 2), -6.0))
        >>> informativeness.compute()  # one bit, and nothing
        tensor([0.6931, 0.0000], dtype=torch.float64)
    """

    higher_is_better: bool | None = None
    plot_lower_bound: float = 0.0

    def compute(self) -> Tensor:
        """Informativeness of each latent, ``(d,)``."""
        raise NotImplementedError

    def ranking(self) -> Tensor:
        """Latents by falling informativeness, ``(d,)`` integers."""
        with self.reduced():
            return rank_latents(self.compute().reshape(-1))

    def plot(self, val: Tensor | None = None, ax: Any = None) -> Any:
        """Bars by falling informativeness."""
        return plot_informativeness(self.compute() if val is None else val, ax=ax)


class BinnedInformativeness(Informativeness, PosteriorBinStatistic):
    """:class:`Informativeness` in bins."""

    estimator = "bins"

    def __init__(self, *, normalize: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.normalize = normalize

    def compute(self) -> Tensor:
        """Informativeness of each latent, ``(d,)``."""
        return mutual_information_of(self.latent_entropies(), self.normalize)

    def plot(self, val: Tensor | None = None, ax: Any = None) -> Any:
        """Bars by falling informativeness."""
        label = "normalised informativeness" if self.normalize else "informativeness $I(x; z_i)$ (nats)"
        return plot_informativeness(self.compute() if val is None else val, ax=ax, label=label)


class SampledInformativeness(Informativeness, PosteriorSampleStatistic):
    """:class:`Informativeness` by sampling."""

    estimator = "sampling"

    def __init__(self, *, normalize: bool = False, num_queries: int = 1024, **kwargs: Any) -> None:
        if normalize:
            raise ValueError("normalize=True needs entropies of bins: estimator='bins'")
        super().__init__(**kwargs)
        self.num_queries = num_queries

    def compute(self) -> Tensor:
        """Informativeness of each latent, ``(d,)``."""
        return self._of_queries().mean(0)

    def standard_error(self) -> Tensor:
        """Standard error over queries, ``(d,)`` in nats; infinite for a single one."""
        with self.reduced():
            values = self._of_queries()
        return standard_error(values.var(0, correction=0), torch.tensor(len(values), device=values.device))

    def _of_queries(self) -> Tensor:
        z, mean, log_variance, _ = self.queries(self.num_queries)
        sums = self.log_sums(self.num_queries)
        return gaussian_log_density(z, mean, log_variance) - (sums.marginal - sums.weight)
