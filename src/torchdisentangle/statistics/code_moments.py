"""Second moments of codes, as exact sums."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torchmetrics.utilities import rank_zero_warn

from torchdisentangle.statistics.base import Statistic

_ROUNDING = 1e-13  # a variance below this fraction of the second moment is that of a constant


class CodeMomentStatistic(Statistic):
    r"""Count, sum and sum of outer products of codes, in float64.

    The covariance is taken of uncentred sums, so that any split merges exactly: a code whose mean is ``r`` standard
    deviations from 0 loses :math:`2 \log_{10} r` of sixteen digits.

    Args:
        kwargs: as for :class:`~torchdisentangle.statistics.Statistic`.
    """

    num_rows: Tensor
    num_nonfinite: Tensor
    code_sum: Tensor
    code_outer: Tensor

    def __init__(self, configuration: object = "code moments", **kwargs: Any) -> None:
        super().__init__(configuration=configuration, **kwargs)
        self.add_sum("num_rows", dtype=torch.int64)
        self.add_sum("num_nonfinite", dtype=torch.int64)
        self.add_sum("code_sum")
        self.add_sum("code_outer")

    def update(self, codes: Tensor, index: Tensor | None = None) -> None:
        """Add codes.

        Args:
            codes: ``(n, d)``: posterior means, or samples. Rows with NaN or infinite entries are left out, counted in
                ``num_nonfinite``, and warned of.
            index: not needed by sums.

        Raises:
            ValueError: if the shape or dtype does not fit.
        """
        codes, lost = finite_codes(codes, self.code_sum.shape[-1] if self.code_sum.ndim else None)
        self.accumulate(
            num_rows=torch.tensor(len(codes)),
            num_nonfinite=torch.tensor(lost),
            code_sum=codes.sum(0),
            code_outer=codes.mT @ codes,
        )

    def covariance(self) -> Tensor:
        """Unbiased covariance of the codes, ``(d, d)``; exactly 0 for a constant code, and for a single row.

        Raises:
            ValueError: if there are no rows.
        """
        count = int(self.num_rows)
        if count < 1:
            lost = f" ({int(self.num_nonfinite)} were NaN or infinite)" if self.num_nonfinite else ""
            raise ValueError(f"{type(self).__name__} has no codes{lost}")
        mean = self.code_sum / count
        covariance = self.code_outer / count - mean[:, None] * mean
        constant = covariance.diagonal() <= _ROUNDING * self.code_outer.diagonal() / count
        return covariance.masked_fill(constant[:, None] | constant, 0.0) * (count / max(count - 1, 1))


def finite_codes(codes: Tensor, num_latents: int | None = None) -> tuple[Tensor, int]:
    """The finite rows of codes in float64, and how many others there were; these are warned of.

    Args:
        codes: ``(n, d)``.
        num_latents: what ``d`` has to be, if that is known.

    Returns:
        The rows without gradients, and the number left out.

    Raises:
        ValueError: if the shape or dtype does not fit.

    Example:
        >>> finite_codes(torch.ones(2, 1))
        (tensor([[1.],
                [1.]], dtype=torch.float64), 0)
    """
    if codes.ndim != 2 or codes.shape[1] == 0 or not codes.is_floating_point():
        raise ValueError(f"codes must be floating point of shape (n, d), got {tuple(codes.shape)} of {codes.dtype}")
    if num_latents is not None and codes.shape[1] != num_latents:
        raise ValueError(f"updates so far had {num_latents} latents, this one has {codes.shape[1]}")
    codes = codes.detach().double()
    finite = codes.isfinite().all(1)
    lost = len(codes) - int(finite.sum())
    if lost:
        rank_zero_warn(
            f"codes with NaN or infinite entries are left out; their number is in num_nonfinite ({lost} in this batch)",
            UserWarning,
        )
    return codes[finite], lost
