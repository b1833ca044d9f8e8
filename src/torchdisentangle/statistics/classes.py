"""Means over samples with standard errors, per class and averaged over classes."""

from __future__ import annotations

from typing import Any, Generic, NamedTuple

import torch
from torch import Tensor
from typing_extensions import TypeVar, Unpack

from torchdisentangle.statistics.base import MetricSettings, Statistic
from torchdisentangle.statistics.checks import check_labels
from torchdisentangle.statistics.readout import readout

Value = TypeVar("Value", default=Tensor)
"""What ``compute`` returns: a tensor, or tensors by name."""


class Estimate(NamedTuple):
    """A mean over samples and its standard error, often with a leading class dimension ``C``."""

    value: Tensor
    standard_error: Tensor


class Classes:
    """The class of each sample, and sums over the samples of each class.

    Args:
        labels: ``(n,)`` integers from 0; ``None``: all samples belong to class 0.
        number: of classes, ``C``.

    Example:
        >>> Classes(torch.tensor([0, 1, 1]), 2).sums(torch.tensor([1.0, 2.0, 3.0]))
        tensor([1., 5.])
    """

    def __init__(self, labels: Tensor | None, number: int) -> None:
        self.labels = labels
        self.number = number

    def __getitem__(self, rows: slice | Tensor) -> Classes:
        """The classes of some samples."""
        return self if self.labels is None else Classes(self.labels[rows], self.number)

    def sums(self, values: Tensor) -> Tensor:
        """Sum of values ``(n, ...)`` over the samples of each class, ``(C, ...)``."""
        if self.number == 1:
            return values.sum(0, keepdim=True)
        return values.new_zeros(self.number, *values.shape[1:]).index_add(0, self._labels(values), values)

    def moments(self, values: Tensor) -> Tensor:
        """Sum of the outer products of values ``(n, m)`` with themselves, ``(C, m, m)``."""
        if self.number == 1:
            return (values.mT @ values)[None]
        classes = torch.arange(self.number, device=values.device)
        in_class = (self._labels(values) == classes[:, None]).to(values.dtype)
        return (in_class[..., None] * values).mT @ values

    def _labels(self, values: Tensor) -> Tensor:
        if self.labels is None:
            return torch.zeros(len(values), dtype=torch.int64, device=values.device)
        return self.labels


class ClassMeanStatistic(Statistic, Generic[Value]):
    """Base of metrics that are means over samples: counts, and the read-outs that follow from an estimate per class.

    A subclass adds to ``num_samples`` in ``update``, and defines ``_estimate``. A sample without a label belongs to
    class 0. Classes without samples are left out of the average.

    Args:
        num_classes: number of classes; by default as many as the labels show.
        configuration: as for :class:`~torchdisentangle.statistics.Statistic`.
        settings: as for :class:`torchmetrics.Metric`.
    """

    num_samples: Tensor

    def __init__(
        self, num_classes: int | None = None, configuration: object = None, **settings: Unpack[MetricSettings]
    ) -> None:
        if num_classes is not None and num_classes < 1:
            raise ValueError(f"num_classes must be positive, got {num_classes}")
        super().__init__(configuration=(configuration, num_classes), **settings)
        self.num_classes = num_classes
        self.add_sum("num_samples", dtype=torch.int64)

    def _estimate(self) -> Estimate:
        """Value and standard error for each class, ``(C, ...)``. Every subclass defines this."""
        raise NotImplementedError

    def _transform(self, estimate: Estimate) -> Estimate:
        """What is done to an estimate last, after classes are averaged. A subclass may define this."""
        return estimate

    def _presented(self, values: Tensor) -> Value:
        """The shape in which values and standard errors are returned. A subclass of several values names them."""
        return values  # type: ignore[return-value]

    def compute(self) -> Value:
        """Return the value, averaged over classes with equal weight."""
        return self._presented(self._over_classes().value)

    @readout
    def estimate(self) -> Estimate:
        """Return value and standard error, averaged over classes with equal weight."""
        return Estimate(*map(self._presented, self._over_classes()))  # type: ignore[arg-type]

    @readout
    def standard_error(self) -> Value:
        """Return the standard error of the value over samples; infinite if a class has only one sample.

        Value plus or minus 1.96 errors covers 95 % for entropies from 30 samples on. Pairwise information is skewed:
        few samples miss its rare large values, and then the error is too small. Measured on random decoders, 1.96
        errors cover 88 to 93 % with 30 samples, 93 to 95 % with 100, and 95 % from 300 on. Quantiles of Student's t
        in place of 1.96 mend only 1 %.
        """
        return self._presented(self._over_classes().standard_error)

    @readout
    def per_class(self) -> Value:
        """Return the value for each class, ``(C, ...)``; NaN for a class without samples."""
        self._require_samples()
        return self._presented(self._transform(self._estimate()).value)

    def _over_classes(self) -> Estimate:
        self._require_samples()
        return self._transform(over_classes(self._estimate(), self.num_samples))

    def _require_samples(self) -> None:
        self.require_samples(self.num_samples.sum(), "samples")

    def _classes(self, labels: Any, num_samples: int, device: torch.device) -> Classes:
        """The classes of samples, from their labels, for sums on a device."""
        if labels is None:
            return Classes(None, self.num_classes or 1)
        labels = check_labels(labels, num_samples)
        low, high = torch.stack(labels.aminmax()).cpu().tolist() if num_samples else (0, 0)
        if low < 0 or (self.num_classes is not None and high >= self.num_classes):
            limit = "" if self.num_classes is None else f" and less than {self.num_classes}"
            raise ValueError(f"labels must be at least 0{limit}, got {low} to {high}")
        return Classes(labels.to(device), self.num_classes or high + 1)


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


def finite_population_error(variance: Tensor, within: Tensor, fraction: float) -> Tensor:
    r"""Standard error of a mean over rows that are drawn from a finite population, each with noise of its own.

    .. math:: \sqrt{(1 - f) \, v + f \, v_\text{within}}

    Args:
        variance: :math:`v`, the squared standard error of the mean if the population were infinite.
        within: the same without what differs between rows.
        fraction: :math:`f`, the drawn part of the population.

    Reference:
        Cochran, *Sampling Techniques*, 1977 (finite population correction; subsampling).

    Example:
        >>> finite_population_error(torch.tensor(4.0), torch.tensor(1.0), 1.0)  # every row was drawn
        tensor(1.)
    """
    finite = ((1 - fraction) * variance + fraction * within).sqrt()
    return finite.masked_fill(variance.isinf(), float("inf"))  # not known, whatever the fraction


def over_classes(estimate: Estimate, count: Tensor) -> Estimate:
    """Average over the classes that have samples, each with equal weight.

    Example:
        >>> over_classes(Estimate(torch.tensor([1.0, 3.0]), torch.tensor([0.3, 0.4])), torch.tensor([5, 7]))
        Estimate(value=tensor(2.), standard_error=tensor(0.2500))
    """
    seen = count > 0
    value, error = estimate.value[seen], estimate.standard_error[seen]
    return Estimate(value.mean(0), error.square().sum(0).sqrt() / len(value))
