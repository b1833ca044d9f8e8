"""Joint counts of code bins and factor values, which the information-based supervised scores are read from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import torch
from torch import Tensor

from torchdisentangle.statistics.base import Statistic
from torchdisentangle.statistics.bin_counter import BinCounter, Binning, Edges, Range
from torchdisentangle.statistics.checks import Continuous
from torchdisentangle.statistics.code_factor_state import CodeFactorState
from torchdisentangle.statistics.groups import NUM_GROUPS, group_sizes, groups_of_keys, row_groups
from torchdisentangle.statistics.rows import CodeFactorRows
from torchdisentangle.statistics.sample import SampledRows


class JointCounts(CodeFactorState):
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
        intervals: whether to keep the counts of twenty groups of rows, in twenty times the memory, so that scores have
            intervals; with ``edges="data"`` they have them anyway.

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
        intervals: bool = True,
    ) -> None:
        self.bins: BinCounter = BinCounter(num_bins, edges, binning, mode, continuous, factor_edges, num_factor_bins)
        self.rows: CodeFactorRows = CodeFactorRows(max_rows, continuous, seed, log_variance=binning == "soft")
        self.of_rows: bool = self.bins.of_data
        self.num_groups = NUM_GROUPS if intervals and not self.of_rows else 1
        self.how: tuple[object, ...] = ("joint counts", *self.bins.configuration)
        self.configuration: object = self.rows.configuration if self.of_rows else (*self.how, self.num_groups, seed)
        self.needs: frozenset[str] = self.rows.needs

    def add_states_to(self, statistic: Statistic) -> None:
        """Add the states: rows, or the sums ``counts`` ``(V, G F, d, B)`` and ``num_counted`` ``(G,)``."""
        if self.of_rows:
            self.rows.add_states_to(statistic)
        else:
            statistic.add_sum("counts", dtype=torch.float64 if self.bins.soft else torch.int64)
            statistic.add_sum("num_counted", dtype=torch.int64)
            statistic.add_sum("num_unnumbered", dtype=torch.int64)

    def widths(self, statistic: Any) -> tuple[int, int] | None:
        """How many codes and factors the rows so far had; ``None`` without rows."""
        if self.of_rows:
            return self.rows.widths(statistic)
        _, num_tables, num_codes, _ = statistic.counts.shape if statistic.counts.ndim else (0, 0, 0, 0)
        return (num_codes, num_tables // len(statistic.num_counted)) if num_codes else None

    def num_rows(self, statistic: Any) -> int:
        """Number of rows that the counts are of."""
        return self.rows.num_rows(statistic) if self.of_rows else int(statistic.num_counted.sum())

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
        """Add rows that were checked.

        Args:
            statistic: whose states these are.
            codes: codes or posterior means, ``(n, d)``.
            factors: ``(n, F)``.
            log_variance: of the posteriors, ``(n, d)``; for soft bins.
            index: global positions of the rows, ``(n,)``; used where rows are kept.
            kept: which rows to count, ``(n,)`` booleans; by default all.
            data: not used.

        Raises:
            ValueError: if values of discrete factors cannot be counted, or ranges do not fit the codes.
        """
        if self.of_rows:
            self.rows.add_codes(statistic, codes, factors, log_variance, index, kept)
            return
        codes, factors = codes.to(statistic.device), factors.to(statistic.device)
        groups = row_groups([codes, factors], index, self.rows.seed) if self.num_groups > 1 else None
        if kept is not None:
            kept = kept.to(statistic.device)
            codes, factors = codes[kept], factors[kept]
            groups = None if groups is None else groups[kept]
            log_variance = None if log_variance is None else log_variance.to(statistic.device)[kept]
        self._add(statistic, codes, factors, log_variance, groups)
        statistic.accumulate(num_unnumbered=len(codes) if index is None else 0)

    def read(self, statistic: Any) -> Tensor:
        """The counts ``(F, d, B, V)``, integers for hard bins.

        With ``edges="data"``, values of discrete factors that are negative or far apart are numbered first, in
        ascending order.
        """
        if not self.of_rows:
            table = self._by_group(statistic).sum(1).permute(1, 2, 3, 0)
            self.bins.warn_of_outer_bins(table[0].sum(-1))
            return table
        rows = self.rows.read(statistic)
        if self.how not in rows.derived:
            rows.derived[self.how] = self._count_rows(statistic, rows, None)[0]
        return rows.derived[self.how]

    def results(self, statistic: Any) -> dict[Any, Any]:
        """What was computed from the same rows, by how: shared by all metrics of a sample; empty where none is kept."""
        return self.rows.read(statistic).derived if self.of_rows else {}

    def group_sizes(self, statistic: Any) -> Tensor:
        """Number of rows of each group, ``(20,)``.

        Raises:
            ValueError: if no groups are kept.
        """
        if self.of_rows:
            return self.rows.group_sizes(statistic)
        if self.num_groups == 1:
            raise ValueError("counts keep no groups of rows: use intervals=True")
        return statistic.num_counted

    def group_factors(self, statistic: Any) -> Tensor:
        """Means of the numbers of the factors' values in each group, ``(20, F)``."""
        if self.of_rows:
            return self.rows.group_factors(statistic)
        counts = self._by_group(statistic)[:, :, :, 0].sum(-1).double()  # each code has counted all rows
        values = torch.arange(len(counts), dtype=torch.float64, device=counts.device)
        return torch.einsum("v,vgf->gf", values, counts) / statistic.num_counted.clamp(min=1)[:, None]

    def without_groups(self, statistic: Any) -> Iterator[Any]:
        """Copies of the statistic, each without one of the groups that has rows; bins are those of all rows."""
        present = self.group_sizes(statistic).nonzero()[:, 0].tolist()
        if not self.of_rows:
            counts = self._by_group(statistic)
            total, num_rows = counts.sum(1), statistic.num_counted.sum()
            for group in present:
                rest = (num_rows - statistic.num_counted[group])[None]
                yield statistic.copy_with(counts=total - counts[:, group], num_counted=rest)
            return
        rows, of_groups = self.rows.read(statistic), ("of groups", self.how)
        if of_groups not in rows.derived:
            rows.derived[of_groups] = self._count_rows(statistic, rows, groups_of_keys(rows.keys))
        tables = rows.derived[of_groups]
        total = tables.sum(0)
        for group, fewer in zip(present, self.rows.without_groups(statistic, with_columns=False), strict=True):
            derived = self.rows.read(fewer).derived
            if self.how not in derived:
                derived[self.how] = (total - tables[group]).clamp(min=0)
            yield fewer

    def _add(
        self, statistic: Any, codes: Tensor, factors: Tensor, log_variance: Tensor | None, groups: Tensor | None
    ) -> None:
        """Add rows to the sums; without groups they are one."""
        statistic.counts = self.bins.count(codes, factors, log_variance, groups, statistic.counts).flatten(1, 2)
        statistic.accumulate(num_counted=torch.tensor([len(codes)]) if groups is None else group_sizes(groups))

    def _by_group(self, statistic: Any) -> Tensor:
        """Counts of the groups, ``(V, G, F, d, B)``."""
        return statistic.counts.unflatten(1, (len(statistic.num_counted), -1))

    def _count_rows(self, statistic: Any, rows: SampledRows, groups: Tensor | None) -> Tensor:
        """Counts of the groups, ``(G, F, d, B, V)``."""
        codes, factors = (rows[name].to(statistic.device) for name in ("codes", "factors"))
        factors = self.bins.numbered(factors, codes.shape[1] * (1 if groups is None else NUM_GROUPS))
        tables = self.bins.count(codes, factors, rows["log_variance"] if self.bins.soft else None, groups)
        return tables.permute(1, 2, 3, 4, 0).contiguous()
