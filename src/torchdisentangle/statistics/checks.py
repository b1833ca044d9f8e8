"""Checks of what metrics of rows are updated with: codes, posteriors, factors, labels and indices.

A value of the wrong kind (no tensor, integers where floats belong) raises a TypeError, a wrong shape or a wrong number
a ValueError; both name the argument and what it got. NumPy arrays are accepted where tensors are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Integral
from typing import Any

import numpy as np
import torch
from torch import Tensor

from torchdisentangle.functional.device import float64_device

MOST_TO_SQUARE = 1e150  # squares of larger numbers overflow
_LARGEST_SEED = 2**32 - 1  # what scikit-learn and NumPy accept

Continuous = bool | Sequence[int]
"""Which columns of the factors are real numbers: all, none, or the columns named."""


def as_tensor(value: Any, name: str) -> Tensor:
    """A tensor without gradients, also of a NumPy array.

    Args:
        value: a tensor or an array.
        name: of the argument.

    Raises:
        TypeError: for anything else.

    Example:
        >>> as_tensor([1.0], "codes")
        Traceback (most recent call last):
            ...
        TypeError: codes must be a tensor or a NumPy array, got list
    """
    if isinstance(value, np.ndarray) and value.dtype.kind in "fiub":
        return torch.from_numpy(np.ascontiguousarray(value))
    if not isinstance(value, Tensor):
        kind = f"an array of {value.dtype}" if isinstance(value, np.ndarray) else type(value).__name__
        raise TypeError(f"{name} must be a tensor or a NumPy array, got {kind}")
    return value.detach().to(float64_device(value.device))  # sums are in float64, which not all devices know


def check_codes(codes: Any, *, name: str = "codes", width: int | None = None) -> Tensor:
    """Codes as a floating-point matrix.

    Args:
        codes: ``(n, d)`` floats.
        name: of the argument.
        width: what ``d`` has to be, if earlier updates decide it.

    Returns:
        The codes without gradients.

    Raises:
        TypeError: if they are not floating point.
        ValueError: if they are no matrix, or not of that width.

    Example:
        >>> check_codes(torch.tensor([[1, 2]]))
        Traceback (most recent call last):
            ...
        TypeError: codes must be floating point of shape (n, d), got torch.int64 of shape (1, 2)
    """
    codes = as_tensor(codes, name)
    if not codes.is_floating_point():
        raise TypeError(
            f"{name} must be floating point of shape (n, d), got {codes.dtype} of shape {tuple(codes.shape)}"
        )
    if codes.ndim != 2 or codes.shape[1] == 0:
        raise ValueError(f"{name} must have shape (n, d), got {tuple(codes.shape)}")
    if width is not None and codes.shape[1] != width:
        raise ValueError(f"updates so far had {width} columns of {name}, this one has {codes.shape[1]}")
    return codes


def check_log_variance(log_variance: Any, codes: Tensor, *, codes_name: str = "mean") -> Tensor:
    """Log-variances of the posteriors whose means are given.

    Args:
        log_variance: ``(n, d)`` floats.
        codes: the means, ``(n, d)``.
        codes_name: of their argument.

    Returns:
        The log-variances without gradients.

    Raises:
        TypeError: if they are not floating point, for instance because factors stand in their place.
        ValueError: if they are not of the codes' shape.
    """
    log_variance = as_tensor(log_variance, "log_variance")
    if not log_variance.is_floating_point():
        raise TypeError(
            f"log_variance must be floating point like {codes_name}, got {log_variance.dtype} of shape "
            f"{tuple(log_variance.shape)}: give factors, labels and index by keyword"
        )
    if log_variance.shape != codes.shape:
        raise ValueError(
            f"{codes_name} and log_variance must have the same shape (n, d), "
            f"got {tuple(codes.shape)} and {tuple(log_variance.shape)}"
        )
    return log_variance


def check_data(data: Any, num_rows: int) -> Tensor:
    """The data that codes are of, such as images.

    Args:
        data: ``(num_rows, ...)`` numbers.
        num_rows: how many rows there are.

    Returns:
        The data without gradients, in float32 if they are integers.

    Raises:
        TypeError: if they are complex.
        ValueError: if there is not one for each row, or they are single numbers.
    """
    data = as_tensor(data, "data")
    if data.is_complex():
        raise TypeError(f"data must be real numbers, got {data.dtype}")
    if data.ndim < 2 or len(data) != num_rows:
        raise ValueError(f"data must have shape ({num_rows}, ...), got {tuple(data.shape)}")
    return data if data.is_floating_point() else data.float()


def check_index(index: Any, num_rows: int) -> Tensor | None:
    """Global positions of rows in the data set.

    Args:
        index: ``(num_rows,)`` integers, or ``None``.
        num_rows: how many rows there are.

    Returns:
        The index as int64, ``None`` if there is none.

    Raises:
        TypeError: if it does not hold integers.
        ValueError: if there is not one for each row.
    """
    return None if index is None else _integers(index, num_rows, "index")


def check_labels(labels: Any, num_rows: int, *, name: str = "labels") -> Tensor:
    """One label for each row.

    Args:
        labels: ``(num_rows,)`` integers.
        num_rows: how many rows there are.
        name: of the argument.

    Returns:
        The labels as int64.

    Raises:
        TypeError: if they are no integers.
        ValueError: if there is not one for each row.
    """
    return _integers(labels, num_rows, name)


def check_factors(
    factors: Any, num_rows: int, continuous: Continuous = False, *, width: int | None = None, name: str = "factors"
) -> Tensor:
    """Factors as a matrix of numbers.

    Args:
        factors: ``(n, F)``, or ``(n,)`` for one; whole numbers but for the continuous columns.
        num_rows: ``n``.
        continuous: which columns are real numbers; ``True``: all.
        width: what ``F`` has to be, if earlier updates decide it.
        name: of the argument.

    Returns:
        The factors, ``(n, F)``.

    Raises:
        TypeError: if they are no numbers.
        ValueError: if shapes or values do not fit.
    """
    factors = as_tensor(factors, name)
    factors = factors[:, None] if factors.ndim == 1 else factors
    factors = factors.to(torch.int64) if factors.dtype == torch.bool else factors
    if factors.is_complex():
        raise TypeError(f"{name} must be integers or floats, got {factors.dtype}")
    if factors.ndim != 2 or factors.shape[1] == 0 or len(factors) != num_rows:
        raise ValueError(f"{name} must have shape ({num_rows}, F), one row for each code, got {tuple(factors.shape)}")
    if width is not None and factors.shape[1] != width:
        raise ValueError(f"updates so far had {width} {name}, this one has {factors.shape[1]}")
    real = continuous_columns(continuous, factors.shape[1])
    if factors.is_floating_point() and not all(real):
        discrete = factors[:, [column for column, is_real in enumerate(real) if not is_real]] if any(real) else factors
        discrete = discrete[discrete.isfinite().all(1)]
        if not torch.equal(discrete, discrete.round()):
            raise ValueError(f"discrete {name} must be whole numbers; name real ones in continuous")
    return factors


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


def check_seed(seed: Any) -> None:
    """Refuse what is no seed of PyTorch, NumPy and scikit-learn alike.

    Raises:
        TypeError: if it is no integer.
        ValueError: if it is negative, or has more than 32 bits.

    Example:
        >>> check_seed(2**32 - 1)
    """
    if not isinstance(seed, Integral) or isinstance(seed, bool):
        raise TypeError(f"seed must be an integer, got {seed!r}")
    if not 0 <= int(seed) <= _LARGEST_SEED:
        raise ValueError(f"seed must be between 0 and {_LARGEST_SEED}, got {seed}")


def finite_rows(*values: Tensor | None, squared: bool = False) -> Tensor:
    """Which rows hold no NaN and no infinity in any of the matrices.

    Args:
        values: matrices ``(n, ...)``, on any device; ``None`` is passed over. The result is on the first one's.
        squared: whether the rows must also be finite when they are squared, so all be smaller than 1e150.

    Returns:
        ``(n,)`` booleans.

    Example:
        >>> finite_rows(torch.tensor([[1.0], [torch.nan]]), torch.tensor([[0], [0]]))
        tensor([ True, False])
        >>> finite_rows(torch.tensor([[1.0], [1e200]]).double(), squared=True)
        tensor([ True, False])
    """
    given = [value for value in values if value is not None]
    finite = torch.ones(len(given[0]), dtype=torch.bool, device=given[0].device)
    for value in given:
        if squared and value.dtype == torch.float64:  # only there squares can overflow
            finite &= (value.abs() < MOST_TO_SQUARE).flatten(1).all(1).to(finite.device)
            continue
        on_cpu = value.device.type == "cpu"  # where looking at a sum is cheap
        if value.is_floating_point() and not (on_cpu and math.isfinite(value.sum())):
            finite &= value.isfinite().flatten(1).all(1).to(finite.device)
    return finite


def _integers(values: Any, num_rows: int, name: str) -> Tensor:
    values = as_tensor(values, name)
    if values.is_floating_point() or values.is_complex() or values.dtype == torch.bool:
        raise TypeError(
            f"{name} must be integers of shape ({num_rows},), got {values.dtype} of shape {tuple(values.shape)}"
        )
    if values.shape != (num_rows,):
        raise ValueError(f"{name} must be integers of shape ({num_rows},), got shape {tuple(values.shape)}")
    return values.to(torch.int64)
