"""Posteriors of data: sums over all of them, and a bounded sample that stands for the aggregate posterior."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary
from torchmetrics.utilities import rank_zero_warn

from torchdisentangle.functional.elbo.aggregate import AggregateLogSums, aggregate_log_sums
from torchdisentangle.functional.elbo.gaussian import gaussian_kl
from torchdisentangle.functional.row_hash import hashed_normal
from torchdisentangle.statistics.aggregate import shared_aggregate_log_sums
from torchdisentangle.statistics.base import Statistic
from torchdisentangle.statistics.sample import SampleStatistic

_LOG_SUMS = WeakTensorKeyDictionary()  # by the sample they were computed from, for all metrics that share it


class PosteriorQueries(NamedTuple):
    """Latents drawn from posteriors, one for each of ``S`` rows.

    Args:
        z: the latents, ``(S, d)``.
        mean: of the posterior that each was drawn from, ``(S, d)``.
        log_variance: likewise.
        factors: of the rows, ``(S, F)`` integers; ``F = 0`` if there are none.
    """

    z: Tensor
    mean: Tensor
    log_variance: Tensor
    factors: Tensor


class PosteriorStatistic(Statistic):
    r"""Sums over the diagonal Gaussian posteriors :math:`q(z \mid x_n)` of all rows.

    Args:
        configuration: as for :class:`~torchdisentangle.statistics.Statistic`.
        kwargs: as for :class:`~torchdisentangle.statistics.Statistic`.
    """

    num_rows: Tensor
    num_nonfinite: Tensor
    kl_sum: Tensor
    mean_sum: Tensor
    mean_squared_sum: Tensor
    variance_sum: Tensor

    def __init__(self, configuration: object = "posteriors", **kwargs: Any) -> None:
        super().__init__(configuration=configuration, **kwargs)
        self.add_sum("num_rows", dtype=torch.int64)
        self.add_sum("num_nonfinite", dtype=torch.int64)
        for name in ("kl_sum", "mean_sum", "mean_squared_sum", "variance_sum"):
            self.add_sum(name)

    def update(
        self, mean: Tensor, log_variance: Tensor, factors: Tensor | None = None, index: Tensor | None = None
    ) -> None:
        """Add posteriors.

        Args:
            mean: ``(n, d)``. Rows with NaN or infinite entries are left out, counted in ``num_nonfinite``, and warned
                of.
            log_variance: ``(n, d)``.
            factors: not needed by sums.
            index: not needed by sums.

        Raises:
            ValueError: if shapes or dtypes do not fit.
        """
        self.add_posteriors(mean, log_variance)

    def add_posteriors(self, mean: Tensor, log_variance: Tensor) -> Tensor:
        """Add posteriors to the sums.

        Args:
            mean: ``(n, d)``.
            log_variance: ``(n, d)``.

        Returns:
            Which rows are finite and were added, ``(n,)`` booleans.

        Raises:
            ValueError: if shapes or dtypes do not fit.
        """
        if mean.ndim != 2 or mean.shape != log_variance.shape or mean.shape[1] == 0:
            raise ValueError(
                "mean and log_variance must have the same shape (n, d), got "
                f"{tuple(mean.shape)} and {tuple(log_variance.shape)}"
            )
        if not (mean.is_floating_point() and log_variance.is_floating_point()):
            raise ValueError(f"mean and log_variance must be floating point, got {mean.dtype} and {log_variance.dtype}")
        if self.kl_sum.ndim and len(self.kl_sum) != mean.shape[1]:
            raise ValueError(f"updates so far had {len(self.kl_sum)} latents, this one has {mean.shape[1]}")
        mean, log_variance = mean.detach().double(), log_variance.detach().double()
        kl = gaussian_kl(mean, log_variance)
        finite = kl.isfinite().all(1)  # an overflowing variance is left out as well
        lost = len(mean) - int(finite.sum())
        if lost:
            rank_zero_warn(
                "posteriors with NaN or infinite entries are left out; their number is in num_nonfinite "
                f"({lost} in this batch)",
                UserWarning,
            )
            mean, log_variance, kl = mean[finite], log_variance[finite], kl[finite]
        self.accumulate(
            num_rows=torch.tensor(len(mean)),
            num_nonfinite=torch.tensor(lost),
            kl_sum=kl.sum(0),
            mean_sum=mean.sum(0),
            mean_squared_sum=mean.square().sum(0),
            variance_sum=log_variance.exp().sum(0),
        )
        return finite

    def require_rows(self) -> None:
        """Refuse to read a state without rows."""
        if not self.num_rows > 0:
            lost = f" ({int(self.num_nonfinite)} were NaN or infinite)" if self.num_nonfinite else ""
            raise ValueError(f"{type(self).__name__} has no posteriors{lost}")

    def latent_kl(self) -> Tensor:
        """Mean analytic KL divergence from the standard normal for each latent, ``(d,)`` in nats."""
        self.require_rows()
        return self.kl_sum / self.num_rows

    def mean_variance(self) -> Tensor:
        """Variance over rows of each latent's posterior mean, ``(d,)``, with the denominator ``n``."""
        self.require_rows()
        return (self.mean_squared_sum / self.num_rows - (self.mean_sum / self.num_rows).square()).clamp(min=0)


class PosteriorSampleStatistic(PosteriorStatistic, SampleStatistic):
    r"""Sums over all posteriors, and the posteriors of at most ``max_rows`` rows, whatever the number of processes.

    The sample gives the aggregate posterior :math:`q(z) = \frac1N \sum_n q(z \mid x_n)` by :meth:`log_sums`. With no
    more than ``max_rows`` rows it is exact. Beyond, it is that of a uniform subsample: a mixture of ``N = max_rows``
    components, under which no index-code mutual information can exceed :math:`\log N` (10.4 nats by default), and which
    is more confident about its own rows than the whole mixture is.

    Args:
        max_rows: how many rows to keep at most.
        seed: of the choice of rows, and of the noise with which latents are drawn.
        configuration: as for :class:`~torchdisentangle.statistics.Statistic`.
        kwargs: as for :class:`~torchdisentangle.statistics.Statistic`.

    Raises:
        ValueError: if ``max_rows`` is not positive.
    """

    mean: Tensor
    log_variance: Tensor
    factors: Tensor

    def __init__(self, max_rows: int = 2**15, seed: int = 0, configuration: object = None, **kwargs: Any) -> None:
        super().__init__(
            columns=("mean", "log_variance", "factors"),
            capacity=max_rows,
            seed=seed,
            configuration=("posteriors", configuration),
            **kwargs,
        )

    def update(
        self, mean: Tensor, log_variance: Tensor, factors: Tensor | None = None, index: Tensor | None = None
    ) -> None:
        """Add posteriors.

        Args:
            mean: ``(n, d)``. Rows with NaN or infinite entries are left out, counted in ``num_nonfinite``, and warned
                of.
            log_variance: ``(n, d)``.
            factors: integers ``(n, F)`` or ``(n,)``; either always or never.
            index: positions of the rows in the data set, ``(n,)`` integers; see
                :meth:`~torchdisentangle.statistics.sample.SampleStatistic.add_rows`.

        Raises:
            ValueError: if shapes or dtypes do not fit.
        """
        if factors is not None:
            factors = factors[:, None] if factors.ndim == 1 else factors
            if factors.ndim != 2 or len(factors) != len(mean) or factors.is_floating_point():
                raise ValueError(
                    f"factors must be integers of shape ({len(mean)}, F), got {tuple(factors.shape)} of {factors.dtype}"
                )
        index = self.check_index(index, len(mean))
        finite = self.add_posteriors(mean, log_variance)
        rows = {"mean": mean.detach()[finite], "log_variance": log_variance.detach()[finite]}
        if factors is not None:
            rows["factors"] = factors[finite.to(factors.device)]
        self.add_rows(rows, index[finite.to(index.device)])
        self.num_seen = self.num_seen + int((~finite).sum())  # rows left out have a number too

    def check_index(self, index: Tensor | None, num_rows: int) -> Tensor:
        """Positions of rows, by default as they come.

        Args:
            index: ``(num_rows,)`` integers, or ``None``.
            num_rows: how many.

        Returns:
            ``(num_rows,)`` integers.

        Raises:
            ValueError: if the shape or dtype does not fit.
        """
        if index is None:
            return self._number(num_rows)
        if index.shape != (num_rows,) or index.is_floating_point():
            raise ValueError(f"index must be integers ({num_rows},), got {tuple(index.shape)} of {index.dtype}")
        return index

    def queries(self, num: int) -> PosteriorQueries:
        """Latents drawn from the posteriors of a uniform subset of the rows, the same on every process.

        Args:
            num: how many; at most as many as rows are kept.

        Returns:
            The latents and what they were drawn from.

        Raises:
            ValueError: if ``num`` is not positive or there are no rows.
        """
        if num < 1:
            raise ValueError(f"the number of queries must be at least 1, got {num}")
        self.require_rows()
        mean, log_variance = self.mean[:num], self.log_variance[:num]
        noise = hashed_normal(self.keys[:num], mean.shape[1], self.seed)
        return PosteriorQueries(
            mean + (0.5 * log_variance).exp() * noise, mean, log_variance, self.factors[:num].to(torch.int64)
        )

    def log_sums(self, num_queries: int, leave_one_out: bool = False, matched: bool = False) -> AggregateLogSums:
        """Log-sums over the kept rows at :meth:`queries`, computed once for all metrics that share the sample.

        While the states are reduced over processes this is a collective: each process computes a share of the rows.

        Args:
            num_queries: how many queries.
            leave_one_out: whether to include the log-sums of all dimensions but one.
            matched: whether to include the log-sums over the rows that share the queries' factors.

        Returns:
            The log-sums.

        Raises:
            ValueError: if there are no rows, or factors are needed and missing.
        """
        queries = self.queries(num_queries)
        if matched and not self.factors.shape[1]:
            raise ValueError(f"{type(self).__name__} was given no factors")
        known = _LOG_SUMS.setdefault(self.keys, {})
        request = (num_queries, leave_one_out, matched)
        if request not in known:
            settings: dict[str, Any] = {"leave_one_out": leave_one_out}
            if matched:
                settings |= {"factors": self.factors.to(torch.int64), "query_factors": queries.factors}
            if self.is_reduced and dist.get_world_size(self.process_group) > 1:
                settings["group"] = self.process_group
                known[request] = shared_aggregate_log_sums(queries.z, self.mean, self.log_variance, **settings)
            else:
                known[request] = aggregate_log_sums(queries.z, self.mean, self.log_variance, **settings)
        return known[request]
