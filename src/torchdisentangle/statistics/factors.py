"""The input of metrics that compare rows of codes with known factors."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torchmetrics.utilities import rank_zero_warn

Continuous = bool | Sequence[int]


def continuous_columns(continuous: Continuous, num_factors: int) -> list[bool]:
    """Which factors are real numbers.

    Args:
        continuous: the columns that are, which may count from the end; or whether all are.
        num_factors: how many there are.

    Returns:
        One boolean for each factor.

    Raises:
        ValueError: if a column does not exist.

    Example:
        >>> continuous_columns([0, -1], 3)
        [True, False, True]
    """
    if isinstance(continuous, bool):
        return [continuous] * num_factors
    if any(not -num_factors <= column < num_factors for column in continuous):
        raise ValueError(f"continuous names the columns {list(continuous)} of {num_factors} factors")
    named = {column % num_factors for column in continuous}
    return [column in named for column in range(num_factors)]


def checked_rows(codes: Tensor, factors: Tensor, continuous: Continuous) -> tuple[Tensor, Tensor, Tensor]:
    """Refuse input that is not codes with the factors of the same rows, and find the rows that are finite.

    Args:
        codes: ``(n, D)`` floats.
        factors: ``(n, F)``, or ``(n,)`` for one; whole numbers but for the continuous columns.
        continuous: as for :func:`continuous_columns`.

    Returns:
        Codes and factors of the finite rows, ``(m, D)`` and ``(m, F)``, and which those are, ``(n,)`` booleans. Of the
        others a warning is given.

    Raises:
        ValueError: if shapes or values do not fit.
    """
    factors = factors[:, None] if factors.ndim == 1 else factors
    if codes.ndim != 2 or codes.shape[1] == 0 or not codes.is_floating_point():
        raise ValueError(f"codes must be floats of shape (n, D), got {tuple(codes.shape)} of {codes.dtype}")
    if factors.ndim != 2 or factors.shape[1] == 0 or len(factors) != len(codes) or factors.is_complex():
        raise ValueError(
            f"factors must be numbers of shape ({len(codes)}, F), got {tuple(factors.shape)} of {factors.dtype}"
        )
    discrete = [column for column, real in enumerate(continuous_columns(continuous, factors.shape[1])) if not real]
    finite = codes.isfinite().all(1) & factors.isfinite().all(1).to(codes.device)
    if not finite.all():
        rank_zero_warn(
            "rows with NaN or infinite codes or factors are left out of the supervised scores; their number is in "
            f"num_nonfinite ({int((~finite).sum())} in this batch)",
            UserWarning,
        )
        codes, factors = codes[finite], factors[finite.to(factors.device)]
    whole = factors[:, discrete]
    if whole.is_floating_point() and not torch.equal(whole, whole.round()):
        raise ValueError("discrete factors must be whole numbers; name real ones in continuous")
    return codes.detach(), factors.detach(), finite


def value_labels(factors: Tensor, continuous: Continuous = False, num_bins: int = 10) -> Tensor:
    """Number the values of each factor, in ascending order from 0.

    Args:
        factors: ``(n, F)``.
        continuous: the columns of which to number bins instead, as for :func:`continuous_columns`.
        num_bins: how many bins, with equally many rows in each.

    Returns:
        ``(n, F)`` integers.

    Example:
        >>> value_labels(torch.tensor([[5.0], [7.0], [5.0], [20.0]]))[:, 0]
        tensor([0, 1, 0, 2])
        >>> value_labels(torch.linspace(0, 1, 6)[:, None], continuous=True, num_bins=3)[:, 0]
        tensor([0, 0, 1, 1, 2, 2])
    """
    share = torch.linspace(0, 1, num_bins + 1, dtype=torch.float64, device=factors.device)[1:-1]
    columns = []
    for column, real in zip(factors.unbind(1), continuous_columns(continuous, factors.shape[1]), strict=True):
        if real:
            column = torch.bucketize(column.double().contiguous(), column.double().quantile(share), right=True)
        columns.append(column.unique(return_inverse=True)[1])
    return torch.stack(columns, dim=1)
