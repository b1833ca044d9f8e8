"""Joint counts of code bins and factor values, which the information-based supervised scores are read from."""

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
from torchdisentangle.functional.supervised.joint_counts import joint_counts, joint_weights
from torchdisentangle.statistics.base import Statistic
from torchdisentangle.statistics.checks import Continuous, continuous_columns
from torchdisentangle.statistics.factors import value_labels
from torchdisentangle.statistics.rows import CodeFactorRows

Range = tuple[Tensor | Sequence[float] | float, Tensor | Sequence[float] | float]
"""Lower and upper end of a range, numbers or one for each dimension."""

Edges = Literal["data", "prior"] | Range
"""Where the bins of codes are."""

Binning = Literal["hard", "soft"]

_LARGEST_TABLE = 2**27  # counts, 1 GiB


class JointCounts:
    r"""How often each bin of each code met each value of each factor: states of a statistic, and how they are read.

    .. math:: C_{fkbv} = \sum_n Q_{nkb} \, 1[y_{nf} = v]

    where :math:`Q_{nkb}` is 1 for the bin that code ``k`` of row ``n`` falls into, or, with ``binning="soft"``, the
    probability of the bin under the row's posterior. The edges of the bins decide what is kept:

    - ``edges="data"``: bins of equal width between each code's smallest and largest value, the published protocol. It
      suits codes of any scale. The edges are known only at the end, so rows are kept: all of them up to ``max_rows``,
      beyond that a uniform sample of that size, the same for any number of processes. It is the sample of all metrics
      with the same :class:`~torchdisentangle.statistics.rows.CodeFactorRows`.
    - ``edges="prior"``: the ``1 / B`` quantiles of a standard normal, for codes that follow such a prior, as those of a
      VAE. Robust against outliers; all rows are counted and none is kept.
    - ``edges=(low, high)``: bins of equal width in a range that is known before, numbers or ``(d,)``, for instance from
      :class:`~torchdisentangle.statistics.range.DataRange` over a first pass. All rows are counted, none is kept.

    Values outside fall into the outermost bins; if that is more than half of a code's values, a warning says so.

    Args:
        num_bins: number of bins ``B`` of a code.
        edges: where the bins are, as above.
        binning: ``"hard"`` counts codes; ``"soft"`` counts posteriors, by the probability of each bin.
        mode: ``"exact"``; or, for soft bins, ``"reference"``: the density at the bins' centres in place of their
            probability, as in the reference implementation (``edges=(low, high)`` only, two numbers).
        continuous: columns of the factors that are real numbers, which are binned too; ``True``: all.
        factor_edges: range of the continuous factors, two numbers or two with one for each of them. With
            ``edges="data"`` it may be left out and is then that of the rows.
        num_factor_bins: number of bins of a continuous factor, by default ``num_bins``.
        max_rows: how many rows to keep at most with ``edges="data"``.
        seed: decides which rows are kept.

    Raises:
        ValueError: for settings that do not fit together.
    """

    def __init__(
        self,
        num_bins: int = 20,
        edges: Edges = "data",
        binning: Binning = "hard",
        mode: Literal["exact", "reference"] = "exact",
        continuous: Continuous = False,
        factor_edges: Range | None = None,
        num_factor_bins: int | None = None,
        max_rows: int = 10_000,
        seed: int = 0,
    ) -> None:
        if num_bins < 1 or (num_factor_bins is not None and num_factor_bins < 1):
            raise ValueError(f"num_bins and num_factor_bins must be at least 1, got {num_bins} and {num_factor_bins}")
        if binning not in ("hard", "soft"):
            raise ValueError(f"binning must be 'hard' or 'soft', got {binning!r}")
        if isinstance(edges, str) and edges not in ("data", "prior"):
            raise ValueError(f"edges must be 'data', 'prior' or two ends of a range, got {edges!r}")
        self.range = None if isinstance(edges, str) else _as_range(edges, "edges")
        self.factor_range = None if factor_edges is None else _as_range(factor_edges, "factor_edges")
        self.rows = CodeFactorRows(max_rows, continuous, seed, log_variance=binning == "soft")
        self.of_rows = isinstance(edges, str) and edges == "data"
        self.of_prior = isinstance(edges, str) and edges == "prior"
        self.num_bins, self.binning, self.continuous = num_bins, binning, continuous
        self.num_factor_bins = num_bins if num_factor_bins is None else num_factor_bins
        self.by_density = mode == "reference"
        if self.by_density and (binning == "hard" or self.range is None or self.range[0].ndim or self.range[1].ndim):
            raise ValueError("mode='reference' needs binning='soft' and edges=(low, high), two numbers")
        if continuous and self.factor_range is None and not self.of_rows:
            raise ValueError("continuous factors need factor_edges=(low, high) unless edges='data'")
        ends = [None if pair is None else _listed(pair) for pair in (self.range, self.factor_range)]
        self._how = ("joint counts", num_bins, self.of_prior, binning, mode, self.num_factor_bins, *ends)
        columns = continuous if isinstance(continuous, bool) else tuple(continuous)
        self.configuration = self.rows.configuration if self.of_rows else (*self._how, columns)

    def register(self, statistic: Statistic) -> None:
        """Add the states: rows, or the sums ``counts`` and ``num_counted``."""
        if self.of_rows:
            statistic.add_state_of(self.rows)
        else:
            statistic.add_sum("counts", dtype=torch.int64 if self.binning == "hard" else torch.float64)
            statistic.add_sum("num_counted", dtype=torch.int64)

    def widths(self, statistic: Any) -> tuple[int, int] | None:
        """How many codes and factors the rows so far had; ``None`` without rows."""
        if self.of_rows:
            return self.rows.widths(statistic)
        return (statistic.counts.shape[2], statistic.counts.shape[1]) if statistic.counts.ndim else None

    def num_rows(self, statistic: Any) -> int:
        """Number of rows that the counts are of."""
        return len(statistic.keys) if self.of_rows else int(statistic.num_counted)

    def add(
        self,
        statistic: Any,
        codes: Tensor,
        factors: Tensor,
        log_variance: Tensor | None = None,
        index: Tensor | None = None,
        kept: Tensor | None = None,
    ) -> None:
        """Add rows that were checked.

        Args:
            statistic: whose states these are.
            codes: codes or posterior means, ``(n, d)``.
            factors: ``(n, F)``.
            log_variance: of the posteriors, ``(n, d)``; for soft bins.
            index: global positions of the rows, ``(n,)``; used where rows are kept.
            kept: which rows to count, ``(n,)`` booleans; by default all.

        Raises:
            ValueError: if values of discrete factors cannot be counted, or ranges do not fit the codes.
        """
        if self.of_rows:
            self.rows.add_codes(statistic, codes, factors, log_variance, index, kept)
            return
        if kept is not None:
            codes, factors = codes[kept], factors[kept.to(factors.device)]
            log_variance = None if log_variance is None else log_variance[kept.to(log_variance.device)]
        if self.range is not None and not {end.numel() for end in self.range} <= {1, codes.shape[1]}:
            raise ValueError(f"edges must be numbers or one for each of {codes.shape[1]} codes")
        self._check_values(factors, codes.shape[1])
        table = self._count(statistic, codes, factors, log_variance)
        statistic.accumulate(counts=table.permute(3, 0, 1, 2), num_counted=len(codes))  # a new value is a new row

    def read(self, statistic: Any) -> Tensor:
        """The counts ``(F, d, B, V)``, integers for hard bins.

        With ``edges="data"``, values of discrete factors that are negative or far apart are numbered first, in
        ascending order.
        """
        if not self.of_rows:
            table = statistic.counts.permute(1, 2, 3, 0)
            self._warn_of_outer_bins(table[0].sum(-1))
            return table
        rows = self.rows.read(statistic)
        if self._how not in rows.derived:
            factors = rows.columns["factors"]
            if not self._can_count(factors, rows.columns["codes"].shape[1]):
                factors, discrete = factors.clone(), self._discrete(factors)
                factors[:, discrete] = value_labels(factors[:, discrete]).double()
            self._check_values(factors, rows.columns["codes"].shape[1])
            log_variance = rows.columns["log_variance"] if self.binning == "soft" else None
            rows.derived[self._how] = self._count(statistic, rows.columns["codes"], factors, log_variance)
        return rows.derived[self._how]

    def _count(self, statistic: Any, codes: Tensor, factors: Tensor, log_variance: Tensor | None) -> Tensor:
        codes, values = codes.to(statistic.device), self._values(factors.to(statistic.device))
        (_, d), (_, num_factors) = codes.shape, values.shape
        num_values = int(values.max()) + 1 if len(values) else 1
        dtype = torch.int64 if self.binning == "hard" else torch.float64
        table = torch.zeros(num_factors, d, self.num_bins, num_values, dtype=dtype, device=statistic.device)
        low, high = self.range or ((codes.amin(0), codes.amax(0)) if len(codes) else (torch.zeros(()),) * 2)
        numbers = d * (num_factors if log_variance is None else self.num_bins)
        for part in row_blocks(len(codes), numbers, sizes_of(codes.device).numbers_each(4)):
            if self.binning == "soft" and log_variance is not None:
                soft = self._soft(codes[part].double(), log_variance[part].to(codes.device, torch.float64), low, high)
                table += joint_weights(soft, values[part], num_values)
            else:
                table += joint_counts(self._hard(codes[part], low, high), values[part], self.num_bins, num_values)
        return table

    def _hard(self, codes: Tensor, low: Tensor, high: Tensor) -> Tensor:
        if self.of_prior:
            return assign_bins(codes, normal_quantile_edges(self.num_bins).to(codes.device))
        return assign_equal_bins(codes, low, high, self.num_bins)

    def _soft(self, mean: Tensor, log_variance: Tensor, low: Tensor, high: Tensor) -> Tensor:
        if self.by_density:
            return density_bins(mean, log_variance, float(low), float(high), self.num_bins)
        edges = normal_quantile_edges(self.num_bins) if self.of_prior else equal_width_edges(low, high, self.num_bins)
        return soft_bins(mean, log_variance, edges.to(mean.device))

    def _values(self, factors: Tensor) -> Tensor:
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

    def _can_count(self, factors: Tensor, num_codes: int) -> bool:
        """Whether the values of discrete factors are numbers from 0, few enough for a table."""
        low, high = self._extremes(factors)
        return low >= 0 and (high + 1) * factors.shape[1] * num_codes * self.num_bins <= _LARGEST_TABLE

    def _extremes(self, factors: Tensor) -> tuple[int, int]:
        chosen = self._discrete(factors)
        discrete = factors if all(chosen) else factors[:, chosen]
        low, high = discrete.aminmax() if discrete.numel() else (0, 0)
        return int(low), int(high)

    def _discrete(self, factors: Tensor) -> list[bool]:
        return [not real for real in continuous_columns(self.continuous, factors.shape[1])]

    def _check_values(self, factors: Tensor, num_codes: int) -> None:
        if not self._can_count(factors, num_codes):
            low, high = self._extremes(factors)
            raise ValueError(
                f"values of discrete factors must be numbered from 0 without large gaps, got {low} to {high}; "
                "name real ones in continuous"
            )

    def _warn_of_outer_bins(self, histogram: Tensor) -> None:
        outer = (histogram[:, 0] + histogram[:, -1]) / histogram.sum(-1)
        outside = (outer > 0.5).nonzero()[:, 0].tolist()
        if outside and self.num_bins > 4:
            rank_zero_warn(
                f"most values of the codes {outside} lie in the outermost of the bins given by edges: these codes are "
                "on another scale; use edges='data' or the codes' range",
                UserWarning,
            )


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
