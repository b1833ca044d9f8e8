"""What the scores that are fitted to rows, or drawn from them, have in common."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, NamedTuple, TypeVar

import torch
from torch import Tensor

from torchdisentangle.plots.factors import plot_latents_against_factors
from torchdisentangle.statistics.factors import value_labels
from torchdisentangle.statistics.rows import CodeFactorSampleStatistic
from torchdisentangle.supervised.factor_scores import FactorScores

_FEWEST_ROWS = 4

Fit = TypeVar("Fit")


class Rows(NamedTuple):
    """Codes ``(n, D)`` with their factors ``(n, F)``."""

    codes: Tensor
    factors: Tensor


class RowMetric(FactorScores, CodeFactorSampleStatistic):
    """Base of the read-outs of :class:`~torchdisentangle.statistics.rows.CodeFactorSampleStatistic`.

    What is drawn or fitted at ``compute`` is seeded and uses the same rows on every process, so the value is the same
    on all of them.

    Args:
        test_fraction: share of the rows that a fitted predictor or a learned vote is tested on.
        num_bins: of continuous factors, where values are needed: equally many rows in each.
        factor_names: for messages and figures.
        kwargs: settings of the statistic (``max_rows``, ``continuous``, ``seed``) and of
            :class:`torchmetrics.Metric`.
    """

    interventional: ClassVar[bool] = False
    """Whether the score is about interventions, so wants rows of independent factors, by design if it can be."""

    def __init__(
        self,
        test_fraction: float = 1 / 3,
        num_bins: int = 10,
        factor_names: Sequence[str] | None = None,
        **kwargs: Any,
    ) -> None:
        if not 0 < test_fraction < 1:
            raise ValueError(f"test_fraction must be between 0 and 1, got {test_fraction}")
        if num_bins < 2:
            raise ValueError(f"num_bins must be at least 2, got {num_bins}")
        super().__init__(factor_names=factor_names, **kwargs)
        self.test_fraction, self.num_bins = test_fraction, num_bins
        self._fitted: tuple[Tensor, Any] | None = None

    @property
    def rows(self) -> Rows:
        """The kept rows, on the CPU."""
        if len(self.keys) < _FEWEST_ROWS:
            lost = f" ({int(self.num_nonfinite)} were NaN or infinite)" if self.num_nonfinite else ""
            raise ValueError(f"{type(self).__name__} needs at least {_FEWEST_ROWS} rows, got {len(self.keys)}{lost}")
        return Rows(self.codes.cpu(), self.factors.cpu())

    def labels(self, factors: Tensor) -> Tensor:
        """Values of the factors, or bins of continuous ones, numbered from 0, ``(n, F)``."""
        return value_labels(factors, self.continuous, self.num_bins)

    @property
    def train_and_test(self) -> tuple[slice, slice]:
        """The random split of the rows."""
        return self.split(self.test_fraction)

    def once(self, fit: Callable[[], Fit]) -> Fit:
        """What a metric's ``fit`` makes of the rows: called once as long as these are the same."""
        if self._fitted is None or self._fitted[0] is not self.codes:
            self._fitted = (self.codes, fit())
        return self._fitted[1]

    def generator(self) -> torch.Generator:
        """Random numbers for one computation."""
        return torch.Generator().manual_seed(self.seed)


class CodeFactorSample(RowMetric):
    """The rows themselves: a uniform sample of codes with their factors, for figures and scores of one's own.

    As input to ``forward`` and ``update`` the metric accepts ``codes`` ``(n, D)``, ``factors`` ``(n, F)`` and ``index``
    ``(n,)``; ``compute`` returns codes ``(m, D)`` and factors ``(m, F)`` in float64, on the CPU.

    Args:
        kwargs: as for :class:`RowMetric`.

    Example:
        >>> sample = CodeFactorSample(max_rows=10)
        >>> sample.update(torch.randn(100, 3), torch.arange(100)[:, None])
        >>> codes, factors = sample.compute()
        >>> codes.shape, factors.shape
        (torch.Size([10, 3]), torch.Size([10, 1]))
    """

    higher_is_better = None

    def compute(self) -> Rows:
        """The kept rows."""
        return self.rows

    def plot(self, val: Any = None, ax: Any = None) -> Any:
        """Mean of each latent for every value of each factor, on axes of its own."""
        codes, factors = self.compute() if val is None else val
        return plot_latents_against_factors(codes, factors, self.factor_names)
