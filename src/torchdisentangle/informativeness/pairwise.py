"""Mutual information of pairs of latents under the aggregate posterior."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from matplotlib.axes import Axes
from torch import Tensor
from typing_extensions import Unpack

from torchdisentangle.functional.informativeness.quantization import (
    DEFAULT_BINS,
    DEFAULT_EDGES,
    BinMode,
    rank_latents,
    symmetric_matrix,
)
from torchdisentangle.functional.informativeness.separation import pairwise_information
from torchdisentangle.functional.supervised.information import mutual_information
from torchdisentangle.plots import plot_independence
from torchdisentangle.plots.style import Plot
from torchdisentangle.statistics.base import MetricSettings
from torchdisentangle.statistics.classes import Estimate, mean_estimate
from torchdisentangle.statistics.posterior import PosteriorStatistic
from torchdisentangle.statistics.posterior_bins import PosteriorBins
from torchdisentangle.statistics.readout import readout

_MATRIX_NUMBERS = 2**22  # numbers in the matrices of the queries at a time, 32 MiB


class PairwiseMutualInformation(PosteriorStatistic):
    r"""Mutual information of every pair of latents under the aggregate posterior: are they independent?

    .. math:: I(z_i; z_j) = H(z_i) + H(z_j) - H(z_i, z_j)

    Ideal 0. For diagonal Gaussian posteriors it is also the information about the data that two latents share,
    :math:`I(x; z_i) - I(x; z_i \mid z_j)`. Unlike :class:`MISJED` it is a mutual information: noise scores 0.

    ``estimator="bins"`` keeps the joint table of each pair, over all rows; a lower bound of the continuous value for
    the given rows. ``estimator="sampling"`` evaluates densities at sampled latents and needs no tables, so any number
    of latents will do; unbiased for the kept rows, so a single value may be a little below 0.

    As input to ``forward`` and ``update`` the metric accepts ``mean`` and ``log_variance`` ``(n, d)``, and ``index``;
    ``compute`` returns ``(d, d)`` in nats, symmetric, with zeros on the diagonal. The cost is ``N d^2 B^2 / 2``, or
    ``S N d`` exponentials and ``S N d^2`` multiplications.

    Args:
        estimator: ``"bins"`` or ``"sampling"``.
        latents: which latents to compare, in the order of the result; by default all.
        top_k: instead, how many to compare, those with the largest KL divergence from the standard normal, which bounds
            informativeness from above, largest first. Only with ``"sampling"``.
        edges: where the bins of equal width begin and end; the outer two are open. Only with ``"bins"``.
        num_bins: number of bins ``B``. Only with ``"bins"``.
        mode: ``"exact"`` or ``"reference"``, see :func:`~torchdisentangle.functional.quantize_posterior`. Only with
            ``"bins"``.
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
        >>> information = PairwiseMutualInformation()
        >>> information.update(torch.tensor([[-2.0, 2.0], [2.0, -2.0]]), torch.full((2, 2), -6.0))
        >>> information.compute()
        tensor([[0.0000, 0.6931],
                [0.6931, 0.0000]], dtype=torch.float64)
    """

    higher_is_better: bool | None = False
    bin_sum: Tensor
    pair_sum: Tensor

    def __init__(
        self,
        estimator: Literal["bins", "sampling"] = "bins",
        latents: Sequence[int] | None = None,
        top_k: int | None = None,
        *,
        edges: tuple[float, float] = DEFAULT_EDGES,
        num_bins: int = DEFAULT_BINS,
        mode: BinMode = "exact",
        num_queries: int = 1024,
        max_rows: int = 2**15,
        seed: int = 0,
        **settings: Unpack[MetricSettings],
    ) -> None:
        if estimator not in ("bins", "sampling"):
            raise ValueError(f"estimator must be 'bins' or 'sampling', got {estimator!r}")
        if top_k is not None and (estimator == "bins" or latents is not None):
            raise ValueError("top_k needs estimator='sampling', and latents and top_k exclude each other")
        if num_queries < 1 or (top_k is not None and top_k < 1):
            raise ValueError(f"num_queries and top_k must be at least 1, got {num_queries} and {top_k}")
        pairs = True if latents is None else latents
        bins = PosteriorBins(edges, num_bins, mode, pairs) if estimator == "bins" else None
        if bins is None:
            super().__init__(max_rows, seed, **settings)
        else:
            super().__init__(configuration=bins.configuration, **settings)
            bins.register(self)
        self._bins = bins
        self.estimator = estimator
        self.top_k = top_k
        self.latents: list[int] | None = None if latents is None else [int(latent) for latent in latents]
        self.edges = edges
        self.num_bins = num_bins
        self.mode = mode
        self.num_queries = num_queries
        self.max_rows = max_rows
        self.seed = seed

    def compute(self) -> Tensor:
        """Mutual information of each pair, ``(d, d)``."""
        if self._bins is None:
            return self._of_queries().value
        size = len(self._compared())
        return symmetric_matrix(mutual_information(self.pair_sum), size)

    @readout
    def standard_error(self) -> Tensor:
        """Standard error over queries, ``(d, d)`` in nats; infinite for one query, 0 in bins, which draw nothing.

        It is that of rows drawn from many, so too large where most of the rows are queried.
        """
        if self._bins is None:
            return self._of_queries().standard_error
        size = len(self._compared())
        return torch.zeros(size, size, dtype=torch.float64, device=self.device)

    @readout
    def compared_latents(self) -> Tensor:
        """The latents that are compared, in the order of the result, ``(d,)`` integers."""
        return self._compared()

    @readout
    def plot(self, val: Tensor | None = None, ax: Axes | None = None) -> Plot:
        """Heatmap."""
        value, names = self.compute() if val is None else val, self._compared().tolist()
        return plot_independence(value.reshape(len(names), -1), names, ax=ax, num_latents=len(self.latent_kl()))

    def _add_besides(self, mean: Tensor, log_variance: Tensor, index: Tensor | None) -> None:
        if self._bins is not None:
            self._bins.add(self, mean, log_variance)

    def _compared(self) -> Tensor:
        kl = self.latent_kl()
        if self.latents is None:
            return torch.arange(len(kl)) if self.top_k is None else rank_latents(kl)[: self.top_k].cpu()
        if not all(0 <= latent < len(kl) for latent in self.latents):
            raise ValueError(f"latents names {self.latents}, but there are {len(kl)} latents")
        return torch.tensor(self.latents)

    def _of_queries(self) -> Estimate:
        posterior, latents = self._posterior(), self._compared().to(self.device)
        request = ("pairs", self.num_queries, *latents.tolist())
        if request not in posterior.derived:
            z, mean, log_variance = (
                x[:, latents] for x in (posterior.queries(self.num_queries).z, posterior.mean, posterior.log_variance)
            )
            total = squares = torch.zeros((), dtype=torch.float64, device=self.device)
            for queries in z.split(max(1, _MATRIX_NUMBERS // len(latents) ** 2)):
                values = pairwise_information(queries, mean, log_variance)
                total, squares = total + values.sum(0), squares + values.square().sum(0)
            count = torch.tensor([len(z)], device=self.device)
            posterior.derived[request] = mean_estimate(count, total, squares)
        return posterior.derived[request]
