"""Means and covariances of rows, merged without loss of digits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from torchdisentangle.statistics.base import MergedState, Statistic
from torchdisentangle.statistics.reduction import ReductionError, agree_on_sizes


class RowMoments(MergedState):
    r"""Number of rows, mean and centred products, in float64: states of a statistic.

    .. math:: n, \quad \bar x = \frac1n \sum x, \quad \sum (x - \bar x)(x - \bar x)^\top

    Two such triples merge exactly, and unlike plain sums of squares they keep their digits where means are large beside
    standard deviations.

    Reference:
        Chan, Golub & LeVeque, *Algorithms for computing the sample variance*, The American Statistician 1983.
    """

    names = ("num_rows", "row_mean", "row_products")

    def register(self, statistic: Statistic) -> None:
        """Add the states."""
        statistic.add_state("num_rows", torch.zeros((), dtype=torch.int64), dist_reduce_fx=None)
        statistic.add_state("row_mean", torch.zeros(0, dtype=torch.float64), dist_reduce_fx=None)
        statistic.add_state("row_products", torch.zeros(0, 0, dtype=torch.float64), dist_reduce_fx=None)

    def add(self, statistic: Any, rows: Tensor) -> None:
        """Add rows.

        Args:
            statistic: whose states these are.
            rows: ``(n, width)`` floats.

        Raises:
            ValueError: if the width is not that of the rows before.
        """
        if len(rows):
            rows = rows.to(statistic.device, torch.float64)
            mean = rows.mean(0)
            centred = rows - mean
            self._merge(statistic, len(rows), mean, centred.T @ centred)

    def covariance(self, statistic: Any) -> Tensor:
        """Unbiased covariance, ``(width, width)``; zero for a single row."""
        return statistic.row_products / (statistic.num_rows - 1).clamp(min=1)

    def merge(self, statistic: Any, incoming: Mapping[str, Tensor]) -> None:
        """Merge means and products."""
        if incoming["num_rows"]:
            count, mean, products = (incoming[name].to(statistic.device) for name in self.names)
            self._merge(statistic, int(count), mean, products)

    def reduce(self, statistic: Any, group: Any | None) -> None:
        """Merge means and products of all processes, after one gather."""
        own = len(statistic.row_mean) if statistic.num_rows else -1
        agreed = agree_on_sizes([own], statistic.device, group)
        if agreed is None:
            raise ReductionError(f"the processes hold moments of different widths; this one has {own}")
        (width,) = agreed
        if width < 0:
            return
        packed = torch.zeros(1 + width + width * width, dtype=torch.float64, device=statistic.device)
        if statistic.num_rows:
            packed = torch.cat(
                [statistic.num_rows.double()[None], statistic.row_mean, statistic.row_products.flatten()]
            )
        gathered = [torch.empty_like(packed) for _ in range(dist.get_world_size(group))]
        dist.all_gather(gathered, packed, group=group)
        statistic.num_rows = torch.zeros_like(statistic.num_rows)
        for part in gathered:  # in the order of ranks, so that all processes round alike
            if part[0]:
                self._merge(statistic, int(part[0]), part[1 : 1 + width], part[1 + width :].view(width, width))

    def _merge(self, statistic: Any, count: int, mean: Tensor, products: Tensor) -> None:
        before = int(statistic.num_rows)
        if before:
            if len(mean) != len(statistic.row_mean):
                raise ValueError(f"rows so far had {len(statistic.row_mean)} columns, these have {len(mean)}")
            step = mean - statistic.row_mean
            share = count / (before + count)
            mean = statistic.row_mean + share * step
            products = statistic.row_products + products + before * share * torch.outer(step, step)
        statistic.num_rows = torch.full_like(statistic.num_rows, before + count)
        statistic.row_mean, statistic.row_products = mean, products
