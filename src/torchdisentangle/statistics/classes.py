"""Means over samples with standard errors, per class and averaged over classes."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torchmetrics.utilities import rank_zero_warn

from torchdisentangle.statistics.base import Statistic


class Estimate(NamedTuple):
    """A mean over samples and its standard error, often with a leading class dimension ``C``."""

    value: Tensor
    standard_error: Tensor


class ClassMeanStatistic(Statistic):
    """Base of metrics that are means over samples: counts, and the read-outs that follow from an estimate per class.

    Subclasses add to ``num_samples`` in ``update`` and define :meth:`estimate`. A sample without a label belongs to
    class 0. Classes without samples are left out of the average.

    Args:
        num_classes: number of classes; by default as many as the labels show.
        configuration: as for :class:`~torchdisentangle.statistics.Statistic`.
        kwargs: as for :class:`torchmetrics.Metric`.
    """

    num_samples: Tensor
    num_nonfinite: Tensor

    def __init__(self, num_classes: int | None = None, configuration: object = None, **kwargs: Any) -> None:
        if num_classes is not None and num_classes < 1:
            raise ValueError(f"num_classes must be positive, got {num_classes}")
        super().__init__(configuration=(configuration, num_classes), **kwargs)
        self.num_classes = num_classes
        self.add_sum("num_samples", dtype=torch.int64)
        self.add_sum("num_nonfinite", dtype=torch.int64)

    def estimate(self) -> Estimate:
        """Value and standard error for each class, ``(C, ...)``."""
        raise NotImplementedError

    def transform(self, estimate: Estimate) -> Estimate:
        """What is done to an estimate last, after classes are averaged: nothing, unless a subclass normalises."""
        return estimate

    def compute(self) -> Any:
        """The value, averaged over classes with equal weight."""
        return self.over_classes().value

    def standard_error(self) -> Tensor:
        """Standard error of the value over samples; infinite if a class has only one."""
        with self.reduced():
            return self.over_classes().standard_error

    def per_class(self) -> Tensor:
        """The value for each class, ``(C, ...)``; NaN for a class without samples."""
        with self.reduced():
            self.require_samples()
            return self.transform(self.estimate()).value

    def over_classes(self) -> Estimate:
        """The estimate averaged over classes."""
        self.require_samples()
        return self.transform(over_classes(self.estimate(), self.num_samples))

    def require_samples(self) -> None:
        """Refuse to read a state without samples."""
        if not self.num_samples.sum() > 0:
            lost = f" ({int(self.num_nonfinite)} were NaN or infinite)" if self.num_nonfinite else ""
            raise ValueError(f"{type(self).__name__} has no samples{lost}")

    def check_labels(self, labels: Tensor | None, num_samples: int, device: torch.device) -> tuple[Tensor, int]:
        """Labels (zeros if there are none) and the number of classes they span."""
        if labels is None:
            return torch.zeros(num_samples, dtype=torch.int64, device=device), self.num_classes or 1
        if labels.shape != (num_samples,) or labels.is_floating_point():
            raise ValueError(
                f"labels must be integers of shape ({num_samples},), got {tuple(labels.shape)} of {labels.dtype}"
            )
        low, high = (int(labels.min()), int(labels.max())) if num_samples else (0, 0)
        if low < 0 or (self.num_classes is not None and high >= self.num_classes):
            limit = "" if self.num_classes is None else f" and less than {self.num_classes}"
            raise ValueError(f"labels must be at least 0{limit}, got {low} to {high}")
        return labels.to(device), self.num_classes or high + 1

    def warn_nonfinite(self, count: int) -> None:
        """Say that samples are left out; repeated messages are shown once by Python's default filter."""
        rank_zero_warn(
            "Jacobians with NaN or infinite entries are left out of the manifold metrics; their number is in "
            f"num_nonfinite ({count} in this batch)",
            UserWarning,
        )


def mean_estimate(count: Tensor, total: Tensor, total_of_squares: Tensor) -> Estimate:
    """Mean and standard error from a count ``(C,)``, a sum and a sum of squares ``(C, ...)``.

    Example:
        >>> mean_estimate(torch.tensor([2]), torch.tensor([4.0]), torch.tensor([10.0]))
        Estimate(value=tensor([2.]), standard_error=tensor([1.]))
    """
    count = count.view(-1, *[1] * (total.ndim - 1))
    mean = total / count
    return Estimate(mean, standard_error(total_of_squares / count - mean.square(), count))


def standard_error(variance: Tensor, count: Tensor) -> Tensor:
    """Standard error of a mean from the population variance; infinite for a single sample.

    Example:
        >>> standard_error(torch.tensor([8.0, 0.0]), torch.tensor([3, 1]))
        tensor([2., inf])
    """
    return (variance.clamp(min=0) / (count - 1)).sqrt().masked_fill(count == 1, float("inf"))


def over_classes(estimate: Estimate, count: Tensor) -> Estimate:
    """Average over the classes that have samples, each with equal weight.

    Example:
        >>> over_classes(Estimate(torch.tensor([1.0, 3.0]), torch.tensor([0.3, 0.4])), torch.tensor([5, 7]))
        Estimate(value=tensor(2.), standard_error=tensor(0.2500))
    """
    seen = count > 0
    value, error = estimate.value[seen], estimate.standard_error[seen]
    return Estimate(value.mean(0), error.square().sum(0).sqrt() / len(value))
