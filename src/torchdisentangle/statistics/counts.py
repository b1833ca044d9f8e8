"""Joint counts of code bins and factor values: everything the information-based supervised scores need."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor
from torchmetrics.utilities import rank_zero_warn

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
from torchdisentangle.statistics.sample import SampleStatistic

Ends = tuple[Tensor | Sequence[float] | float, Tensor | Sequence[float] | float]
"""Lower and upper end of a range, numbers or one for each dimension."""

_LARGEST_STATE = 2**27  # counts, 1 GiB
_BLOCK = 2**18  # numbers held at a time, about what fits a cache


class JointCountStatistic(SampleStatistic):
    r"""How often each bin of each code met each value of each factor.

    .. math:: C_{fkbv} = \sum_n Q_{nkb} \, 1[y_{nf} = v]

    where :math:`Q_{nkb}` is 1 for the bin that code ``k`` of row ``n`` falls into, or, with ``binning="soft"``, the
    probability of the bin under the row's posterior. Where the bins come from decides what is kept:

    - ``edges="data"``: bins of equal width between each code's smallest and largest value, the published protocol. It
      suits codes of any scale. The edges are known only at the end, so rows are kept: all of them up to ``max_rows``,
      beyond that a uniform sample of that size, the same for any number of processes.
    - ``edges="prior"``: the ``1 / B`` quantiles of a standard normal. For codes that follow such a prior, as those of a
      VAE. Robust against outliers; all rows are counted and none is kept.
    - ``edges=(low, high)``: bins of equal width in a range that is known before, numbers or ``(d,)``, for instance from
      :class:`~torchdisentangle.statistics.range.DataRange` over a first pass. All rows are counted, none is kept.

    Values outside fall into the outermost bins; if that is more than half of a code's values, a warning says so.

    Args:
        num_bins: number of bins ``B`` of a code.
        edges: where the bins are, as above.
        binning: ``"hard"`` counts codes; ``"soft"`` posteriors, by the probability of each bin; ``"density"``
            posteriors, by the density at the bins' centres as in the reference implementation (``edges=(low, high)``
            only, two numbers).
        continuous: columns of the factors that are real numbers, which are binned too; ``True``: all.
        factor_range: range of the continuous factors, two numbers or two with one for each of them. With
            ``edges="data"`` it may be left out and is then that of the rows.
        num_factor_bins: number of bins of a continuous factor, by default ``num_bins``.
        max_rows: how many rows to keep at most with ``edges="data"``.
        seed: decides which rows are kept.
        configuration: as for :class:`~torchdisentangle.statistics.Statistic`.
        kwargs: as for :class:`torchmetrics.Metric`.

    Raises:
        ValueError: for settings that do not fit together.
    """

    counts: Tensor
    num_nonfinite: Tensor
    codes: Tensor
    factors: Tensor
    log_variance: Tensor

    def __init__(
        self,
        num_bins: int = 20,
        edges: Literal["data", "prior"] | Ends = "data",
        binning: Literal["hard", "soft", "density"] = "hard",
        continuous: bool | Sequence[int] = False,
        factor_range: Ends | None = None,
        num_factor_bins: int | None = None,
        max_rows: int = 2**16,
        seed: int = 0,
        configuration: object = None,
        **kwargs: Any,
    ) -> None:
        if num_bins < 1 or (num_factor_bins or 1) < 1:
            raise ValueError(f"at least one bin is needed, got {num_bins} for codes, {num_factor_bins} for factors")
        if binning not in ("hard", "soft", "density"):
            raise ValueError(f"binning must be 'hard', 'soft' or 'density', got {binning!r}")
        given = None if isinstance(edges, str) else as_ends(edges, "edges")
        if given is None and edges not in ("data", "prior"):
            raise ValueError(f"edges must be 'data', 'prior' or two ends of a range, got {edges!r}")
        if binning == "density" and (given is None or given[0].ndim):
            raise ValueError("binning='density' needs edges=(low, high), two numbers")
        of_factors = None if factor_range is None else as_ends(factor_range, "factor_range")
        columns = continuous if isinstance(continuous, bool) else tuple(continuous)
        if columns and of_factors is None and edges != "data":
            raise ValueError("continuous factors need factor_range=(low, high) unless edges='data'")
        ends = [None if pair is None else [end.tolist() for end in pair] for pair in (given, of_factors)]
        named = edges if given is None else None
        settings = ("joint counts", num_bins, named, binning, columns, num_factor_bins, *ends, configuration)
        super().__init__(["codes", "factors", "log_variance"], max_rows, seed, configuration=settings, **kwargs)
        self.num_bins, self.edges, self.code_range, self.binning = num_bins, named, given, binning
        self.continuous, self.factor_range = columns, of_factors
        self.num_factor_bins = num_factor_bins or num_bins
        self.add_sum("counts", dtype=torch.int64 if binning == "hard" else torch.float64)
        self.add_sum("num_nonfinite", dtype=torch.int64)

    @property
    def keeps_rows(self) -> bool:
        """Whether rows are kept until the edges are known."""
        return self.edges == "data"

    @property
    def num_samples(self) -> int:
        """Rows that the counts are of."""
        return len(self.keys) if self.keeps_rows else int(self.num_seen - self.num_nonfinite)

    def update(
        self, codes: Tensor, factors: Tensor, log_variance: Tensor | None = None, index: Tensor | None = None
    ) -> None:
        """Add rows.

        Args:
            codes: codes or posterior means, ``(n, d)``. Rows with NaN or infinite entries, here or in the other
                arguments, are left out, counted in ``num_nonfinite``, and warned of.
            factors: ``(n, F)``, or ``(n,)`` for one: values of discrete factors, integers from 0, also as whole floats;
                real numbers in ``continuous`` columns.
            log_variance: logarithms of the posteriors' variances, ``(n, d)``; needed by soft binning, else ignored.
            index: global positions of the rows, ``(n,)``, see
                :meth:`~torchdisentangle.statistics.sample.SampleStatistic.add_rows`; ignored where no rows are kept.

        Raises:
            ValueError: if shapes or values do not fit.
        """
        codes, factors = codes.detach(), factors.detach()[:, None] if factors.ndim == 1 else factors.detach()
        self._check(codes, factors, log_variance, index)
        index = self._number(len(codes)) if index is None and self.keeps_rows else index
        posterior = None if log_variance is None or self.binning == "hard" else log_variance.detach()
        lost = 0
        if not all(_all_finite(x) for x in (codes, factors, posterior)):
            finite = codes.isfinite().all(1) & factors.isfinite().all(1).to(codes.device)
            finite = finite if posterior is None else finite & posterior.isfinite().all(1)
            lost = int((~finite).sum())
            codes, factors = codes[finite], factors[finite.to(factors.device)]
            posterior = None if posterior is None else posterior[finite]
            index = None if index is None else index[finite.to(index.device)]
        self._check_values(factors, codes.shape[1])
        self._leave_out(lost)
        if self.keeps_rows:
            rows = {"codes": codes, "factors": factors}
            self.add_rows(rows if posterior is None else {**rows, "log_variance": posterior}, index)
        else:
            table = self._count(codes, factors, posterior).permute(3, 0, 1, 2)  # a new value is a new row at the end
            self.accumulate(counts=table, num_seen=torch.tensor(len(codes)))

    def joint_counts(self) -> Tensor:
        """The counts ``(F, d, B, V)``, integers for hard binning, over the rows seen so far.

        Raises:
            ValueError: if there are no rows.
        """
        if self.num_samples == 0:
            lost = f" ({int(self.num_nonfinite)} were NaN or infinite)" if self.num_nonfinite else ""
            raise ValueError(f"{type(self).__name__} has no samples{lost}")
        if self.keeps_rows:
            return self._count(self.codes, self.factors, self.log_variance if self.binning != "hard" else None)
        table = self.counts.permute(1, 2, 3, 0)
        self._warn_of_outer_bins(table[0].sum(-1))
        return table

    def reduce_others(self, group: Any | None) -> None:
        """Gather the rows, if any are kept."""
        if self.keeps_rows:
            super().reduce_others(group)

    def _count(self, codes: Tensor, factors: Tensor, log_variance: Tensor | None) -> Tensor:
        codes, values = codes.to(self.device), self._factor_values(factors.to(self.device))
        (_, d), (_, num_factors) = codes.shape, values.shape
        num_values = int(values.max()) + 1 if len(values) else 1
        table = self.counts.new_zeros(num_factors, d, self.num_bins, num_values)
        ends = self.code_range or ((codes.amin(0), codes.amax(0)) if len(codes) else (0.0, 0.0))
        for rows in row_blocks(len(codes), d * (num_factors if log_variance is None else self.num_bins), _BLOCK):
            if log_variance is None:
                table += joint_counts(self._hard(codes[rows], *ends), values[rows], self.num_bins, num_values)
            else:
                soft = self._soft(codes[rows].double(), log_variance[rows].to(self.device, torch.float64), *ends)
                table += joint_weights(soft, values[rows], num_values)
        return table

    def _hard(self, codes: Tensor, low: Tensor | float, high: Tensor | float) -> Tensor:
        if self.edges == "prior":
            return assign_bins(codes, normal_quantile_edges(self.num_bins).to(codes.device))
        return assign_equal_bins(codes, low, high, self.num_bins)

    def _soft(self, mean: Tensor, log_variance: Tensor, low: Tensor | float, high: Tensor | float) -> Tensor:
        if self.binning == "density":
            return density_bins(mean, log_variance, low, high, self.num_bins)
        prior = self.edges == "prior"
        edges = normal_quantile_edges(self.num_bins) if prior else equal_width_edges(low, high, self.num_bins)
        return soft_bins(mean, log_variance, edges.to(mean.device))

    def _factor_values(self, factors: Tensor) -> Tensor:
        """Values as integers, those of continuous factors binned."""
        columns = self._continuous_columns(factors.shape[1])
        if not columns:
            return factors.to(torch.int64)
        real = factors[:, columns].double()
        if self.factor_range is not None:
            low, high = (end.to(real.device) for end in self.factor_range)
        else:
            low, high = (real.amin(0), real.amax(0)) if len(real) else (real.new_zeros(()), real.new_ones(()))
        values = factors.double().clone()
        values[:, columns] = assign_bins(real, equal_width_edges(low, high, self.num_factor_bins)).double()
        return values.to(torch.int64)

    def _continuous_columns(self, num_factors: int) -> list[int]:
        if isinstance(self.continuous, bool):
            return list(range(num_factors)) if self.continuous else []
        return sorted({column % num_factors for column in self.continuous})

    def _check(self, codes: Tensor, factors: Tensor, log_variance: Tensor | None, index: Tensor | None) -> None:
        rows = len(codes)
        if codes.ndim != 2 or factors.ndim != 2 or len(factors) != rows or 0 in (codes.shape[1], factors.shape[1]):
            raise ValueError(
                "codes must have shape (n, d) and factors (n, F) with the same n, "
                f"got {tuple(codes.shape)} and {tuple(factors.shape)}"
            )
        if self.binning != "hard" and (log_variance is None or log_variance.shape != codes.shape):
            got = "nothing" if log_variance is None else tuple(log_variance.shape)
            raise ValueError(
                f"binning={self.binning!r} needs log_variance of the codes' shape {tuple(codes.shape)}, got {got}; "
                "binning='hard' counts codes without a posterior"
            )
        if index is not None and (index.shape != (rows,) or index.is_floating_point()):
            raise ValueError(f"index must be integers of shape ({rows},), got {tuple(index.shape)} of {index.dtype}")
        seen = (self.counts.shape[2], self.counts.shape[1]) if self.counts.ndim else None
        if seen and seen != (codes.shape[1], factors.shape[1]):
            raise ValueError(
                f"updates so far had {seen[0]} codes and {seen[1]} factors, "
                f"this one has {codes.shape[1]} and {factors.shape[1]}"
            )
        if self.code_range is not None and not {end.numel() for end in self.code_range} <= {1, codes.shape[1]}:
            raise ValueError(f"edges must be numbers or one for each of {codes.shape[1]} codes")
        if not isinstance(self.continuous, bool) and any(
            not -factors.shape[1] <= column < factors.shape[1] for column in self.continuous
        ):
            raise ValueError(f"continuous names the columns {list(self.continuous)} of {factors.shape[1]} factors")

    def _check_values(self, factors: Tensor, num_codes: int) -> None:
        columns = self._continuous_columns(factors.shape[1])
        others = [column for column in range(factors.shape[1]) if column not in columns]
        discrete = factors[:, others] if columns else factors
        if discrete.is_floating_point() and not torch.equal(discrete, discrete.round()):
            raise ValueError("discrete factors must be whole numbers; name real ones in continuous")
        if discrete.numel() == 0:
            return
        low, high = (int(end) for end in discrete.aminmax())
        if low < 0 or (high + 1) * factors.shape[1] * num_codes * self.num_bins > _LARGEST_STATE:
            raise ValueError(
                f"values of discrete factors must be numbered from 0 without large gaps, got {low} to {high}; "
                "name real ones in continuous"
            )

    def _leave_out(self, count: int) -> None:
        self.accumulate(num_nonfinite=torch.tensor(count), num_seen=torch.tensor(count))
        if count:
            rank_zero_warn(
                "rows with NaN or infinite codes, variances or factors are left out of the counts; their number is in "
                f"num_nonfinite ({count} in this batch)",
                UserWarning,
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


def _all_finite(values: Tensor | None) -> bool:
    """Whether all are certainly finite, or there are none: in one pass, for one that is not makes their sum so."""
    return values is None or not values.is_floating_point() or bool(values.sum().isfinite())


def as_ends(ends: Ends, name: str) -> tuple[Tensor, Tensor]:
    """A range as two float64 tensors, refused if it is none."""
    if len(ends) != 2:
        raise ValueError(f"{name} must be (low, high), got {ends!r}")
    low, high = (torch.as_tensor(end, dtype=torch.float64).detach().cpu() for end in ends)
    if low.ndim > 1 or high.ndim > 1 or not (low.isfinite().all() and high.isfinite().all() and (low <= high).all()):
        raise ValueError(f"{name} must be a finite ascending range (low, high), got {ends!r}")
    return low, high
