"""Means and covariances of rows, merged without loss of digits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor

from torchdisentangle.statistics.base import MergedState, Statistic
from torchdisentangle.statistics.reduction import ReductionError, agree_on_sizes


class Moments(NamedTuple):
    """Number of rows, their mean ``(width,)``, and their centred products ``(width, width)``."""

    num_rows: Tensor
    mean: Tensor
    products: Tensor

    @property
    def covariance(self) -> Tensor:
        """Unbiased covariance, ``(width, width)``; zero for a single row."""
        return self.products / (self.num_rows - 1).clamp(min=1)


class RowMoments(MergedState):
    r"""Number of rows, mean and centred products, in float64: states of a statistic.

    .. math:: n, \quad \bar x = \frac1n \sum x, \quad \sum (x - \bar x)(x - \bar x)^\top

    Two such triples merge exactly, and unlike plain sums of squares they keep their digits where means are large beside
    standard deviations. A row may consist of several parts side by side, such as codes and factors, whose widths are
    the state ``row_widths``. There is one triple for each group of rows.

    Args:
        num_parts: how many parts a row consists of.
        num_groups: how many groups of rows there are.

    Reference:
        Chan, Golub & LeVeque, *Algorithms for computing the sample variance*, The American Statistician 1983.

    Example:
        >>> class Covariance(Statistic):
        ...     def __init__(self):
        ...         super().__init__(configuration="moments")
        ...         self.moments = RowMoments(num_parts=2)
        ...         self.add_state_of(self.moments)
        ...     def update(self, codes, factors):
        ...         self.moments.add(self, codes, factors)
        ...     def compute(self):
        ...         return self.moments.total(self).covariance
        >>> metric = Covariance()
        >>> metric.update(torch.tensor([[0.0], [2.0]]), torch.tensor([[1], [5]]))
        >>> metric.compute(), metric.row_widths.tolist()
        (tensor([[2., 4.],
                [4., 8.]], dtype=torch.float64), [1, 1])
    """

    names: tuple[str, ...] = ("num_rows", "row_widths", "row_mean", "row_products")

    def __init__(self, num_parts: int = 1, num_groups: int = 1) -> None:
        self.num_parts = num_parts
        self.num_groups = num_groups

    def register(self, statistic: Statistic) -> None:
        """Add the states."""
        zeros = torch.zeros(self.num_groups, dtype=torch.int64)
        statistic.add_state("num_rows", zeros, dist_reduce_fx=None)
        statistic.add_state("row_widths", torch.zeros(self.num_parts, dtype=torch.int64), dist_reduce_fx=None)
        statistic.add_state("row_mean", zeros.double()[:, None][:, :0], dist_reduce_fx=None)
        statistic.add_state("row_products", zeros.double()[:, None, None][:, :0, :0], dist_reduce_fx=None)

    def add(self, statistic: Any, *parts: Tensor, groups: Tensor | None = None) -> None:
        """Add rows.

        Args:
            statistic: whose states these are.
            parts: of the rows, each ``(n, width)``.
            groups: of the rows, ``(n,)`` integers; may be left out if there is one group.

        Raises:
            ValueError: if the widths are not those of the rows before.
        """
        if len(parts[0]):
            rows = torch.cat([part.to(statistic.device, torch.float64) for part in parts], dim=1)
            moments = _moments_of_groups(rows, groups, self.num_groups)
            self._merge(statistic, [part.shape[1] for part in parts], moments)

    def total(self, statistic: Any) -> Moments:
        """The moments of all rows."""
        counts, means, products = statistic.num_rows, statistic.row_mean, statistic.row_products
        if len(counts) == 1:
            return Moments(counts[0], means[0], products[0])
        num_rows = counts.sum()
        mean = (counts[:, None] * means).sum(0) / num_rows.clamp(min=1)
        step = (means - mean) * counts.double().sqrt()[:, None]
        return Moments(num_rows, mean, products.sum(0) + step.mT @ step)

    def merge(self, statistic: Any, incoming: Mapping[str, Tensor]) -> None:
        """Merge means and products."""
        if incoming["num_rows"].any():
            moments = (incoming[name].to(statistic.device) for name in ("num_rows", "row_mean", "row_products"))
            self._merge(statistic, incoming["row_widths"].tolist(), Moments(*moments))

    def reduce(self, statistic: Any, group: Any | None) -> None:
        """Sum counts and means over all processes, and then products about the common mean."""
        has_rows = bool(statistic.num_rows.any())
        own = statistic.row_widths.tolist() if has_rows else [-1] * self.num_parts
        agreed = agree_on_sizes(own, statistic.device, group)
        if agreed is None:
            raise ReductionError(f"the processes hold moments of different widths; this one has {own}")
        if min(agreed) < 0:
            return
        width = sum(agreed)
        counts = statistic.num_rows.double()[:, None]
        means = statistic.row_mean if has_rows else counts.new_zeros(self.num_groups, width)
        totals = torch.cat([counts, counts * means], dim=1)
        dist.all_reduce(totals, group=group)
        mean = totals[:, 1:] / totals[:, :1].clamp(min=1)
        step = means - mean
        products = statistic.row_products.clone() if has_rows else step.new_zeros(self.num_groups, width, width)
        add_products(products, counts * step, step)
        dist.all_reduce(products, group=group)
        statistic.num_rows = totals[:, 0].long()
        statistic.row_widths = torch.tensor(agreed, device=statistic.device)
        statistic.row_mean, statistic.row_products = mean, products

    def _merge(self, statistic: Any, widths: list[int], incoming: Moments) -> None:
        before, (count, mean, products) = statistic.num_rows, incoming
        total = before + count
        if not before.any():
            statistic.row_widths = torch.tensor(widths, device=statistic.device)
        elif widths != (so_far := statistic.row_widths.tolist()):
            raise ValueError(f"rows so far had {so_far} columns, these have {widths}")
        else:
            share = (count.double() / total.clamp(min=1))[:, None]
            step = mean - statistic.row_mean
            change = share * step
            mean = statistic.row_mean + change
            products = statistic.row_products + products
            add_products(products, before[:, None] * change, step)
        statistic.num_rows, statistic.row_mean, statistic.row_products = total, mean, products


def add_products(products: Tensor, one: Tensor, other: Tensor) -> None:
    r"""Add :math:`a b^\top` of each group in place, without a matrix beside.

    Args:
        products: ``(G, width, width)``.
        one: ``a``, ``(G, width)``.
        other: ``b``, ``(G, width)``.
    """
    products.addcmul_(one[:, :, None], other[:, None])


def _moments_of_groups(rows: Tensor, groups: Tensor | None, num_groups: int) -> Moments:
    """The moments of each group, with one batched product of rows that are padded to the largest group."""
    if groups is None:
        mean = rows.mean(0, keepdim=True)
        centred = rows - mean
        return Moments(torch.full((1,), len(rows), device=rows.device), mean, (centred.mT @ centred)[None])
    groups = groups.to(rows.device)
    ordered, order = groups.sort(stable=True)
    counts = torch.bincount(groups, minlength=num_groups)
    largest = int(counts.max())
    shift = largest * torch.arange(num_groups, device=rows.device) - (counts.cumsum(0) - counts)
    place = torch.arange(len(rows), device=rows.device) + shift[ordered]
    padded = rows.new_zeros(num_groups * largest, rows.shape[1])
    padded.index_copy_(0, torch.empty_like(place).index_copy_(0, order, place), rows)
    padded = padded.unflatten(0, (num_groups, largest))
    mean = padded.sum(1) / counts.clamp(min=1)[:, None]
    present = torch.arange(largest, device=rows.device) < counts[:, None]
    centred = padded.sub_(mean[:, None]).mul_(present[..., None])
    return Moments(counts, mean, centred.mT @ centred)
