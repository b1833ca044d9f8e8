"""The aggregate posterior of a sample of rows, whose log-sums are shared out over processes."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor

from torchdisentangle.functional.elbo.aggregate import AggregateLogSums, aggregate_log_sums
from torchdisentangle.functional.row_hash import hashed_normal
from torchdisentangle.statistics.base import Statistic
from torchdisentangle.statistics.sample import RowSample

_SMALL_PART = 0.05  # of a population: a sample of it is as good as one of an infinite population
_MOST_AGAIN = 128  # second latents; the variance that they tell is then known to about 15 %


class PosteriorQueries(NamedTuple):
    """Latents drawn from posteriors, one for each of ``S`` rows.

    Args:
        z: the latents, ``(S, d)``.
        mean: of the posterior that each was drawn from, ``(S, d)``.
        log_variance: likewise.
    """

    z: Tensor
    mean: Tensor
    log_variance: Tensor


class AggregatePosterior:
    r"""The mixture :math:`q(z) = \frac1N \sum_n q(z \mid x_n)` of the posteriors that a statistic has sampled.

    With no more rows than the sample's capacity it is exact. Beyond, it is that of a uniform subsample, under which no
    index-code mutual information can exceed :math:`\log N` (10.4 nats for 32,768 rows), and which is more confident
    about its own rows than the whole mixture is.

    Args:
        statistic: whose rows these are.
        sample: of the rows, with the columns ``mean`` and ``log_variance``.
        mean: name of the column of means.
        factors: name of the column of factors, if there is one.

    Example:
        >>> class Posteriors(Statistic):
        ...     def __init__(self):
        ...         super().__init__("posteriors")
        ...         self.sample = RowSample(["mean", "log_variance"], capacity=100)
        ...         self.add_state_of(self.sample)
        ...     def update(self, mean, log_variance):
        ...         self.sample.add(self, {"mean": mean, "log_variance": log_variance})
        ...     def compute(self):
        ...         return AggregatePosterior(self, self.sample).log_sums(4)
        >>> posteriors = Posteriors()
        >>> posteriors.update(torch.randn(8, 2), torch.zeros(8, 2))
        >>> posteriors.compute().marginal.shape
        torch.Size([4, 2])
    """

    def __init__(self, statistic: Statistic, sample: RowSample, mean: str = "mean", factors: str | None = None) -> None:
        rows = sample.read(statistic)
        self.mean: Tensor = rows[mean]
        self.log_variance: Tensor = rows["log_variance"]
        self.factors: Tensor | None = None if factors is None else rows[factors].to(torch.int64)
        self.derived: dict[Any, Any] = rows.derived
        self._keys, self._seed = rows.keys, sample.seed
        self._shared, self._group = statistic.is_reduced, statistic.process_group

    def __len__(self) -> int:
        return len(self._keys)

    def queries(self, num: int, again: bool = False) -> PosteriorQueries:
        """Latents drawn from the posteriors of a uniform subset of the rows, the same on every process.

        Args:
            num: how many, at least 1; at most as many are drawn as there are rows.
            again: whether to draw second latents of the same rows.

        Returns:
            The latents of the first rows, and what they were drawn from.
        """
        mean, log_variance = self.mean[:num], self.log_variance[:num]
        width = mean.shape[1]
        noise = hashed_normal(self._keys[:num], 2 * width, self._seed)
        noise = noise[:, width:] if again else noise[:, :width]
        return PosteriorQueries(mean + (0.5 * log_variance).exp() * noise, mean, log_variance)

    def num_again(self, num: int, population: int) -> int:
        """Of how many rows second latents are needed for the standard error of a mean over :meth:`queries`.

        Rows that are drawn without replacement are no sample once they are most of the population: what varies then is
        the noise of their latents, which two latents of a row tell from what differs between rows.

        Args:
            num: how many queries.
            population: the number of rows of which those kept are a uniform sample.

        Returns:
            The number; 0 if the queries are a small part of the population.
        """
        num = min(num, len(self))
        return min(num, _MOST_AGAIN) if num > _SMALL_PART * population else 0

    def log_sums(
        self, num: int, *, leave_one_out: bool = False, matched: bool = False, again: bool = False
    ) -> AggregateLogSums:
        """Log-sums over the rows at :meth:`queries`, computed once for all metrics of the sample.

        While the states are reduced over processes this is a collective: each process computes a share of the rows.

        Args:
            num: how many queries.
            leave_one_out: whether to include the log-sums of all dimensions but one.
            matched: whether to include the log-sums over the rows that share the queries' factors.
            again: whether the queries are second latents of the same rows.

        Returns:
            The log-sums.
        """
        request = ("log-sums", num, leave_one_out, matched, again)
        if request not in self.derived:
            settings: dict[str, Any] = {"leave_one_out": leave_one_out}
            if matched and self.factors is not None:
                settings |= {"factors": self.factors, "query_factors": self.factors[:num]}
            z = self.queries(num, again).z
            if self._shared and dist.get_world_size(self._group) > 1:
                sums = shared_aggregate_log_sums(z, self.mean, self.log_variance, group=self._group, **settings)
            else:
                sums = aggregate_log_sums(z, self.mean, self.log_variance, **settings)
            self.derived[request] = sums
        return self.derived[request]


def shared_aggregate_log_sums(
    z: Tensor,
    mean: Tensor,
    log_variance: Tensor,
    *,
    log_weights: Tensor | None = None,
    factors: Tensor | None = None,
    group: Any | None = None,
    **settings: Any,
) -> AggregateLogSums:
    """:func:`~torchdisentangle.functional.aggregate_log_sums`, of which each process computes a share of the rows.

    A collective: all processes of the group must call it, with the same queries and the same rows.

    Args:
        z: queries, ``(S, d)``.
        mean: of all rows, ``(N, d)``.
        log_variance: of all rows, ``(N, d)``.
        log_weights: of all rows, ``(N,)``.
        factors: of all rows, ``(N, F)``.
        group: the process group; ``None``: all processes.
        settings: further arguments of :func:`~torchdisentangle.functional.aggregate_log_sums`.

    Returns:
        The log-sums over all rows, the same on every process.
    """
    share = slice(dist.get_rank(group), None, dist.get_world_size(group))
    own = aggregate_log_sums(
        z,
        mean[share],
        log_variance[share],
        log_weights=None if log_weights is None else log_weights[share],
        factors=None if factors is None else factors[share],
        **settings,
    )
    return all_reduce_log_sums(own, group)


def all_reduce_log_sums(sums: AggregateLogSums, group: Any | None = None) -> AggregateLogSums:
    """Merge the log-sums of processes that hold different rows, at the same queries: two reductions, whatever is in it.

    Args:
        sums: over this process's rows.
        group: the process group; ``None``: all processes.

    Returns:
        The log-sums over the rows of all processes.
    """
    present = [value for value in sums if value is not None]
    flat = torch.cat([value.reshape(-1) for value in present])
    top = flat.clone()
    dist.all_reduce(top, op=dist.ReduceOp.MAX, group=group)
    top = top.clamp(min=torch.finfo(top.dtype).min)  # no row anywhere: minus infinity minus itself is no number
    scaled = (flat - top).exp()
    dist.all_reduce(scaled, group=group)
    parts = iter((scaled.log() + top).split([value.numel() for value in present]))
    return AggregateLogSums._make(None if value is None else next(parts).view(value.shape) for value in sums)
