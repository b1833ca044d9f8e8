"""The range of data, over all processes."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from torchdisentangle.statistics.base import Statistic


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
    is_differentiable: bool = False

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(configuration="range", **kwargs)
        self.add_state("low", torch.tensor(torch.inf, dtype=torch.float64), dist_reduce_fx=None)
        self.add_state("high", torch.tensor(-torch.inf, dtype=torch.float64), dist_reduce_fx=None)

    def update(self, values: Tensor) -> None:
        """Add rows.

        Raises:
            ValueError: if the values are no matrix, or as wide as no other before.
        """
        if values.ndim != 2 or (self.low.ndim and values.shape[1:] != self.low.shape):
            wanted = f"(n, {len(self.low)})" if self.low.ndim else "(n, d)"
            raise ValueError(f"values must have shape {wanted}, got {tuple(values.shape)}")
        values = values.detach()
        if not values.sum().isfinite():  # one that is not makes the sum so
            values = values[values.isfinite().all(1)]
        if len(values):
            self.low = torch.minimum(self.low, values.amin(0).to(self.low))
            self.high = torch.maximum(self.high, values.amax(0).to(self.high))

    def compute(self) -> tuple[Tensor, Tensor]:
        """The two ends of the range."""
        if not self.low.ndim:
            raise ValueError("DataRange has no samples")
        return self.low, self.high

    def merge_others(self, incoming_state: dict[str, Any]) -> None:
        """The wider of both ranges."""
        self.low = torch.minimum(self.low, incoming_state["low"].to(self.low))
        self.high = torch.maximum(self.high, incoming_state["high"].to(self.high))

    def reduce_others(self, group: Any | None) -> None:
        """The range over all processes, of which some may have no data."""
        width = len(self.low) if self.low.ndim else 0
        sizes = torch.tensor([width, -width if width else -(2**31)], device=self.device)
        dist.all_reduce(sizes, op=dist.ReduceOp.MAX, group=group)
        largest, smallest = sizes.tolist()
        if largest == 0:
            return
        if largest != -smallest:
            raise RuntimeError(f"the processes hold ranges of different widths; this one has {width}")
        ends = torch.stack([-self.low.expand(largest), self.high.expand(largest)])
        dist.all_reduce(ends, op=dist.ReduceOp.MAX, group=group)
        self.low, self.high = -ends[0], ends[1]
