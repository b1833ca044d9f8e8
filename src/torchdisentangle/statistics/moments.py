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
    standard deviations. A row may consist of several parts side by side, such as codes and factors, whose widths are
    the state ``row_widths``.

    Args:
        num_parts: how many parts a row consists of.

    Reference:
        Chan, Golub & LeVeque, *Algorithms for computing the sample variance*, The American Statistician 1983.

    Example:
        >>> class Moments(Statistic):
        ...     def __init__(self):
        ...         super().__init__(configuration="moments")
        ...         self.moments = RowMoments(num_parts=2)
        ...         self.add_state_of(self.moments)
        ...     def update(self, codes, factors):
        ...         self.moments.add(self, codes, factors)
        ...     def compute(self):
        ...         return self.moments.covariance(self)
        >>> metric = Moments()
        >>> metric.update(torch.tensor([[0.0], [2.0]]), torch.tensor([[1], [5]]))
        >>> metric.compute(), metric.row_widths.tolist()
        (tensor([[2., 4.],
                [4., 8.]], dtype=torch.float64), [1, 1])
    """

    names = ("num_rows", "row_widths", "row_mean", "row_products")

    def __init__(self, num_parts: int = 1) -> None:
        self.num_parts = num_parts

    def register(self, statistic: Statistic) -> None:
        """Add the states."""
        statistic.add_state("num_rows", torch.zeros((), dtype=torch.int64), dist_reduce_fx=None)
        statistic.add_state("row_widths", torch.zeros(self.num_parts, dtype=torch.int64), dist_reduce_fx=None)
        statistic.add_state("row_mean", torch.zeros(0, dtype=torch.float64), dist_reduce_fx=None)
        statistic.add_state("row_products", torch.zeros(0, 0, dtype=torch.float64), dist_reduce_fx=None)

    def add(self, statistic: Any, *parts: Tensor) -> None:
        """Add rows.

        Args:
            statistic: whose states these are.
            parts: of the rows, each ``(n, width)``.

        Raises:
            ValueError: if the widths are not those of the rows before.
        """
        if len(parts[0]):
            rows = torch.cat([part.to(statistic.device, torch.float64) for part in parts], dim=1)
            mean = rows.mean(0)
            centred = rows - mean
            self._merge(statistic, len(rows), [part.shape[1] for part in parts], mean, centred.T @ centred)

    def covariance(self, statistic: Any) -> Tensor:
        """Unbiased covariance, ``(width, width)``; zero for a single row."""
        return statistic.row_products / (statistic.num_rows - 1).clamp(min=1)

    def merge(self, statistic: Any, incoming: Mapping[str, Tensor]) -> None:
        """Merge means and products."""
        if incoming["num_rows"]:
            mean, products = (incoming[name].to(statistic.device) for name in ("row_mean", "row_products"))
            self._merge(statistic, int(incoming["num_rows"]), incoming["row_widths"].tolist(), mean, products)

    def reduce(self, statistic: Any, group: Any | None) -> None:
        """Merge means and products of all processes, after one gather."""
        own = statistic.row_widths.tolist() if statistic.num_rows else [-1] * self.num_parts
        agreed = agree_on_sizes(own, statistic.device, group)
        if agreed is None:
            raise ReductionError(f"the processes hold moments of different widths; this one has {own}")
        if min(agreed) < 0:
            return
        width = sum(agreed)
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
                mean, products = part[1 : 1 + width], part[1 + width :].view(width, width)
                self._merge(statistic, int(part[0]), list(agreed), mean, products)

    def _merge(self, statistic: Any, count: int, widths: list[int], mean: Tensor, products: Tensor) -> None:
        before = int(statistic.num_rows)
        if before:
            if widths != statistic.row_widths.tolist():
                raise ValueError(f"rows so far had {statistic.row_widths.tolist()} columns, these have {widths}")
            step = mean - statistic.row_mean
            share = count / (before + count)
            mean = statistic.row_mean + share * step
            products = statistic.row_products + products + before * share * torch.outer(step, step)
        statistic.num_rows = torch.full_like(statistic.num_rows, before + count)
        statistic.row_widths = torch.tensor(widths, device=statistic.device)
        statistic.row_mean, statistic.row_products = mean, products
