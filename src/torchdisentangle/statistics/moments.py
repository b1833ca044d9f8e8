"""Means and covariances of codes and factors, merged without loss of digits."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from torchdisentangle.statistics.base import Statistic
from torchdisentangle.statistics.factors import checked_rows


class CodeFactorMomentStatistic(Statistic):
    r"""Base of metrics that need no more than first and second moments of codes and factors, one after the other.

    Kept are the number of rows, the mean :math:`\bar x`, and :math:`\sum (x - \bar x)(x - \bar x)^\top`, in float64.
    Two such triples merge exactly, and unlike plain sums of squares they keep their digits where means are large beside
    standard deviations.

    Args:
        configuration: as for :class:`~torchdisentangle.statistics.Statistic`.
        kwargs: as for :class:`torchmetrics.Metric`.

    Reference:
        Chan, Golub & LeVeque, *Algorithms for computing the sample variance*, The American Statistician 1983.
    """

    num_rows: Tensor
    mean: Tensor
    products: Tensor
    num_codes: Tensor
    num_nonfinite: Tensor

    def __init__(self, configuration: object = None, **kwargs: Any) -> None:
        super().__init__(configuration=("moments", configuration), **kwargs)
        self.add_state("num_rows", torch.zeros((), dtype=torch.int64), dist_reduce_fx=None)
        self.add_state("num_codes", torch.zeros((), dtype=torch.int64), dist_reduce_fx=None)
        self.add_state("mean", torch.zeros(0, dtype=torch.float64), dist_reduce_fx=None)
        self.add_state("products", torch.zeros(0, 0, dtype=torch.float64), dist_reduce_fx=None)
        self.add_sum("num_nonfinite", dtype=torch.int64)

    def update(self, codes: Tensor, factors: Tensor) -> None:
        """Add rows.

        Args:
            codes: ``(n, D)`` floats. Rows with a NaN or infinite entry are left out, counted in ``num_nonfinite``, and
                warned of.
            factors: ``(n, F)`` integers or floats, or ``(n,)`` for one.

        Raises:
            ValueError: if shapes or types do not fit.
        """
        codes, factors, finite = checked_rows(codes, factors, continuous=True)
        rows = torch.cat([x.to(self.device, torch.float64) for x in (codes, factors)], dim=1)
        self.accumulate(num_nonfinite=(~finite).sum())
        if self.num_rows and (int(self.num_codes), len(self.mean)) != (codes.shape[1], rows.shape[1]):
            raise ValueError(
                f"before came {int(self.num_codes)} codes and {len(self.mean) - int(self.num_codes)} factors, "
                f"now {codes.shape[1]} and {factors.shape[1]}"
            )
        if len(rows):
            mean = rows.mean(0)
            centred = rows - mean
            self._merge(len(rows), codes.shape[1], mean, centred.T @ centred)

    @property
    def covariance(self) -> Tensor:
        """Unbiased covariance of codes and factors, ``(D + F, D + F)``."""
        return self.products / (self.num_rows - 1)

    def merge_others(self, incoming_state: dict[str, Any]) -> None:
        """Merge means and products."""
        if incoming_state["num_rows"]:
            names = ("num_rows", "num_codes", "mean", "products")
            count, num_codes, mean, products = (incoming_state[name].to(self.device) for name in names)
            self._merge(int(count), int(num_codes), mean, products)

    def reduce_others(self, group: Any | None) -> None:
        """Merge means and products of all processes, after one gather."""
        own = (int(self.num_codes), len(self.mean)) if self.num_rows else (-1, -1)
        header = torch.tensor([*own, *(-size if size >= 0 else -(2**31) for size in own)], device=self.device)
        dist.all_reduce(header, op=dist.ReduceOp.MAX, group=group)
        num_codes, width, *smallest = header.tolist()
        if width < 0:
            return
        if [num_codes, width] != [-size for size in smallest]:
            raise RuntimeError(f"the processes hold different numbers of codes and factors; this one has {own}")
        packed = torch.zeros(1 + width + width * width, dtype=torch.float64, device=self.device)
        if self.num_rows:
            packed = torch.cat([self.num_rows.double()[None], self.mean, self.products.flatten()])
        gathered = [torch.empty_like(packed) for _ in range(dist.get_world_size(group))]
        dist.all_gather(gathered, packed, group=group)
        self.num_rows = torch.zeros_like(self.num_rows)
        for part in gathered:  # in the order of ranks, so that all processes round alike
            if part[0]:
                mean, products = part[1 : 1 + width], part[1 + width :].view(width, width)
                self._merge(int(part[0]), num_codes, mean, products)

    def _merge(self, count: int, num_codes: int, mean: Tensor, products: Tensor) -> None:
        before = int(self.num_rows)
        if before:
            if (num_codes, len(mean)) != (int(self.num_codes), len(self.mean)):
                raise ValueError("moments of different numbers of codes or factors do not belong together")
            step = mean - self.mean
            share = count / (before + count)
            mean = self.mean + share * step
            products = self.products + products + before * share * torch.outer(step, step)
        self.num_rows = torch.full_like(self.num_rows, before + count)
        self.num_codes = torch.full_like(self.num_codes, num_codes)
        self.mean, self.products = mean, products
