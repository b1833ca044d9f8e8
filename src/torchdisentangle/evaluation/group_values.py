"""Scores without groups of rows, from which two models on the same rows are compared."""

from __future__ import annotations

from typing import NamedTuple

import torch

from torchdisentangle.functional.jackknife import replicate_interval


class GroupValues(NamedTuple):
    """What paired differences are made of: a scalar corrected for its bias, and the same without each group of rows.

    Args:
        sizes: number of rows of each group, also of those that have none.
        estimate: the scalar.
        without: the scalar without each of the groups that have rows.
    """

    sizes: tuple[int, ...]
    estimate: float
    without: tuple[float, ...]

    def __sub__(self, other: GroupValues) -> GroupValues:
        without = tuple(a - b for a, b in zip(self.without, other.without, strict=True))
        return GroupValues(self.sizes, self.estimate - other.estimate, without)

    def interval(self, level: float) -> tuple[float, float]:
        """The confidence interval of the scalar.

        Args:
            level: probability that it covers.
        """
        estimate, without = (torch.tensor(value, dtype=torch.float64) for value in (self.estimate, self.without))
        low, high = replicate_interval(estimate, without, level, torch.tensor([size for size in self.sizes if size]))
        return float(low), float(high)
