"""Mutual information of pairs of latents under the aggregate posterior."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from torchdisentangle.functional.informativeness.quantization import rank_latents, symmetric_matrix
from torchdisentangle.functional.informativeness.separation import pairwise_information
from torchdisentangle.functional.supervised.information import mutual_information
from torchdisentangle.informativeness.estimator import EstimatedMetric
from torchdisentangle.plots import plot_independence
from torchdisentangle.statistics.classes import Estimate, mean_estimate
from torchdisentangle.statistics.posterior import PosteriorSampleStatistic
from torchdisentangle.statistics.posterior_bins import PosteriorBinStatistic

_MATRIX_NUMBERS = 2**22  # numbers in the matrices of the queries at a time, 32 MiB


class PairwiseMutualInformation(EstimatedMetric):
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
            informativeness from above, largest first (sampling only).
        kwargs: ``bounds``, ``num_bins`` and ``mode`` of
            :class:`~torchdisentangle.statistics.posterior_bins.PosteriorBinStatistic`, or ``num_queries`` (by default
            1024), ``max_rows`` and ``seed`` of
            :class:`~torchdisentangle.statistics.posterior.PosteriorSampleStatistic`.

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

    def compute(self) -> Tensor:
        """Mutual information of each pair, ``(d, d)``."""
        raise NotImplementedError

    def latents(self) -> Tensor:
        """The latents that are compared, in the order of the result, ``(d,)`` integers."""
        raise NotImplementedError

    def plot(self, val: Tensor | None = None, ax: Any = None) -> Any:
        """Heatmap."""
        with self.reduced():
            value, names = self.compute() if val is None else val, self.latents().tolist()
        return plot_independence(value.reshape(len(names), -1), names, ax=ax)


class BinnedPairwiseMutualInformation(PairwiseMutualInformation, PosteriorBinStatistic):
    """:class:`PairwiseMutualInformation` in bins."""

    estimator = "bins"

    def __init__(self, *, latents: Sequence[int] | None = None, **kwargs: Any) -> None:
        super().__init__(pairs=True if latents is None else latents, **kwargs)

    def compute(self) -> Tensor:
        """Mutual information of each pair, ``(d, d)``."""
        size = len(self.latents())
        return symmetric_matrix(mutual_information(self.pair_sum), size)

    def latents(self) -> Tensor:
        """The latents that are compared, in the order of the result, ``(d,)`` integers."""
        self.require_rows()
        return torch.arange(len(self.bin_sum)) if isinstance(self.pairs, bool) else torch.tensor(self.pairs)


class SampledPairwiseMutualInformation(PairwiseMutualInformation, PosteriorSampleStatistic):
    """:class:`PairwiseMutualInformation` by sampling."""

    estimator = "sampling"

    def __init__(
        self,
        *,
        latents: Sequence[int] | None = None,
        top_k: int | None = None,
        num_queries: int = 1024,
        **kwargs: Any,
    ) -> None:
        if latents is not None and top_k is not None:
            raise ValueError("latents and top_k exclude each other")
        if num_queries < 1 or (top_k is not None and top_k < 1):
            raise ValueError(f"num_queries and top_k must be at least 1, got {num_queries} and {top_k}")
        super().__init__(**kwargs)
        self.chosen = None if latents is None else [int(latent) for latent in latents]
        self.top_k, self.num_queries = top_k, num_queries

    def compute(self) -> Tensor:
        """Mutual information of each pair, ``(d, d)``."""
        return self._estimate().value

    def standard_error(self) -> Tensor:
        """Standard error over queries, ``(d, d)`` in nats."""
        with self.reduced():
            return self._estimate().standard_error

    def latents(self) -> Tensor:
        """The latents that are compared, in the order of the result, ``(d,)`` integers."""
        if self.chosen is not None:
            return torch.tensor(self.chosen)
        with self.reduced():
            kl = self.latent_kl()
        return torch.arange(len(kl)) if self.top_k is None else rank_latents(kl)[: self.top_k].cpu()

    def _estimate(self) -> Estimate:
        latents = self.latents().to(self.device)
        if int(latents.max()) >= self.mean.shape[1] or int(latents.min()) < 0:
            raise ValueError(f"latents names {latents.tolist()}, but there are {self.mean.shape[1]} latents")
        z, mean, log_variance = (
            x[:, latents] for x in (self.queries(self.num_queries).z, self.mean, self.log_variance)
        )
        total = squares = torch.zeros((), dtype=torch.float64, device=self.device)
        for queries in z.split(max(1, _MATRIX_NUMBERS // len(latents) ** 2)):
            values = pairwise_information(queries, mean, log_variance)
            total, squares = total + values.sum(0), squares + values.square().sum(0)
        return mean_estimate(torch.tensor([len(z)], device=self.device), total, squares)
