"""How codes are binned, and how often each bin meets each value of each factor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor
from torchmetrics.utilities import rank_zero_warn

from torchdisentangle.functional.device import sizes_of
from torchdisentangle.functional.row_blocks import row_blocks
from torchdisentangle.functional.supervised.binning import (
    assign_bins,
    assign_equal_bins,
    density_bins,
    equal_width_edges,
    normal_quantile_edges,
    soft_bins,
)
from torchdisentangle.functional.supervised.joint_counts import grouped_counts, joint_weights
from torchdisentangle.statistics.checks import Continuous, continuous_columns
from torchdisentangle.statistics.factors import value_labels
from torchdisentangle.statistics.groups import NUM_GROUPS
from torchdisentangle.statistics.growing import grown

Range = tuple[Tensor | Sequence[float] | float, Tensor | Sequence[float] | float]
"""Lower and upper end of a range, numbers or one for each dimension."""

Edges = Literal["data", "prior"] | Range
"""Where the bins of codes are."""

Binning = Literal["hard", "soft"]

_LARGEST_TABLE = 2**27  # counts, 1 GiB
_LARGEST_BLOCK = 2**22  # numbers held at a time for a large table


class BinCounter:
    """Counts rows in bins; it holds settings and no data.

    Args:
        num_bins: as for :class:`~torchdisentangle.statistics.counts.JointCounts`, like all others.
        edges: where the bins are.
        binning: ``"hard"`` or ``"soft"``.
        mode: ``"exact"`` or ``"reference"``.
        continuous: columns of the factors that are real numbers.
        factor_edges: range of the continuous factors.
        num_factor_bins: number of bins of a continuous factor.

    Raises:
        ValueError: for settings that do not fit together.
    """

    def __init__(
        self,
        num_bins: int,
        edges: Edges,
        binning: Binning,
        mode: Literal["exact", "reference"],
        continuous: Continuous,
        factor_edges: Range | None,
        num_factor_bins: int | None,
    ) -> None:
        if num_bins < 1 or (num_factor_bins is not None and num_factor_bins < 1):
            raise ValueError(f"num_bins and num_factor_bins must be at least 1, got {num_bins} and {num_factor_bins}")
        if binning not in ("hard", "soft"):
            raise ValueError(f"binning must be 'hard' or 'soft', got {binning!r}")
        if isinstance(edges, str) and edges not in ("data", "prior"):
            raise ValueError(f"edges must be 'data', 'prior' or two ends of a range, got {edges!r}")
        self.range: tuple[Tensor, Tensor] | None = None if isinstance(edges, str) else _as_range(edges, "edges")
        self.factor_range: tuple[Tensor, Tensor] | None = (
            None if factor_edges is None else _as_range(factor_edges, "factor_edges")
        )
        self.of_data: bool = isinstance(edges, str) and edges == "data"
        self.of_prior: bool = isinstance(edges, str) and edges == "prior"
        self.num_bins = num_bins
        self.soft: bool = binning == "soft"
        self.continuous: Continuous = continuous
        self.num_factor_bins: int = num_bins if num_factor_bins is None else num_factor_bins
        self.by_density: bool = mode == "reference"
        if self.by_density and (not self.soft or self.range is None or self.range[0].ndim or self.range[1].ndim):
            raise ValueError("mode='reference' needs binning='soft' and edges=(low, high), two numbers")
        if continuous and self.factor_range is None and not self.of_data:
            raise ValueError("continuous factors need factor_edges=(low, high) unless edges='data'")
        ends = [None if pair is None else _listed(pair) for pair in (self.range, self.factor_range)]
        columns = continuous if isinstance(continuous, bool) else tuple(continuous)
        self.configuration: tuple[object, ...] = (
            num_bins,
            self.of_prior,
            binning,
            mode,
            self.num_factor_bins,
            *ends,
            columns,
        )

    def count(
        self,
        codes: Tensor,
        factors: Tensor,
        log_variance: Tensor | None = None,
        groups: Tensor | None = None,
        before: Tensor | None = None,
    ) -> Tensor:
        """How often each bin meets each value.

        Args:
            codes: codes or posterior means, ``(n, d)``.
            factors: on the same device, ``(n, F)``.
            log_variance: of the posteriors, ``(n, d)``; for soft bins.
            groups: of the rows, ``(n,)`` integers from 0 to 19; ``None``: all are one group.
            before: counts so far, ``(V, G F, d, B)``, to which these are added, in place where they are large enough.

        Returns:
            Counts of the groups, ``(V, G, F, d, B)``, integers for hard bins.

        Raises:
            ValueError: if values of discrete factors cannot be counted, or ranges do not fit the codes.
        """
        if self.range is not None and not {end.numel() for end in self.range} <= {1, codes.shape[1]}:
            raise ValueError(f"edges must be numbers or one for each of {codes.shape[1]} codes")
        num_groups = 1 if groups is None else NUM_GROUPS
        highest = self._check_values(factors, codes.shape[1] * num_groups)
        values = self.values(factors)
        (_, d), (_, num_factors) = codes.shape, values.shape
        if any(continuous_columns(self.continuous, num_factors)):
            highest = int(values.max()) if len(values) else 0
        table = codes.new_zeros((), dtype=torch.float64 if self.soft else torch.int64) if before is None else before
        table = grown(table, (highest + 1, num_groups * num_factors, d, self.num_bins), "counts")
        table = table.unflatten(1, (num_groups, num_factors))
        if not len(codes):
            return table
        low, high = (end.to(codes.device) for end in self.range or (codes.amin(0), codes.amax(0)))
        quantiles = normal_quantile_edges(self.num_bins).to(codes.device) if self.of_prior else None
        block = max(sizes_of(codes.device).numbers_each(4), min(table.numel(), _LARGEST_BLOCK))
        for part in row_blocks(len(codes), d * (num_factors if log_variance is None else self.num_bins), block):
            of_rows = None if groups is None else groups[part]
            if self.soft and log_variance is not None:
                soft = self._soft(
                    codes[part].double(), log_variance[part].to(codes.device, torch.float64), low, high, quantiles
                )
                table.add_(self._weights(soft, values[part], of_rows, table.shape))
            else:
                bins = self._hard(codes[part], low, high, quantiles)
                grouped_counts(bins, values[part], of_rows, self.num_bins, len(table), num_groups, into=table)
        return table

    def numbered(self, factors: Tensor, num_codes: int) -> Tensor:
        """Factors whose discrete values, if they are negative or far apart, are numbered in ascending order."""
        if self._can_count(factors, num_codes):
            return factors
        factors, discrete = factors.clone(), self._discrete(factors)
        factors[:, discrete] = value_labels(factors[:, discrete]).double()
        return factors

    def values(self, factors: Tensor) -> Tensor:
        """Values as integers, those of continuous factors binned."""
        columns = continuous_columns(self.continuous, factors.shape[1])
        if not any(columns):
            return factors.to(torch.int64)
        real = factors[:, columns].double()
        if self.factor_range is not None:
            low, high = (end.to(real.device) for end in self.factor_range)
        else:
            low, high = (real.amin(0), real.amax(0)) if len(real) else (real.new_zeros(()), real.new_ones(()))
        values = factors.double().clone()
        values[:, columns] = assign_bins(real, equal_width_edges(low, high, self.num_factor_bins)).double()
        return values.to(torch.int64)

    def warn_of_outer_bins(self, histogram: Tensor) -> None:
        """Warn of codes most values of which are in the outermost bins; ``histogram`` is ``(d, B)``."""
        outer = (histogram[:, 0] + histogram[:, -1]) / histogram.sum(-1)
        outside = (outer > 0.5).nonzero()[:, 0].tolist()
        if outside and self.num_bins > 4:
            rank_zero_warn(
                f"most values of the codes {outside} lie in the outermost of the bins given by edges: these codes are "
                "on another scale; use edges='data' or the codes' range",
                UserWarning,
            )

    def _hard(self, codes: Tensor, low: Tensor, high: Tensor, quantiles: Tensor | None) -> Tensor:
        if quantiles is not None:
            return assign_bins(codes, quantiles)
        return assign_equal_bins(codes, low, high, self.num_bins)

    def _soft(self, mean: Tensor, log_variance: Tensor, low: Tensor, high: Tensor, quantiles: Tensor | None) -> Tensor:
        if self.by_density:
            return density_bins(mean, log_variance, low, high, self.num_bins)
        edges = equal_width_edges(low, high, self.num_bins) if quantiles is None else quantiles
        return soft_bins(mean, log_variance, edges)

    def _weights(self, soft: Tensor, values: Tensor, groups: Tensor | None, shape: Sequence[int]) -> Tensor:
        """Sums of the weights ``(n, d, B)``, of a shape ``(V, G, F, d, B)``."""
        num_values, num_groups = shape[:2]
        if groups is not None:  # the same value is another one in every group
            values = values * num_groups + groups[:, None]
        by_value = joint_weights(soft, values, num_values * num_groups)
        return by_value.permute(3, 0, 1, 2).contiguous().unflatten(0, (num_values, num_groups))

    def _can_count(self, factors: Tensor, num_codes: int) -> bool:
        """Whether the values of discrete factors are numbers from 0, few enough for a table."""
        return self._fit(*self._extremes(factors), factors.shape[1] * num_codes)

    def _fit(self, low: int, high: int, num_tables: int) -> bool:
        return low >= 0 and (high + 1) * num_tables * self.num_bins <= _LARGEST_TABLE

    def _extremes(self, factors: Tensor) -> tuple[int, int]:
        columns = self._discrete(factors)
        discrete = factors if all(columns) else factors[:, columns]
        low, high = discrete.aminmax() if discrete.numel() else (0, 0)
        return int(low), int(high)

    def _discrete(self, factors: Tensor) -> list[bool]:
        return [not real for real in continuous_columns(self.continuous, factors.shape[1])]

    def _check_values(self, factors: Tensor, num_codes: int) -> int:
        """The largest value of the discrete factors, which are refused if they cannot be counted."""
        low, high = self._extremes(factors)
        num_tables = factors.shape[1] * num_codes
        if not self._fit(low, high, num_tables):
            size = f", a table of {(high + 1) * num_tables * self.num_bins:,} counts" if low >= 0 else ""
            raise ValueError(
                f"values of discrete factors must be numbered from 0 without large gaps, got {low} to {high}{size}; "
                f"name real ones in continuous, and keep tables below {_LARGEST_TABLE:,} counts by intervals=False, "
                "fewer bins or fewer codes"
            )
        return high


def _as_range(ends: Any, name: str) -> tuple[Tensor, Tensor]:
    """A range as two float64 tensors, refused if it is none."""
    if not isinstance(ends, Sequence) or len(ends) != 2:
        raise ValueError(f"{name} must be (low, high), got {ends!r}")
    low, high = (torch.as_tensor(end, dtype=torch.float64).detach().cpu() for end in ends)
    if low.ndim > 1 or high.ndim > 1 or not (low.isfinite().all() and high.isfinite().all() and (low <= high).all()):
        raise ValueError(f"{name} must be a finite ascending range (low, high), got {ends!r}")
    return low, high


def _listed(ends: tuple[Tensor, Tensor]) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(end.reshape(-1).tolist()) for end in ends)
