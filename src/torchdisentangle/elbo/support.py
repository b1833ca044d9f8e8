"""Whether the support of codes is a box, which asks for no independence."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from typing_extensions import Unpack

from torchdisentangle.functional.elbo.support import hausdorff_factorization, independence_of_support, live_codes
from torchdisentangle.plots import plot_pairwise, plot_scalar
from torchdisentangle.statistics.base import MetricSettings
from torchdisentangle.statistics.code_sample import CodeSampleStatistic
from torchdisentangle.statistics.readout import readout


class IOSS(CodeSampleStatistic):
    r"""Independence-of-support score (IOSS): how far the support of codes is from the box around it.

    .. math:: \mathrm{IOSS} = Q_{u \sim \mathcal U(B)} \min_n \lVert u - z_n \rVert

    with codes scaled to [0, 1] and :math:`B` the box of their trimmed ranges. **Lower is better.** Independent codes
    have a support that is a box; codes whose factors are correlated, but occur in all combinations, have one too, which
    is what the score is made for.

    It is never 0, because rows are finitely many: 4,000 rows of independent uniform codes score 0.02, 0.07, 0.20 and
    0.57 for 2, 3, 5 and 10 codes. Two equal codes score 0.62, a uniform disc about 0.12. Compare values of equally many
    rows and codes. A monotone warp of a code changes the value. Constant codes are left out; if all are, the value is
    0.

    As input to ``forward`` and ``update`` the metric accepts ``codes`` ``(n, d)``; ``compute`` returns a scalar. About
    a second for 10,000 rows of ten codes.

    Args:
        num_points: drawn in the box.
        trim: share of the rows that are off the box at either end of each code.
        tail: share of the points that may be farther than the value; 0: none, as in some published numbers.
        max_rows: how many rows to keep at most.
        seed: of the choice of rows, and of the points.
        settings: as for :class:`torchmetrics.Metric`.

    Reference:
        Wang & Jordan, *Desiderata for representation learning: a causal perspective*, arXiv 2109.03795.

    Example:
        >>> import torch
        >>> score = IOSS()
        >>> line = torch.linspace(0, 1, 2000)[:, None]
        >>> score.update(line.expand(-1, 2))
        >>> score.compute().round(decimals=1)
        tensor(0.6000, dtype=torch.float64)
    """

    higher_is_better: bool | None = False
    plot_lower_bound: float = 0.0

    def __init__(
        self,
        num_points: int = 10_000,
        trim: float = 0.01,
        tail: float = 0.01,
        max_rows: int = 10_000,
        seed: int = 0,
        **settings: Unpack[MetricSettings],
    ) -> None:
        independence_of_support(torch.zeros(1, 1), num_points, trim, tail)  # refuses what is wrong
        super().__init__(max_rows, seed, **settings)
        self.num_points: int = num_points
        self.trim: float = trim
        self.tail: float = tail

    def compute(self) -> Tensor:
        """The value over all processes."""
        return independence_of_support(self._codes(), self.num_points, self.trim, self.tail, self._generator())

    def plot(self, val: Any = None, ax: Any = None) -> Any:
        """The value, or a list of values over steps."""
        return plot_scalar(self.compute() if val is None else val, ax=ax, label="IOSS")


class HausdorffFactorizedSupport(CodeSampleStatistic):
    r"""Hausdorff factorized support score (HFS): how far any two codes are from occurring in all combinations.

    .. math:: \mathrm{HFS} = \sum_{i < j} \max_{a, b} \min_n
              \bigl[ (z_{ai} - z_{ni})^2 + (z_{bj} - z_{nj})^2 \bigr]

    mean over batches. **Lower is better**: 0 if every recombination :math:`(z_{ai}, z_{bj})` of a batch is a row of it,
    as on a full grid. It is a training penalty too, see
    :func:`~torchdisentangle.functional.hausdorff_factorization`.

    It is a sum over pairs, and distances are larger in small batches: compare values of equal ``batch_size`` and
    equally many codes. As published it is in squared units of the codes, so that shrinking codes lowers it;
    ``standardize`` takes that away. Constant codes are left out; a single code has no pairs: 0.

    As input to ``forward`` and ``update`` the metric accepts ``codes`` ``(n, d)``; ``compute`` returns a scalar. The
    cost is ``num_batches * batch_size ** 3 * d ** 2 / 2``, seconds for ten codes.

    Args:
        batch_size: rows of a batch; all rows, if there are fewer.
        num_batches: how many batches of the kept rows, at most as many as there are.
        standardize: whether codes are divided by their standard deviations.
        max_rows: how many rows to keep at most.
        seed: of the choice of rows.
        settings: as for :class:`torchmetrics.Metric`.

    Raises:
        ValueError: for numbers that are not positive.

    Reference:
        Roth et al., *Disentanglement of correlated factors via Hausdorff factorized support*, ICLR 2023.

    Example:
        >>> import torch
        >>> grid, line = torch.cartesian_prod(torch.arange(5.0), torch.arange(5.0)), torch.arange(5.0)
        >>> of_grid, of_line = (HausdorffFactorizedSupport(standardize=False) for _ in range(2))
        >>> of_grid.update(grid)
        >>> of_line.update(torch.stack([line, line], 1))
        >>> of_grid.compute(), of_line.compute()
        (tensor(0., dtype=torch.float64), tensor(8., dtype=torch.float64))
    """

    higher_is_better: bool | None = False
    plot_lower_bound: float = 0.0

    def __init__(
        self,
        batch_size: int = 128,
        num_batches: int = 4,
        standardize: bool = True,
        max_rows: int = 10_000,
        seed: int = 0,
        **settings: Unpack[MetricSettings],
    ) -> None:
        if batch_size < 2 or num_batches < 1:
            raise ValueError(
                f"batch_size must be at least 2 and num_batches positive, got {batch_size} and {num_batches}"
            )
        super().__init__(max_rows, seed, **settings)
        self.batch_size: int = batch_size
        self.num_batches: int = num_batches
        self.standardize: bool = standardize

    def compute(self) -> Tensor:
        """The value over all processes."""
        return self.pairwise().triu().sum()

    @readout
    def pairwise(self) -> Tensor:
        """The distance of each pair of codes that are not constant, ``(d', d')``, mean over batches."""
        codes = live_codes(self._codes())
        if self.standardize and codes.numel():
            codes = codes / codes.std(0)
        batches = codes.split(self.batch_size)[: self.num_batches]
        whole = [batch for batch in batches if len(batch) == self.batch_size] or batches
        return torch.stack([hausdorff_factorization(batch) for batch in whole]).mean(0)

    def plot(self, val: Any = None, ax: Any = None) -> Any:
        """All pairs as a heatmap, or given values over steps."""
        if val is not None:
            return plot_scalar(val, ax=ax, label="Hausdorff factorized support")
        return plot_pairwise(self.pairwise(), ax=ax, label="squared Hausdorff distance")
