"""What metrics of Jacobians are given: settings and tensors, and how they are checked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from torchdisentangle.functional.manifold.wishart import MIN_PROBES
from torchdisentangle.statistics.checks import as_tensor

DataScale = Tensor | Sequence[float] | float | None
Estimator = Literal["exact", "probes"]


def check_scale(data_std: DataScale) -> Tensor | None:
    """The data's standard deviation as a float64 vector.

    Args:
        data_std: a number, one for each data dimension, or ``None``.

    Raises:
        ValueError: if it is not positive and finite.

    Example:
        >>> check_scale([1.0, 2.0])
        tensor([1., 2.], dtype=torch.float64)
    """
    if data_std is None:
        return None
    values = data_std.detach().cpu() if isinstance(data_std, Tensor) else data_std
    scale = torch.as_tensor(values, dtype=torch.float64).flatten()
    if not (scale.isfinite() & (scale > 0)).all():
        raise ValueError("data_std must be positive and finite")
    return scale


def probes_of(estimator: str, num_probes: int) -> int | None:
    """The number of probes; ``None`` for the exact estimator.

    Args:
        estimator: ``"exact"`` or ``"probes"``.
        num_probes: how many, should they be used.

    Raises:
        ValueError: if the estimator is unknown or the probes are too few.

    Example:
        >>> probes_of("exact", 16), probes_of("probes", 16)
        (None, 16)
    """
    if estimator not in ("exact", "probes"):
        raise ValueError(f"estimator must be 'exact' or 'probes', got {estimator!r}")
    if estimator == "probes" and num_probes < MIN_PROBES:
        raise ValueError(f"at least {MIN_PROBES} probes are needed, got {num_probes}")
    return num_probes if estimator == "probes" else None


def check_jacobian(jacobian: Any, num_probes: int | None = None, *, name: str = "jacobian") -> Tensor:
    """Jacobians, or their projections, with their gradients.

    Args:
        jacobian: ``(N, D, d)`` floats, a tensor or an array.
        num_probes: ``None``, or how many projections the second dimension holds.
        name: of the argument.

    Raises:
        TypeError: if it does not hold floating-point numbers.
        ValueError: for another shape.

    Example:
        >>> check_jacobian(torch.zeros(3, 2))
        Traceback (most recent call last):
            ...
        ValueError: jacobian must have shape (N, D, d), got (3, 2)
    """
    jacobian = as_tensor(jacobian, name) if isinstance(jacobian, np.ndarray) else jacobian
    if not isinstance(jacobian, Tensor):
        raise TypeError(f"{name} must be a tensor or a NumPy array, got {type(jacobian).__name__}")
    if not jacobian.is_floating_point():
        raise TypeError(
            f"{name} must be floating point of shape (N, D, d), got {jacobian.dtype} of shape {tuple(jacobian.shape)}"
        )
    if jacobian.ndim != 3 or 0 in jacobian.shape[1:]:
        raise ValueError(f"{name} must have shape (N, D, d), got {tuple(jacobian.shape)}")
    if num_probes is not None and jacobian.shape[1] != num_probes:
        raise ValueError(
            f"with estimator='probes' projections of shape (N, {num_probes}, d) are needed, as probed_jacobian gives, "
            f"got {tuple(jacobian.shape)}"
        )
    return jacobian
