"""A bounded uniform sample of rows, the same for any split into batches and processes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from torchdisentangle.functional.row_hash import hash_index
from torchdisentangle.statistics.base import Statistic
from torchdisentangle.statistics.reduction import ReductionError


class SampleStatistic(Statistic):
    """Base of metrics that need rows: keeps the ``capacity`` rows whose global index has the smallest hash.

    This is a uniform sample without replacement (bottom-k sampling). Which rows are kept depends only on their global
    indices, so any number of processes, with any batches in any order, keeps the same rows; a row that is seen twice
    under the same index is kept once. With no more rows than ``capacity`` nothing is lost.

    Subclasses define ``update``, which calls :meth:`add_rows`, and find the rows in ``self.<column>``: float64 matrices
    ``(n, width)``, ordered by hash, so that the first ``m`` rows are themselves a uniform sample.

    Args:
        columns: names of the columns, which become states.
        capacity: how many rows to keep at most.
        seed: of the hash; another seed keeps other rows.
        configuration: as for :class:`~torchdisentangle.statistics.Statistic`.
        kwargs: as for :class:`torchmetrics.Metric`.

    Raises:
        ValueError: if the capacity is not positive.

    Reference:
        Cohen & Kaplan, *Summarizing data using bottom-k sketches*, PODC 2007.

    Example:
        >>> class Rows(SampleStatistic):
        ...     def __init__(self, capacity):
        ...         super().__init__(["codes"], capacity)
        ...     def update(self, codes, index=None):
        ...         self.add_rows({"codes": codes}, index)
        ...     def compute(self):
        ...         return self.codes
        >>> a, b = Rows(4), Rows(4)
        >>> a.update(torch.arange(100.0)[:, None])
        >>> for part in torch.arange(100).flip(0).split(7):
        ...     b.update(part.float()[:, None], index=part)
        >>> torch.equal(a.compute(), b.compute())
        True
    """

    keys: Tensor
    num_seen: Tensor

    def __init__(
        self, columns: Sequence[str], capacity: int, seed: int = 0, configuration: object = None, **kwargs: Any
    ) -> None:
        if capacity < 1:
            raise ValueError(f"capacity must be at least 1, got {capacity}")
        super().__init__(configuration=("rows", *columns, capacity, seed, configuration), **kwargs)
        self.columns, self.capacity, self.seed = tuple(columns), capacity, seed
        self._seen_before = 0
        self.add_sum("num_seen", dtype=torch.int64)
        self.add_state("keys", torch.zeros(0, dtype=torch.int64), dist_reduce_fx=None)
        for column in self.columns:
            self.add_state(column, torch.zeros(0, 0, dtype=torch.float64), dist_reduce_fx=None)

    def add_rows(self, rows: Mapping[str, Tensor], index: Tensor | None = None) -> None:
        """Offer rows to the sample.

        Args:
            rows: for every column ``(n, width)``, or ``(n,)`` for a width of one; a column that is left out stays
                empty, and then has to be left out always.
            index: global positions of the rows in the data set, ``(n,)`` integers, on whatever process they are; by
                default rows are numbered as they come, interleaved between processes as a
                :class:`~torch.utils.data.DistributedSampler` deals them out.

        Raises:
            ValueError: if the columns' lengths or widths do not fit.
        """
        given = {name: value if value.ndim > 1 else value[:, None] for name, value in rows.items()}
        length = len(next(iter(given.values())))
        columns = {name: given.get(name, torch.zeros(length, 0)) for name in self.columns}
        for name, value in columns.items():
            width = getattr(self, name).shape[1]
            if value.ndim != 2 or len(value) != length or (len(self.keys) and value.shape[1] != width):
                wanted = f"({length}, {width})" if len(self.keys) else f"({length}, width)"
                raise ValueError(f"{name} must have shape {wanted}, got {tuple(value.shape)}")
        if index is None:
            index = self._number(length)
        elif index.shape != (length,) or index.is_floating_point():
            raise ValueError(f"index must be integers of shape ({length},), got {tuple(index.shape)} of {index.dtype}")
        self.num_seen = self.num_seen + length
        keys = hash_index(index.to(self.device), self.seed)
        if len(self.keys) == self.capacity:  # most rows of a long pass stop here
            chosen = keys < self.keys[-1]
            keys, columns = keys[chosen], {name: value[chosen.to(value.device)] for name, value in columns.items()}
        self._keep(keys, {name: value.to(self.device, torch.float64) for name, value in columns.items()})

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Add a batch and return the value of this batch alone."""
        self._seen_before = int(self.num_seen)  # the state is reset on the way, the numbering must go on
        try:
            return super().forward(*args, **kwargs)
        finally:
            self._seen_before = 0

    def merge_others(self, incoming_state: dict[str, Any]) -> None:
        """Keep the rows with the smallest hashes of both."""
        if len(incoming_state["keys"]):
            columns = {name: incoming_state[name].to(self.device) for name in self.columns}
            self._keep(incoming_state["keys"].to(self.device), columns)

    def reduce_others(self, group: Any | None) -> None:
        """Keep the rows with the smallest hashes of all processes, after one gather of at most ``capacity`` rows."""
        widths = [getattr(self, name).shape[1] if len(self.keys) else -1 for name in self.columns]
        header = torch.tensor([len(self.keys), *widths, *(-width if width >= 0 else -(2**31) for width in widths)])
        header = header.to(self.device)
        dist.all_reduce(header, op=dist.ReduceOp.MAX, group=group)
        length, *both = header.tolist()
        largest, smallest = both[: len(widths)], [-width for width in both[len(widths) :]]
        if length == 0:
            return
        if largest != smallest:
            raise ReductionError(f"the processes hold rows of different widths; this one has {widths}")
        packed = torch.zeros(length, 2 + sum(largest), dtype=torch.float64, device=self.device)
        if len(self.keys):
            values = [getattr(self, name) for name in self.columns]
            own = torch.cat([self.keys.view(torch.float64)[:, None], self.keys.new_ones(len(self.keys), 1), *values], 1)
            packed[: len(own)] = own  # keys travel as the bits of float64 numbers
        gathered = [torch.empty_like(packed) for _ in range(dist.get_world_size(group))]
        dist.all_gather(gathered, packed, group=group)
        rows = torch.cat(gathered)
        rows = rows[rows[:, 1] == 1]
        columns = dict(zip(self.columns, rows[:, 2:].split(largest, dim=1), strict=True))
        self.keys = self.keys[:0]
        self._keep(rows[:, 0].contiguous().view(torch.int64), columns)

    def _number(self, length: int) -> Tensor:
        rank, world_size = self.rank_and_world_size()
        start = self._seen_before + int(self.num_seen)
        return torch.arange(start, start + length, device=self.device) * world_size + rank

    def _keep(self, keys: Tensor, columns: Mapping[str, Tensor]) -> None:
        if len(keys) == 0:
            return
        if len(self.keys):
            keys = torch.cat([self.keys, keys])
            columns = {name: torch.cat([getattr(self, name), value]) for name, value in columns.items()}
        keys, order = keys.sort(stable=True)
        first = torch.ones_like(keys, dtype=torch.bool)
        first[1:] = keys[1:] != keys[:-1]
        order = order[first][: self.capacity]
        self.keys = keys[first][: self.capacity]
        for name, value in columns.items():
            setattr(self, name, value[order])
