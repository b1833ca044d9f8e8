"""A bounded uniform sample of codes with their factors."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from torchdisentangle.statistics.factors import Continuous, checked_rows
from torchdisentangle.statistics.sample import SampleStatistic


class CodeFactorSampleStatistic(SampleStatistic):
    """Base of metrics that need rows of codes and factors, for instance to fit a predictor to them.

    Subclasses find the rows in ``self.codes``, ``(n, D)``, and ``self.factors``, ``(n, F)``, in the order of their
    keys' hashes: so any cut through them is a random split, and the same one on every process.

    Args:
        max_rows: how many rows to keep at most; with no more rows than that the metric is that of all data.
        continuous: columns of the factors that are real numbers, not numbers of discrete values; ``True``: all.
        seed: of the sample, and of whatever a metric draws or fits.
        configuration: as for :class:`~torchdisentangle.statistics.Statistic`.
        kwargs: as for :class:`torchmetrics.Metric`.
    """

    codes: Tensor
    factors: Tensor
    num_nonfinite: Tensor

    def __init__(
        self,
        max_rows: int = 10_000,
        continuous: Continuous = False,
        seed: int = 0,
        configuration: object = None,
        **kwargs: Any,
    ) -> None:
        if max_rows < 1:
            raise ValueError(f"max_rows must be at least 1, got {max_rows}")
        columns = continuous if isinstance(continuous, bool) else tuple(continuous)
        super().__init__(
            ["codes", "factors"], capacity=max_rows, seed=seed, configuration=(columns, configuration), **kwargs
        )
        self.continuous: Continuous = columns
        self.add_sum("num_nonfinite", dtype=torch.int64)

    def update(self, codes: Tensor, factors: Tensor, index: Tensor | None = None) -> None:
        """Offer rows to the sample.

        Args:
            codes: ``(n, D)`` floats. Rows with a NaN or infinite entry are left out, counted in ``num_nonfinite``, and
                warned of.
            factors: ``(n, F)``, or ``(n,)`` for one; whole numbers but for the continuous columns.
            index: global positions of the rows in the data set, ``(n,)`` integers; see
                :meth:`~torchdisentangle.statistics.sample.SampleStatistic.add_rows`.

        Raises:
            ValueError: if shapes or values do not fit.
        """
        codes, factors, finite = checked_rows(codes, factors, self.continuous)
        index = self._number(len(finite)) if index is None else index
        if index.shape != finite.shape:
            raise ValueError(f"index must be integers of shape ({len(finite)},), got {tuple(index.shape)}")
        self.add_rows({"codes": codes, "factors": factors}, index[finite.to(index.device)])
        lost = (~finite).sum()
        self.accumulate(num_seen=lost, num_nonfinite=lost)

    def split(self, test_fraction: float) -> tuple[slice, slice]:
        """Training and test rows: a random split, the same on every process.

        Args:
            test_fraction: share of the rows to be tested on.

        Returns:
            Two slices that cover all rows.
        """
        tested = round(test_fraction * len(self.keys))
        return slice(tested, None), slice(None, tested)
