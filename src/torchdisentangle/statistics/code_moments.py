"""Second moments of codes."""

from __future__ import annotations

from torch import Tensor
from typing_extensions import Unpack

from torchdisentangle.statistics.base import MetricSettings, Statistic
from torchdisentangle.statistics.checks import check_codes, check_index, finite_rows
from torchdisentangle.statistics.moments import RowMoments
from torchdisentangle.statistics.readout import readout

_ROUNDING = 1e-26  # a variance below this fraction of the squared mean is that of a constant


class CodeMomentStatistic(Statistic):
    """Number of rows, mean and covariance of codes, in float64.

    Args:
        settings: as for :class:`torchmetrics.Metric`.
    """

    is_differentiable: bool | None = False
    num_rows: Tensor
    row_mean: Tensor

    def __init__(self, **settings: Unpack[MetricSettings]) -> None:
        super().__init__("code moments", **settings)
        self.moments: RowMoments = RowMoments()
        self.add_state_of(self.moments)

    def update(self, codes: Tensor, *, index: Tensor | None = None) -> None:
        """Add codes.

        Args:
            codes: ``(n, d)``: posterior means, or samples. Rows with NaN or infinite entries, or any beyond 1e150, are
                left out, counted in ``num_nonfinite``, and warned of.
            index: positions of the rows in the data set, ``(n,)`` integers; moments do not need them.

        Raises:
            TypeError: if a tensor is not of the kind that belongs in its place.
            ValueError: if the shapes do not fit.
        """
        codes = check_codes(codes, width=self.row_mean.shape[1] if self.num_rows else None)
        check_index(index, len(codes))
        finite = finite_rows(codes, squared=True)
        self.moments.add(self, codes[finite])
        self.leave_out(int((~finite).sum()), "codes")

    @readout
    def covariance(self) -> Tensor:
        """Unbiased covariance of the codes, ``(d, d)``; exactly 0 for a constant code, and for a single row.

        Raises:
            ValueError: if there are no rows.
        """
        self.require_samples(self.num_rows, "codes")
        moments = self.moments.total(self)
        constant = moments.products.diagonal() <= _ROUNDING * moments.num_rows * moments.mean.square()
        return moments.covariance.masked_fill(constant[:, None] | constant, 0.0)
