"""What each latent tells about the data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from matplotlib.axes import Axes
from torch import Tensor
from typing_extensions import Unpack

from torchdisentangle.functional.elbo.gaussian import gaussian_log_density
from torchdisentangle.functional.informativeness.quantization import (
    DEFAULT_BINS,
    DEFAULT_EDGES,
    BinMode,
    mutual_information_of,
    rank_latents,
)
from torchdisentangle.plots import plot_informativeness
from torchdisentangle.plots.style import Plot
from torchdisentangle.statistics.base import MetricSettings
from torchdisentangle.statistics.classes import finite_population_error, standard_error
from torchdisentangle.statistics.posterior import PosteriorStatistic
from torchdisentangle.statistics.posterior_bins import PosteriorBins
from torchdisentangle.statistics.readout import readout


class Informativeness(PosteriorStatistic):
    r"""Informativeness: mutual information between the data and each latent.

    .. math:: I(x; z_i) = H(z_i) - H(z_i \mid x)

    High is informative; 0 is a dead latent. ``estimator="bins"`` quantises: by default 100 bins between -4 and 4, as in
    the paper, of which the outer two are open. It is a lower bound of the continuous value for the given rows, too low
    by a few hundredths of a nat where posteriors are as narrow as a bin, and never above :math:`\log B`.
    ``mode="reference"`` gives the published numbers. ``estimator="sampling"`` has no bins and is unbiased for the kept
    rows; its noise is ``standard_error()``. With either, no value exceeds the logarithm of the number of rows, so a
    large one is biased down when rows are few.

    ``normalize=True`` divides by :math:`H(z_i)` and so gives values in [0, 1] that fall as bins get finer: compare them
    only for equal bins.

    As input to ``forward`` and ``update`` the metric accepts ``mean`` and ``log_variance`` ``(n, d)``, and ``index``;
    ``compute`` returns ``(d,)`` in nats, in latent order; :meth:`ranking` sorts. The cost is ``N d B``, or ``S N d``.

    Args:
        estimator: ``"bins"`` or ``"sampling"``.
        normalize: whether to divide by the entropy; needs bins.
        edges: where the bins of equal width begin and end; the outer two are open. Only with ``"bins"``.
        num_bins: number of bins ``B``. Only with ``"bins"``.
        mode: ``"exact"`` or ``"reference"``, see :func:`~torchdisentangle.functional.quantize_posterior`. Only with
            ``"bins"``.
        pairs: whether to follow the pairs of all latents, or the latents whose pairs to follow, so that the metric
            shares its state with :class:`PairwiseMutualInformation`. Only with ``"bins"``.
        num_queries: how many latents are drawn, ``S``. Only with ``"sampling"``.
        max_rows: how many posteriors to keep at most. Only with ``"sampling"``.
        seed: decides which are kept, and the noise of the latents. Only with ``"sampling"``.
        settings: as for :class:`torchmetrics.Metric`.

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
    bin_sum: Tensor
    entropy_sum: Tensor

    def __init__(
        self,
        estimator: Literal["bins", "sampling"] = "bins",
        normalize: bool = False,
        *,
        edges: tuple[float, float] = DEFAULT_EDGES,
        num_bins: int = DEFAULT_BINS,
        mode: BinMode = "exact",
        pairs: bool | Sequence[int] = False,
        num_queries: int = 1024,
        max_rows: int = 2**15,
        seed: int = 0,
        **settings: Unpack[MetricSettings],
    ) -> None:
        if estimator not in ("bins", "sampling"):
            raise ValueError(f"estimator must be 'bins' or 'sampling', got {estimator!r}")
        if estimator == "sampling" and normalize:
            raise ValueError("normalize=True needs entropies of bins: estimator='bins'")
        if num_queries < 1:
            raise ValueError(f"num_queries must be at least 1, got {num_queries}")
        bins = PosteriorBins(edges, num_bins, mode, pairs) if estimator == "bins" else None
        if bins is None:
            super().__init__(max_rows, seed, **settings)
        else:
            super().__init__(configuration=bins.configuration, **settings)
            bins.register(self)
        self._bins = bins
        self.estimator = estimator
        self.normalize = normalize
        self.edges = edges
        self.num_bins = num_bins
        self.mode = mode
        self.pairs = pairs
        self.num_queries = num_queries
        self.max_rows = max_rows
        self.seed = seed

    def compute(self) -> Tensor:
        """Informativeness of each latent, ``(d,)``."""
        if self._bins is None:
            return self._of_queries(self.num_queries).mean(0)
        self.require_samples(self.num_rows, "posteriors")
        return mutual_information_of(self._bins.entropies(self), self.normalize)

    @readout
    def standard_error(self) -> Tensor:
        """Standard error over queries, ``(d,)`` in nats; infinite for one query, 0 in bins, which draw nothing.

        Once all rows are queried only the noise of their latents counts, see
        :meth:`~torchdisentangle.informativeness.Separability.standard_error`.
        """
        if self._bins is not None:
            return torch.zeros_like(self.latent_kl())
        values, num_rows = self._of_queries(self.num_queries), int(self.num_rows)
        error = standard_error(values.var(0, correction=0), torch.tensor(len(values), device=values.device))
        again = self._posterior().num_again(self.num_queries, num_rows)
        if again < 2:
            return error
        within = (values[:again] - self._of_queries(again, again=True)).var(0) / (2 * len(values))
        return finite_population_error(error.square(), within, len(values) / num_rows)

    @readout
    def ranking(self) -> Tensor:
        """Latents by falling informativeness, ``(d,)`` integers."""
        return rank_latents(self.compute().reshape(-1))

    def plot(self, val: Tensor | None = None, ax: Axes | None = None) -> Plot:
        """Bars by falling informativeness."""
        label = "normalised informativeness" if self.normalize else "informativeness $I(x; z_i)$ (nats)"
        return plot_informativeness(self.compute() if val is None else val, ax=ax, label=label)

    def _add_besides(self, mean: Tensor, log_variance: Tensor, index: Tensor | None) -> None:
        if self._bins is not None:
            self._bins.add(self, mean, log_variance)

    def _of_queries(self, num: int, again: bool = False) -> Tensor:
        posterior = self._posterior()
        sums = posterior.log_sums(num, again=again)
        return gaussian_log_density(*posterior.queries(num, again)) - (sums.marginal - sums.weight)
