"""Metrics that are the mean of a value of each sample's Jacobian, with its standard error."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from typing_extensions import Unpack

from torchdisentangle.functional.device import float64_device, to_float64
from torchdisentangle.functional.row_blocks import row_blocks
from torchdisentangle.plots import plot_scalar
from torchdisentangle.statistics import MetricSettings
from torchdisentangle.statistics.classes import ClassMeanStatistic, Estimate, mean_estimate


class JacobianMean(ClassMeanStatistic):
    """Base of metrics that are the mean over samples of a value that is computed from each Jacobian by itself.

    A subclass defines ``update``, which checks its input and hands it to ``_add``, and ``_values``. Samples whose value
    is NaN are undefined: they are left out and counted in ``num_undefined``; the metric is NaN if no sample is left.

    Args:
        num_classes: number of classes; by default as many as the labels show.
        configuration: whatever changes the values, with the metric's name.
        settings: as for :class:`torchmetrics.Metric`.
    """

    is_differentiable: bool | None = True
    higher_is_better: bool | None = False
    plot_lower_bound: float = 0.0
    label = "value"  # of the axis of a figure

    total: Tensor
    total_of_squares: Tensor
    num_undefined: Tensor

    def __init__(
        self, num_classes: int | None = None, configuration: object = None, **settings: Unpack[MetricSettings]
    ) -> None:
        super().__init__(num_classes, configuration=configuration, **settings)
        self.add_sum("total")
        self.add_sum("total_of_squares")
        self.add_sum("num_undefined", dtype=torch.int64)

    def _values(self, *jacobians: Tensor) -> Tensor:
        """The value of each sample, ``(n,)``, from float64 Jacobians. Every subclass defines this."""
        raise NotImplementedError

    def _add(self, *jacobians: Tensor, labels: Tensor | None) -> None:
        num_samples, device = len(jacobians[0]), float64_device(jacobians[0].device)
        classes = self._classes(labels, num_samples, device)
        num_lost = 0
        for rows in row_blocks(num_samples, sum(part.shape[1:].numel() for part in jacobians), device=device):
            parts = [to_float64(part[rows]).to(device) for part in jacobians]
            finite = torch.stack([part.isfinite().flatten(1).all(1) for part in parts]).all(0)
            values = self._values(*(part[finite] for part in parts))
            defined = ~values.isnan()
            kept, values = classes[rows][finite.nonzero()[:, 0][defined]], values[defined]
            self.accumulate(
                num_samples=kept.sums(torch.ones_like(values)),
                total=kept.sums(values),
                total_of_squares=kept.sums(values.square()),
                num_undefined=(~defined).sum(),
            )
            num_lost += int((~finite).sum())
        self.leave_out(num_lost, "Jacobians")

    def _estimate(self) -> Estimate:
        """Value and standard error per class, ``(C,)``."""
        return mean_estimate(self.num_samples, self.total, self.total_of_squares)

    def _require_samples(self) -> None:
        self.require_samples(self.num_samples.sum() + self.num_undefined, "samples")

    def plot(self, val: Any = None, ax: Any = None) -> Any:
        """Plot the value with its standard error, or a list of values over steps."""
        if val is not None:
            return plot_scalar(val, ax=ax, label=self.label)
        return plot_scalar(*self.estimate(), ax=ax, label=self.label)
