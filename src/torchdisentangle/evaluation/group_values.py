"""Scores without groups of rows, from which two models on the same rows are compared."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch

from torchdisentangle.functional.jackknife import replicate_interval
from torchdisentangle.statistics.groups import Groups


class GroupValues(NamedTuple):
    """What paired differences are made of: a scalar corrected for its bias, and the same without each group of rows.

    Args:
        sizes: number of rows of each group, also of those that have none.
        estimate: the scalar.
        without: the scalar without each of the groups that have rows.
        factors: mean of each factor in each group, which tells the rows from those of other data.
    """

    sizes: Sequence[int]
    estimate: float
    without: Sequence[float]
    factors: Sequence[Sequence[float]] = ()

    def of_same_rows(self, other: GroupValues) -> bool:
        """Whether two scalars stand on the same rows, so that their difference has an interval."""
        mine, theirs = (Groups(torch.tensor(one.sizes), torch.tensor(one.factors).double()) for one in (self, other))
        return mine.of_same_rows(theirs)

    def __sub__(self, other: GroupValues) -> GroupValues:
        without = [a - b for a, b in zip(self.without, other.without, strict=True)]
        return self._replace(estimate=self.estimate - other.estimate, without=without)

    def interval(self, level: float) -> tuple[float, float]:
        """The confidence interval of the scalar.

        Args:
            level: probability that it covers.
        """
        estimate, without = (torch.tensor(value, dtype=torch.float64) for value in (self.estimate, self.without))
        low, high = replicate_interval(estimate, without, level, torch.tensor([size for size in self.sizes if size]))
        return float(low), float(high)
