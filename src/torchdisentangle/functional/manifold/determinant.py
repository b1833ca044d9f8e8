"""Log-determinants of correlation matrices, finite for singular ones, and hardly ever from eigenvalues.

A matrix is singular to rounding if its smallest eigenvalue is below :data:`SATURATION`. A Cholesky factor tells nearly
always that it is not, at a fraction of the cost of the eigenvalues:

* the trace is ``d``, so the other eigenvalues multiply up to at most ``e``, and the smallest is at least ``det / e``;
* where that is not enough, the smallest is at least ``1 / tr(C^-1)``.

Only matrices that pass neither test are decomposed.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

SATURATION = 2.0**-46

_LOG_DET_OF_REGULAR = math.log(SATURATION) + 1
_LARGEST_INVERSE_TRACE = 0.5 / SATURATION  # half of what would do, for the inverse is rounded too


class CholeskyLogDet(NamedTuple):
    """Log-determinants ``(N,)`` from Cholesky factors ``(N, d, d)``, and which of them cannot be trusted, ``(N,)``."""

    log_det: Tensor
    suspect: Tensor
    factor: Tensor


def log_det_correlation(correlation: Tensor) -> tuple[Tensor, Tensor]:
    """Log-determinant of correlation matrices, finite for singular ones.

    Args:
        correlation: ``(..., d, d)``, as from :func:`~torchdisentangle.functional.tangent_correlation`.

    Returns:
        The log-determinants ``(...)``, at most 0, and whether each matrix is singular to rounding: whether its smallest
        eigenvalue is below :data:`SATURATION`. Such eigenvalues are raised to a quarter of :data:`SATURATION`.

    Example:
        >>> log_det_correlation(torch.ones(2, 2, dtype=torch.float64))
        (tensor(-32.5779, dtype=torch.float64), tensor(True))
    """
    matrices = correlation.reshape(-1, *correlation.shape[-2:])
    first = cholesky_log_det(matrices)
    log_det, singular = floored_log_det(matrices, first) if first.suspect.any() else first[:2]
    if correlation.requires_grad:
        log_det = _differentiable(matrices, log_det, singular)
    return log_det.view(correlation.shape[:-2]), singular.view(correlation.shape[:-2])


@torch.no_grad()
def cholesky_log_det(correlation: Tensor) -> CholeskyLogDet:
    """Log-determinants of matrices that are taken to be regular, without a wait for the device.

    Args:
        correlation: ``(N, d, d)``.

    Returns:
        Right for all but the suspects, which :func:`floored_log_det` goes on with.

    Example:
        >>> cholesky_log_det(torch.eye(2).double()[None])[:2]
        (tensor([0.], dtype=torch.float64), tensor([False]))
    """
    factor, info = torch.linalg.cholesky_ex(correlation)
    log_det = 2 * factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    log_det = log_det.masked_fill(info > 0, -math.inf)
    return CholeskyLogDet(log_det, ~(log_det >= _LOG_DET_OF_REGULAR), factor)  # NaN is suspect


@torch.no_grad()
def floored_log_det(correlation: Tensor, first: CholeskyLogDet) -> tuple[Tensor, Tensor]:
    """Log-determinants of all matrices, those of the singular ones from floored eigenvalues.

    Args:
        correlation: ``(N, d, d)``.
        first: what :func:`cholesky_log_det` said of them.

    Returns:
        The log-determinants ``(N,)``, and which matrices are singular to rounding, ``(N,)``.

    Example:
        >>> singular = torch.ones(1, 2, 2).double()
        >>> floored_log_det(singular, cholesky_log_det(singular))
        (tensor([-32.5779], dtype=torch.float64), tensor([True]))
    """
    log_det, suspect, factor = first
    singular = torch.zeros_like(suspect)
    factored = (suspect & (log_det > -math.inf)).nonzero()[:, 0]
    inverse_trace = torch.cholesky_inverse(factor[factored]).diagonal(dim1=-2, dim2=-1).sum(-1)
    undecided = suspect.index_put((factored,), ~(inverse_trace <= _LARGEST_INVERSE_TRACE)).nonzero()[:, 0]
    if len(undecided):
        eigenvalues = torch.linalg.eigvalsh(correlation[undecided])
        low = (eigenvalues[:, 0] < SATURATION) | (log_det[undecided] == -math.inf)
        singular[undecided] = low
        floored = eigenvalues.clamp(min=SATURATION / 4).log().sum(-1)
        log_det = log_det.index_put((undecided,), torch.where(low, floored, log_det[undecided]))
    return log_det, singular


def _differentiable(correlation: Tensor, log_det: Tensor, singular: Tensor) -> Tensor:
    """The same log-determinants with gradients, but for singular matrices, which have none."""
    identity = torch.eye(correlation.shape[-1], dtype=correlation.dtype, device=correlation.device)
    factor = torch.linalg.cholesky(torch.where(singular[:, None, None], identity, correlation))
    return torch.where(singular, log_det, 2 * factor.diagonal(dim1=-2, dim2=-1).log().sum(-1))
