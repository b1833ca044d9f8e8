"""A bounded uniform sample of rows, the same for any split into batches and processes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

from torchdisentangle.functional.row_hash import hash_content, hash_index
from torchdisentangle.statistics.base import MergedState, Statistic
from torchdisentangle.statistics.checks import check_seed
from torchdisentangle.statistics.reduction import ReductionError, agree_on_sizes

_DERIVED = (
    WeakTensorKeyDictionary()
)  # by the keys of the sample: what was computed from it, for all metrics that share it
_LARGEST_KEY = torch.iinfo(torch.int64).max


@dataclass(frozen=True)
class SampledRows:
    """Rows of a sample, in a random order that depends on the rows alone.

    The first ``m`` rows are themselves a uniform sample, and any cut through them is a random split, the same on every
    process.

    Args:
        keys: a random integer for each row, ``(n,)``; seeds of whatever belongs to a row, such as noise.
        columns: float64 matrices ``(n, width)`` by name.
        derived: results computed from these rows, by whatever tells them apart; shared by all metrics of one sample.
    """

    keys: Tensor
    columns: dict[str, Tensor]
    derived: dict[Any, Any]

    def __getitem__(self, name: str) -> Tensor:
        """A column by its name."""
        return self.columns[name]

    def __len__(self) -> int:
        return len(self.keys)


class RowSample(MergedState):
    """The ``capacity`` rows whose global index has the smallest hash: states of a statistic.

    This is a uniform sample without replacement (bottom-k sampling). Which rows are kept depends only on their global
    indices, so any number of processes, with any batches in any order, keeps the same rows; a row that is seen twice
    under the same index is kept once. With no more rows than ``capacity`` nothing is lost.

    Without an index, rows are numbered as they come, interleaved between processes as a
    :class:`~torch.utils.data.DistributedSampler` deals them out; the number decides only which rows are kept beyond
    the capacity. Every row is kept then, also where two objects merge that both number from 0, and the order in which
    :meth:`read` gives rows depends on what they hold, not on their numbers.

    Args:
        columns: names of the columns, which become states, float64 matrices ``(n, width)``.
        capacity: how many rows to keep at most.
        seed: of the hash; another seed keeps other rows.

    Raises:
        TypeError: if the seed is no integer.
        ValueError: if the capacity is not positive, or the seed is not one that NumPy accepts.

    Reference:
        Cohen & Kaplan, *Summarizing data using bottom-k sketches*, PODC 2007.

    Example:
        >>> class Rows(Statistic):
        ...     def __init__(self, capacity):
        ...         super().__init__(configuration=("rows", capacity))
        ...         self.sample = RowSample(["codes"], capacity)
        ...         self.add_state_of(self.sample)
        ...     def update(self, codes, *, index=None):
        ...         self.sample.add(self, {"codes": codes}, index)
        ...     def compute(self):
        ...         return self.sample.read(self)["codes"]
        >>> a, b = Rows(4), Rows(4)
        >>> a.update(torch.arange(100.0)[:, None], index=torch.arange(100))
        >>> for part in torch.arange(100).flip(0).split(7):
        ...     b.update(part.float()[:, None], index=part)
        >>> torch.equal(a.compute(), b.compute())
        True
    """

    def __init__(self, columns: Sequence[str], capacity: int, seed: int = 0) -> None:
        if capacity < 1:
            raise ValueError(f"max_rows must be at least 1, got {capacity}")
        check_seed(seed)
        self.columns: tuple[str, ...] = tuple(columns)
        self.capacity = capacity
        self.seed = seed
        self.names: tuple[str, ...] = ("keys", *self.columns)

    def register(self, statistic: Statistic) -> None:
        """Add the states: ``keys``, the columns, and the sums ``num_seen`` and ``num_unnumbered``."""
        statistic.add_sum("num_seen", dtype=torch.int64)
        statistic.add_sum("num_unnumbered", dtype=torch.int64)
        statistic.add_state("keys", torch.zeros(0, dtype=torch.int64), dist_reduce_fx=None)
        for column in self.columns:
            statistic.add_state(column, torch.zeros(0, 0, dtype=torch.float64), dist_reduce_fx=None)

    def add(
        self,
        statistic: Any,
        rows: Mapping[str, Tensor],
        index: Tensor | None = None,
        kept: Tensor | None = None,
    ) -> None:
        """Offer rows to the sample.

        Args:
            statistic: whose states these are.
            rows: for every column ``(n, width)``, or ``(n,)`` for a width of one; a column that is left out stays
                empty, and then has to be left out always.
            index: global positions of the rows in the data set, ``(n,)`` integers, on whatever process they are.
            kept: which rows may be kept, ``(n,)`` booleans; by default all. The others are numbered, but not kept.

        Raises:
            ValueError: if the columns' lengths or widths do not fit.
        """
        given = {name: value if value.ndim > 1 else value[:, None] for name, value in rows.items()}
        length = len(next(iter(given.values())))
        columns = {name: given.get(name, torch.zeros(length, 0)) for name in self.columns}
        for name, value in columns.items():
            width = getattr(statistic, name).shape[1]
            if value.ndim != 2 or len(value) != length or (len(statistic.keys) and value.shape[1] != width):
                wanted = f"({length}, {width})" if len(statistic.keys) else f"({length}, width)"
                raise ValueError(f"{name} must have shape {wanted}, got {tuple(value.shape)}")
        numbers = self.number(statistic, length) if index is None else index.to(statistic.device)
        statistic.accumulate(num_seen=length, num_unnumbered=length if index is None else 0)
        keys = hash_index(numbers, self.seed)
        chosen = None if kept is None else kept.to(keys.device)
        if len(statistic.keys) == self.capacity:  # most rows of a long pass stop here
            below = keys < statistic.keys[-1]
            chosen = below if chosen is None else chosen & below
        if chosen is not None:
            keys, columns = keys[chosen], {name: value[chosen.to(value.device)] for name, value in columns.items()}
        self._keep(statistic, keys, {name: x.to(statistic.device, torch.float64) for name, x in columns.items()})

    def number(self, statistic: Any, length: int) -> Tensor:
        """Numbers of the next rows where no index is given, interleaved between processes, ``(length,)`` integers."""
        rank, world_size = statistic.rank_and_world_size()
        start = statistic._num_before + int(statistic.num_seen)
        return torch.arange(start, start + length, device=statistic.device) * world_size + rank

    def wanted(self, statistic: Any, index: Tensor) -> Tensor:
        """Which rows would enter the sample, so that the others need not be encoded.

        Args:
            statistic: whose states these are.
            index: global positions of the rows, ``(n,)`` integers.

        Returns:
            Booleans, ``(n,)``.
        """
        keys = hash_index(index.to(statistic.device), self.seed)
        full = len(statistic.keys) == self.capacity
        return keys < statistic.keys[-1] if full else torch.ones_like(keys, dtype=torch.bool)

    def read(self, statistic: Any) -> SampledRows:
        """The rows kept so far, in a random order that depends on the rows alone."""
        derived = _DERIVED.setdefault(statistic.keys, {})
        columns = {name: getattr(statistic, name) for name in self.columns}
        if not len(statistic.keys) or not statistic.num_unnumbered:
            return SampledRows(statistic.keys, columns, derived)
        if "by content" not in derived:
            keys = hash_content(list(columns.values()), self.seed)
            keys, order = keys.sort(stable=True)
            derived["by content"] = keys, {name: value[order] for name, value in columns.items()}
        keys, columns = derived["by content"]
        return SampledRows(keys, columns, derived)

    def merge(self, statistic: Any, incoming: Mapping[str, Tensor]) -> None:
        """Keep the rows with the smallest hashes of both."""
        if len(incoming["keys"]):
            moved = {name: incoming[name].to(statistic.device) for name in self.names}
            self._keep(statistic, moved.pop("keys"), moved)

    def reduce(self, statistic: Any, group: Any | None) -> None:
        """Keep the rows with the smallest hashes of all processes, after a gather of those that may be among them."""
        own = len(statistic.keys)
        widths = [getattr(statistic, name).shape[1] if own else -1 for name in self.columns]
        agreed = agree_on_sizes(widths, statistic.device, group)
        if agreed is None:
            raise ReductionError(f"the processes hold rows of different widths; this one has {widths}")
        if min(agreed) < 0:
            return
        keys, values = statistic.keys, [getattr(statistic, name) for name in self.columns] if own else []
        last = self._last_wanted(keys, group)
        for limit in dict.fromkeys([last, _LARGEST_KEY]):  # if processes hold the same rows, all of them are needed
            rows = _gathered(keys, values, sum(agreed), int((keys <= limit).sum()), group)
            columns = dict(zip(self.columns, rows[:, 1:].split(list(agreed), dim=1), strict=True))
            statistic.keys = keys[:0]
            self._keep(statistic, rows[:, 0].contiguous().view(torch.int64), columns)
            if len(statistic.keys) == self.capacity:
                break

    def _last_wanted(self, keys: Tensor, group: Any | None) -> int:
        """A key up to which all processes together have rows enough, and not many more."""
        world_size = dist.get_world_size(group)
        marks = key_marks(keys, self.capacity)
        gathered = [torch.empty_like(marks) for _ in range(world_size)]
        dist.all_gather(gathered, marks, group=group)
        return last_wanted(torch.cat(gathered), self.capacity + world_size)  # padding repeats a row of each at most

    def _keep(self, statistic: Any, keys: Tensor, columns: Mapping[str, Tensor]) -> None:
        if len(keys) == 0:
            return
        if len(statistic.keys):
            keys = torch.cat([statistic.keys, keys])
            columns = {name: torch.cat([getattr(statistic, name), value]) for name, value in columns.items()}
        keys, order = keys.sort(stable=True)
        if not statistic.num_unnumbered:  # equal keys are one row, seen twice
            first = torch.ones_like(keys, dtype=torch.bool)
            first[1:] = keys[1:] != keys[:-1]
            keys, order = keys[first], order[first]
        statistic.keys = keys[: self.capacity]
        for name, value in columns.items():
            setattr(statistic, name, value[order[: self.capacity]])


def key_marks(keys: Tensor, capacity: int) -> Tensor:
    """Every process's first, second, fourth, ... key and its last, by which rows of all processes are counted.

    Args:
        keys: of a process, in ascending order, ``(n,)``.
        capacity: how many there are at most.

    Returns:
        Keys and how many rows have come since the one before, ``(marks, 2)``; as many for any number of rows.

    Example:
        >>> key_marks(torch.tensor([10, 20, 30, 40, 50]), 8).tolist()
        [[10, 1], [20, 1], [40, 2], [50, 1], [50, 0]]
    """
    ranks = torch.tensor([*(1 << power for power in range(capacity.bit_length())), capacity], device=keys.device)
    ranks = ranks.clamp(max=len(keys))
    counts = ranks.diff(prepend=ranks.new_zeros(1))
    return torch.stack([keys[ranks - 1] if len(keys) else torch.full_like(ranks, _LARGEST_KEY), counts], dim=1)


def last_wanted(marks: Tensor, wanted: int) -> int:
    """The smallest marked key up to which there are surely as many rows as wanted.

    Args:
        marks: of all processes, ``(m, 2)``; see :func:`key_marks`.
        wanted: number of rows.

    Returns:
        The key; the largest of all integers if there are too few rows.

    Example:
        >>> last_wanted(torch.tensor([[10, 1], [30, 2], [20, 1], [40, 2]]), 4)
        30
    """
    keys, order = marks[:, 0].sort()
    enough = (marks[order, 1].cumsum(0) >= wanted).nonzero()[:1, 0]
    return int(keys[enough]) if len(enough) else _LARGEST_KEY


def _gathered(keys: Tensor, values: list[Tensor], width: int, length: int, group: Any | None) -> Tensor:
    """The first rows of each process, keys as the bits of float64 numbers first, ``(n, 1 + width)``."""
    longest = torch.tensor([length], device=keys.device)
    dist.all_reduce(longest, op=dist.ReduceOp.MAX, group=group)
    packed = torch.zeros(int(longest), 2 + width, dtype=torch.float64, device=keys.device)
    if length:
        bits = keys[:length].view(torch.float64)[:, None]
        packed[:length] = torch.cat([bits, torch.ones_like(bits), *(value[:length] for value in values)], 1)
    gathered = [torch.empty_like(packed) for _ in range(dist.get_world_size(group))]
    dist.all_gather(gathered, packed, group=group)
    rows = torch.cat(gathered)
    rows = rows[rows[:, 1] == 1]
    return torch.cat([rows[:, :1], rows[:, 2:]], dim=1)
