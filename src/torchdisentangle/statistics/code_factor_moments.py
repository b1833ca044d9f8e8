"""Moments of codes and factors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from torchdisentangle.statistics.base import Statistic
from torchdisentangle.statistics.code_factor_state import CodeFactorState
from torchdisentangle.statistics.groups import NUM_GROUPS, row_groups
from torchdisentangle.statistics.moments import RowMoments, add_products


class CodeFactorMoments(RowMoments, CodeFactorState):
    """Mean and covariance of codes and factors side by side, for each of twenty groups of rows.

    Args:
        intervals: whether there are groups, so that scores have intervals; without, all rows are one group.
    """

    def __init__(self, intervals: bool = True) -> None:
        super().__init__(num_parts=2, num_groups=NUM_GROUPS if intervals else 1)
        self.configuration: object = ("moments of codes and factors", self.num_groups)

    def register(self, statistic: Statistic) -> None:
        """Add the states."""
        super().register(statistic)
        statistic.add_sum("num_unnumbered", dtype=torch.int64)

    def add_states_to(self, statistic: Statistic) -> None:
        """Add the states, and have them merged."""
        statistic.add_state_of(self)

    def widths(self, statistic: Any) -> tuple[int, int] | None:
        """How many codes and factors the rows so far had; ``None`` without rows."""
        num_codes, num_factors = statistic.row_widths.tolist()
        return (num_codes, num_factors) if statistic.num_rows.any() else None

    def num_rows(self, statistic: Any) -> int:
        """Number of rows."""
        return int(statistic.num_rows.sum())

    def add_codes(
        self,
        statistic: Any,
        codes: Tensor,
        factors: Tensor,
        log_variance: Tensor | None = None,
        index: Tensor | None = None,
        kept: Tensor | None = None,
        data: Tensor | None = None,
    ) -> None:
        """Add rows."""
        groups = row_groups([codes, factors], index) if self.num_groups > 1 else None
        if kept is not None:
            codes, factors = codes[kept], factors[kept.to(factors.device)]
            groups = None if groups is None else groups[kept.to(groups.device)]
        self.add(statistic, codes, factors, groups=groups)
        statistic.accumulate(num_unnumbered=len(codes) if index is None else 0)

    def group_sizes(self, statistic: Any) -> Tensor:
        """Number of rows of each group, ``(20,)``.

        Raises:
            ValueError: if no groups are kept.
        """
        if self.num_groups == 1:
            raise ValueError("moments keep no groups of rows: use intervals=True")
        return statistic.num_rows

    def group_factors(self, statistic: Any) -> Tensor:
        """Means of the factors in each group, ``(20, F)``."""
        return statistic.row_mean[:, int(statistic.row_widths[0]) :]

    def without_groups(self, statistic: Any) -> Iterator[Any]:
        """Copies of the statistic, each without one of the groups that has rows."""
        groups = self.group_sizes(statistic).nonzero()[:, 0]
        counts, means = statistic.num_rows[groups], statistic.row_mean[groups]
        total = self.total(statistic)
        rest = total.num_rows - counts
        step, share = means - total.mean, (counts.double() / rest.clamp(min=1))[:, None]
        means, weights = total.mean - share * step, -counts[:, None] * (1 + share)
        for place, group in enumerate(groups.tolist()):
            one = slice(place, place + 1)
            products = total.products - statistic.row_products[group][None]
            add_products(products, weights[one] * step[one], step[one])
            yield statistic.copy_with(num_rows=rest[one], row_mean=means[one], row_products=products)
