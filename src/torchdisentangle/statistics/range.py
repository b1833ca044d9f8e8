"""The range of data, over all processes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.distributed as dist
from matplotlib.figure import Figure
from torch import Tensor
from typing_extensions import Unpack

from torchdisentangle.statistics.base import MergedState, MetricSettings, Statistic
from torchdisentangle.statistics.checks import check_codes, finite_rows
from torchdisentangle.statistics.reduction import ReductionError, agree_on_sizes


class RowRange(MergedState):
    """Smallest and largest value of every column: states of a statistic."""

    names: tuple[str, ...] = ("low", "high")

    def register(self, statistic: Statistic) -> None:
        """Add the states."""
        statistic.add_state("low", torch.tensor(torch.inf, dtype=torch.float64), dist_reduce_fx=None)
        statistic.add_state("high", torch.tensor(-torch.inf, dtype=torch.float64), dist_reduce_fx=None)

    def merge(self, statistic: Any, incoming: Mapping[str, Tensor]) -> None:
        """The wider of both ranges."""
        statistic.low = torch.minimum(statistic.low, incoming["low"].to(statistic.low))
        statistic.high = torch.maximum(statistic.high, incoming["high"].to(statistic.high))

    def reduce(self, statistic: Any, group: Any | None) -> None:
        """The range over all processes, of which some may have no data."""
        own = len(statistic.low) if statistic.low.ndim else -1
        agreed = agree_on_sizes([own], statistic.device, group)
        if agreed is None:
            raise ReductionError(f"the processes hold ranges of different widths; this one has {own}")
        if agreed[0] < 0:
            return
        ends = torch.stack([-statistic.low.expand(agreed[0]), statistic.high.expand(agreed[0])])
        dist.all_reduce(ends, op=dist.ReduceOp.MAX, group=group)
        statistic.low, statistic.high = -ends[0], ends[1]


class DataRange(Statistic):
    """Smallest and largest value of every dimension.

    The first pass of two, where bins are to span the range of all data: ``edges=data_range.compute()`` makes a metric
    of counts whose bins are the same on every process. Rows with NaN or infinite entries are left out.

    As input to ``forward`` and ``update`` the metric accepts ``values`` ``(n, d)``; ``compute`` returns two vectors
    ``(d,)`` in float64.

    Args:
        kwargs: as for :class:`torchmetrics.Metric`.

    Example:
        >>> data_range = DataRange()
        >>> data_range.update(torch.tensor([[0.0, 5.0], [1.0, -2.0]]))
        >>> data_range.compute()
        (tensor([ 0., -2.], dtype=torch.float64), tensor([1., 5.], dtype=torch.float64))
    """

    low: Tensor
    high: Tensor

    def __init__(self, **kwargs: Unpack[MetricSettings]) -> None:
        super().__init__(configuration="range", **kwargs)
        self.add_state_of(RowRange())

    def update(self, values: Tensor) -> None:
        """Add rows.

        Args:
            values: ``(n, d)`` floats.

        Raises:
            TypeError: if the values are no floating-point tensor.
            ValueError: if the values are no matrix, or not as wide as those before.
        """
        values = check_codes(values, name="values", width=len(self.low) if self.low.ndim else None)
        finite = finite_rows(values)
        num_lost = int((~finite).sum())
        self.leave_out(num_lost, "rows")
        values = values[finite] if num_lost else values
        if len(values):
            self.low = torch.minimum(self.low, values.amin(0).to(self.low))
            self.high = torch.maximum(self.high, values.amax(0).to(self.high))

    def compute(self) -> tuple[Tensor, Tensor]:
        """The two ends of the range."""
        self.require_samples(self.low.ndim, "rows")
        return self.low, self.high

    def plot(self, val: Any = None, ax: Any = None) -> Any:
        """Plot the range of every dimension."""
        low, high = self.compute() if val is None else val
        ax = Figure(figsize=(3.2, 2.4), layout="constrained").subplots() if ax is None else ax
        ax.vlines(range(len(low)), low.tolist(), high.tolist(), lw=2)
        ax.spines[["top", "right"]].set_visible(False)
        ax.set(xlabel="dimension", ylabel="value")
        return ax.get_figure(), ax
