"""A bounded uniform sample of codes with their factors."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from torchdisentangle.statistics.base import Statistic
from torchdisentangle.statistics.checks import Continuous
from torchdisentangle.statistics.code_factor_state import CodeFactorState
from torchdisentangle.statistics.groups import NUM_GROUPS, group_sizes, groups_of_keys
from torchdisentangle.statistics.sample import RowSample


class CodeFactorRows(RowSample, CodeFactorState):
    """Codes and factors of at most ``max_rows`` rows: states of a statistic.

    All metrics with equal settings share one sample, because their states and their ``configuration`` are equal:
    scores that fit predictors to rows, scores that find groups among them, and scores that count bins of their range.

    Args:
        max_rows: how many rows to keep at most; with no more rows than that a metric is that of all data.
        continuous: columns of the factors that are real numbers, not numbers of discrete values; ``True``: all.
        seed: of the choice of rows, and of whatever a metric draws or fits.
        log_variance: whether to keep the log-variances of the codes' posteriors too.
        data_width: numbers to keep of the data that the codes are of, for their distances: wider data are projected at
            random to this width, in which squared distances have a relative standard error of
            ``(2 / data_width) ** 0.5``; 0: none.

    Raises:
        ValueError: if ``max_rows`` is not positive, ``data_width`` negative, or the seed is not an integer that NumPy
            accepts.

    Example:
        >>> CodeFactorRows(max_rows=100).names
        ('keys', 'codes', 'factors')
    """

    refits = True

    def __init__(
        self,
        max_rows: int = 10_000,
        continuous: Continuous = False,
        seed: int = 0,
        log_variance: bool = False,
        data_width: int = 0,
    ) -> None:
        if data_width < 0:
            raise ValueError(f"data_width must not be negative, got {data_width}")
        wanted = {"log_variance": log_variance, "data": data_width > 0}
        self.needs: frozenset[str] = frozenset(name for name, is_wanted in wanted.items() if is_wanted)
        super().__init__(("codes", "factors", *(name for name in wanted if name in self.needs)), max_rows, seed)
        columns = continuous if isinstance(continuous, bool) else tuple(continuous)
        self.configuration: object = ("codes and factors", self.columns, max_rows, seed, columns, data_width)
        self.data_width = data_width

    def add_states_to(self, statistic: Statistic) -> None:
        """Add the states, and have them merged."""
        statistic.add_state_of(self)

    def widths(self, statistic: Any) -> tuple[int, int] | None:
        """How many codes and factors the rows so far had; ``None`` without rows."""
        return (statistic.codes.shape[1], statistic.factors.shape[1]) if len(statistic.keys) else None

    def num_rows(self, statistic: Any) -> int:
        """Number of rows that are kept."""
        return len(statistic.keys)

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
        """Offer rows to the sample; log-variances and data only if it keeps them.

        Args:
            statistic: whose states these are.
            codes: ``(n, d)``.
            factors: ``(n, F)``.
            log_variance: ``(n, d)``.
            index: as for :meth:`~torchdisentangle.statistics.RowSample.add`.
            kept: likewise.
            data: ``(n, ...)``.
        """
        told = None if data is None or not self.data_width else self._projected(data)
        given = {"codes": codes, "factors": factors, "log_variance": log_variance, "data": told}
        columns = {name: value for name, value in given.items() if name in self.columns and value is not None}
        self.add(statistic, columns, index, kept)

    def _projected(self, data: Tensor) -> Tensor:
        """Numbers whose squared differences, summed, are mean squared differences of the data, ``(n, width)``."""
        flat = data.flatten(1).double()
        if flat.shape[1] > self.data_width:
            projected = flat @ _projection(flat.shape[1], self.data_width, self.seed).to(flat)
            flat = projected.float().double()  # without what other batches of the same rows would round otherwise
        return flat / math.sqrt(data[0].numel()) if len(data) else flat

    def group_sizes(self, statistic: Any) -> Tensor:
        """Number of kept rows of each group, ``(20,)``."""
        return group_sizes(groups_of_keys(self.read(statistic).keys))

    def group_factors(self, statistic: Any) -> Tensor:
        """Means of the kept rows' factors in each group, ``(20, F)``."""
        rows = self.read(statistic)
        factors, groups = rows["factors"].double(), groups_of_keys(rows.keys)
        sums = factors.new_zeros(NUM_GROUPS, factors.shape[1]).index_add(0, groups, factors)
        return sums / group_sizes(groups).clamp(min=1)[:, None]

    def without_groups(self, statistic: Any, with_columns: bool = True) -> Iterator[Any]:
        """Copies of the statistic, each without one of the groups that has rows.

        What is computed from the rows of a copy is shared by all metrics of the sample, as it is for all rows.

        Args:
            statistic: whose states these are.
            with_columns: whether codes and factors are needed, and not only which rows there are.
        """
        rows = self.read(statistic)
        if "without groups" not in rows.derived:
            groups = groups_of_keys(rows.keys)
            staying = [(groups != group).nonzero()[:, 0] for group in groups.unique().tolist()]
            rows.derived["without groups"] = [(stays, rows.keys.index_select(0, stays)) for stays in staying]
        for stays, keys in rows.derived["without groups"]:
            needed = stays if with_columns else stays[:0]
            columns = {name: column.index_select(0, needed) for name, column in rows.columns.items()}
            in_order = torch.zeros_like(statistic.num_unnumbered)  # the rows need not be ordered again
            yield statistic.copy_with(keys=keys, num_unnumbered=in_order, **columns)


@lru_cache(maxsize=2)
def _projection(width: int, kept: int, seed: int) -> Tensor:
    """Normal numbers of variance ``1 / kept``, ``(width, kept)``: they keep the lengths of vectors on average."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(width, kept, generator=generator) / math.sqrt(kept)
