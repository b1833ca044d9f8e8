"""What the scores of means and covariances have in common."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from typing_extensions import Unpack

from torchdisentangle.functional.supervised.identifiability import correlation_matrix
from torchdisentangle.statistics import MetricSettings
from torchdisentangle.statistics.checks import Continuous
from torchdisentangle.statistics.code_factor_moments import CodeFactorMoments
from torchdisentangle.supervised.base import SupervisedScore


class MomentScore(SupervisedScore):
    """Base of the scores that are read from the covariance of codes and factors, which are numbers here.

    All share one state, exact on any number of processes and as cheap as a matrix product.

    Args:
        factor_names: for messages and figures.
        intervals: whether moments are kept so that there is an :meth:`interval`; updates take twice as long.
        settings: of :class:`torchmetrics.Metric`.
    """

    continuous: Continuous = True  # all factors are numbers here
    row_widths: Tensor

    def __init__(
        self, factor_names: Sequence[str] | None = None, intervals: bool = True, **settings: Unpack[MetricSettings]
    ) -> None:
        moments = CodeFactorMoments(intervals)
        super().__init__(moments, factor_names=factor_names, **settings)
        self.moments = moments
        self.intervals = intervals

    def _scored(self) -> Tensor:
        return self._correlation().diagonal()[self._num_codes() :] > 0

    def _num_codes(self) -> int:
        return int(self.row_widths[0])

    def _correlation(self) -> Tensor:
        """Correlations of codes and factors, ``(d + F, d + F)``; 0 for a constant column."""
        self.require_samples(self.moments.num_rows(self), "rows", 2)
        total = self.moments.total(self)
        return correlation_matrix(total.mean, total.covariance)
