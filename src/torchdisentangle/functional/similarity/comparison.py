"""All channels of one or two sets compared with each other, block of rows by block of rows.

Reference: Murphy, Dillavou & Bassett, *Comparing the information content of probabilistic representation spaces*,
TMLR 2025.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor

from torchdisentangle.functional.device import Device, sizes_of
from torchdisentangle.functional.row_blocks import row_blocks
from torchdisentangle.functional.similarity.bhattacharyya import (
    bhattacharyya_coefficients,
    check_posteriors,
    label_coefficients,
)
from torchdisentangle.functional.similarity.channels import (
    channel_information,
    joint_information,
    normalized_mutual_information,
    variation_of_information,
)

Coefficients = Callable[[slice], Tensor]


class ChannelComparison(NamedTuple):
    """Information of the channels of two sets, ``M`` and ``N`` of them, alone and in pairs; all in nats.

    Args:
        information_a: :math:`I(U; X)` of each channel of the first set, ``(M,)``.
        information_b: :math:`I(V; X)` of the second set, ``(N,)``.
        repeated_a: :math:`I(U, U'; X)` of two independent draws from one channel, ``(M,)``.
        repeated_b: :math:`I(V, V'; X)`, ``(N,)``.
        joint: :math:`I(U, V; X)` of all pairs, ``(M, N)``.
    """

    information_a: Tensor
    information_b: Tensor
    repeated_a: Tensor
    repeated_b: Tensor
    joint: Tensor

    @property
    def own_a(self) -> Tensor:
        """What two draws from a channel of the first set share, :math:`I(U; U')`, ``(M,)``."""
        return 2 * self.information_a - self.repeated_a

    @property
    def own_b(self) -> Tensor:
        """What two draws from a channel of the second set share, :math:`I(V; V')`, ``(N,)``."""
        return 2 * self.information_b - self.repeated_b

    @property
    def mutual_information(self) -> Tensor:
        """What two channels share, :math:`I(U; V) = I(U; X) + I(V; X) - I(U, V; X)`, ``(M, N)``."""
        return self.information_a[:, None] + self.information_b - self.joint

    @property
    def normalized_mutual_information(self) -> Tensor:
        """Of all pairs, ``(M, N)``; see :func:`normalized_mutual_information`."""
        return normalized_mutual_information(self.mutual_information, self.own_a[:, None], self.own_b)

    @property
    def variation_of_information(self) -> Tensor:
        """Of all pairs, ``(M, N)`` in nats; see :func:`variation_of_information`."""
        return variation_of_information(self.mutual_information, self.own_a[:, None], self.own_b)


def compare_channels(coefficients_a: Tensor, coefficients_b: Tensor | None = None) -> ChannelComparison:
    """All informations that the similarity of channels needs.

    Args:
        coefficients_a: ``(M, R, F)``.
        coefficients_b: ``(N, R, F)`` for the same points; ``None``: the first set with itself.

    Returns:
        The comparison, whose properties are NMI and VI of all pairs.

    Raises:
        ValueError: if the points differ in number.

    Example:
        >>> import torch
        >>> two, four = (label_coefficients(torch.arange(8) // size) for size in (4, 2))
        >>> compare_channels(two, four).normalized_mutual_information
        tensor([[0.7071]], dtype=torch.float64)
    """
    information_a, repeated_a = channel_information(coefficients_a), channel_information(coefficients_a.square())
    if coefficients_b is None:
        joint = joint_information(coefficients_a, coefficients_a)
        return ChannelComparison(information_a, information_a, repeated_a, repeated_a, joint)
    information_b, repeated_b = channel_information(coefficients_b), channel_information(coefficients_b.square())
    joint = joint_information(coefficients_a, coefficients_b)
    return ChannelComparison(information_a, information_b, repeated_a, repeated_b, joint)


def compare_posteriors(
    mean_a: Tensor, log_variance_a: Tensor, mean_b: Tensor | None = None, log_variance_b: Tensor | None = None
) -> ChannelComparison:
    """Compare Gaussian channels without ever holding all coefficients: block of rows by block of rows.

    Time is that of ``(M + N) F^2`` exponentials and ``F`` products of ``(M, F)`` by ``(F, N)`` matrices; memory that of
    a quarter of a million coefficients, or of one row of all channels.

    Args:
        mean_a: ``(F, M)``.
        log_variance_a: ``(F, M)``.
        mean_b: ``(F, N)`` at the same points; ``None``: the first set with itself.
        log_variance_b: ``(F, N)``.

    Returns:
        The comparison.

    Raises:
        ValueError: if the shapes do not fit.

    Example:
        >>> import math, torch
        >>> mean, log_variance = torch.tensor([[0.0], [1.0], [5.0]]), torch.zeros(3, 1)
        >>> compare_posteriors(mean, log_variance, 1 - 2 * mean, log_variance + math.log(4.0)).variation_of_information
        tensor([[0.]])
    """
    check_posteriors(mean_a, log_variance_a)
    if mean_b is None or log_variance_b is None:
        return _in_blocks(_gaussian(mean_a, log_variance_a), None, len(mean_a), mean_a.shape[1], mean_a.device)
    check_posteriors(mean_b, log_variance_b)
    if len(mean_a) != len(mean_b):
        raise ValueError(f"both sets need the same points, got {len(mean_a)} and {len(mean_b)}")
    size = mean_a.shape[1] + mean_b.shape[1]
    return _in_blocks(
        _gaussian(mean_a, log_variance_a), _gaussian(mean_b, log_variance_b), len(mean_a), size, mean_a.device
    )


def compare_with_labels(mean: Tensor, log_variance: Tensor, labels: Tensor) -> ChannelComparison:
    """Compare Gaussian channels with discrete labels.

    Args:
        mean: ``(F, M)``.
        log_variance: ``(F, M)``.
        labels: ``(F,)`` or ``(F, K)``.

    Returns:
        The comparison, with the labels as second set.

    Raises:
        ValueError: if the shapes do not fit.

    Example:
        >>> import torch
        >>> labels = torch.tensor([0, 0, 1, 1])
        >>> mean = 100.0 * labels[:, None].double()
        >>> compare_with_labels(mean, torch.zeros_like(mean), labels).normalized_mutual_information
        tensor([[1.]], dtype=torch.float64)
    """
    check_posteriors(mean, log_variance)
    columns = labels[:, None] if labels.ndim == 1 else labels
    if columns.ndim != 2 or len(columns) != len(mean):
        raise ValueError(f"labels must have shape ({len(mean)},) or ({len(mean)}, K), got {tuple(labels.shape)}")

    def of_labels(rows: slice) -> Tensor:
        return label_coefficients(columns, rows).to(mean)

    return _in_blocks(
        _gaussian(mean, log_variance), of_labels, len(mean), mean.shape[1] + columns.shape[1], mean.device
    )


def _gaussian(mean: Tensor, log_variance: Tensor) -> Coefficients:
    return lambda rows: bhattacharyya_coefficients(mean, log_variance, rows)


def _in_blocks(
    a: Coefficients, b: Coefficients | None, num_points: int, num_channels: int, device: Device
) -> ChannelComparison:
    total: list[Tensor] | None = None
    for rows in row_blocks(num_points, num_points * num_channels, sizes_of(device).numbers_each(4)):
        weight = (rows.stop - rows.start) / num_points
        part = [weight * value for value in compare_channels(a(rows), None if b is None else b(rows))]
        total = part if total is None else [x + y for x, y in zip(total, part, strict=True)]
    assert total is not None
    return ChannelComparison(*total)
