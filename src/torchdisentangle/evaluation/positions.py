"""Which rows of a data set a batch holds, so that none is counted twice on several processes."""

from __future__ import annotations

import zlib
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    DistributedSampler,
    RandomSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)

_RANDOM = (RandomSampler, SubsetRandomSampler, WeightedRandomSampler)


class RowPositions:
    """Positions of rows in the order of one process that reads all the data.

    A :class:`~torch.utils.data.DistributedSampler`, which Lightning puts into every data loader, gives item ``i`` of
    process ``r`` the position ``i * num_processes + r``, and repeats items so that all processes get equally many.
    Repeated items are padding.

    An item may hold several rows, such as a stored chunk, if each batch is one item and all items hold equally many.

    Args:
        loader: the data loader that the batches come from.
        rank: number of this process.
        world_size: number of processes.

    Raises:
        ValueError: if several processes read the loader in a way that does not tell which rows each of them sees.

    Example:
        >>> loader = DataLoader(torch.arange(5), batch_size=2)
        >>> positions = RowPositions(loader, rank=0, world_size=1)
        >>> positions.next(2), positions.next(2), positions.next(1)
        (tensor([0, 1]), tensor([2, 3]), tensor([4]))
    """

    def __init__(self, loader: Any, rank: int, world_size: int) -> None:
        self.rows_per_item: int | None = None
        self._seen = 0  # items, or rows where one process reads all of them
        self._dealt: _DealtItems | None = None
        if world_size > 1:
            self._dealt = _DealtItems(loader, rank, world_size)

    def next(self, num_rows: int) -> Tensor:
        """Positions of the next rows that this process reads; ``-1`` for padding.

        Args:
            num_rows: size of the batch.

        Returns:
            ``(num_rows,)`` integers.

        Raises:
            ValueError: on several processes, if the items hold different numbers of rows, or several items of several
                rows each share a batch.
        """
        if self._dealt is None:
            self._seen += num_rows
            return torch.arange(self._seen - num_rows, self._seen)
        num_items = self._dealt.items_of_batch(self._seen)
        each = self._agree_on_rows(num_rows, num_items)
        items = self._dealt.items(self._seen, num_items)
        self._seen += num_items
        return torch.where(items[:, None] < 0, -1, items[:, None] * each + torch.arange(each)).flatten()

    @property
    def signature(self) -> int:
        """Must be the same on all processes in the end; -1 on one that has read nothing."""
        if self._dealt is None or self.rows_per_item is None:
            return -1
        return zlib.crc32(repr((self.rows_per_item, self._dealt.order)).encode())

    def _agree_on_rows(self, num_rows: int, num_items: int) -> int:
        each, rest = divmod(num_rows, max(num_items, 1))
        self.rows_per_item = each if self.rows_per_item is None else self.rows_per_item
        if rest or each != self.rows_per_item or not num_items:
            raise ValueError(
                f"a batch of {num_items} items holds {num_rows} rows, and an item before held {self.rows_per_item}: "
                "on several processes all items must hold equally many rows, or padding cannot be told apart"
            )
        if each > 1 and num_items > 1:
            raise ValueError(
                f"batches hold {each} rows for each of {num_items} items, in an order that is unknown, so several "
                "processes cannot tell which rows they see: put one item into a batch (batch_size=1), or evaluate on "
                "one process"
            )
        return each


class _DealtItems:
    """How a distributed sampler deals the items of a data set out to processes."""

    def __init__(self, loader: Any, rank: int, world_size: int) -> None:
        self.sampler = sampler_of(loader)
        _check_dealt(loader, self.sampler, rank, world_size)
        self.rank, self.world_size = rank, world_size
        self.share, self.batch_size = len(self.sampler), loader.batch_size or 1
        self.length = len(self.sampler.dataset)
        share = self.share
        if loader.drop_last:
            self.length, share = (count - count % self.batch_size for count in (self.length, self.share))
        if share * world_size < self.length:
            raise ValueError(
                f"with drop_last=True {world_size} processes read {share * world_size} of the {self.length} items that "
                "one process would read: set drop_last=False"
            )

    @property
    def order(self) -> list[int] | None:
        """The order that a sampler inside Lightning's distributed one has drawn on this process, if there is one."""
        return getattr(self.sampler.dataset, "_sampler_list", None)

    def items_of_batch(self, seen: int) -> int:
        """The number of items in the next batch."""
        return min(self.batch_size, self.share - seen)

    def items(self, seen: int, num_items: int) -> Tensor:
        """Positions of the next items of this process; -1 for padding."""
        positions = torch.arange(seen, seen + num_items) * self.world_size + self.rank
        return positions.masked_fill(positions >= self.length, -1)


def sampler_of(loader: Any) -> Any:
    """The sampler of a data loader, ``None`` if it has none that lists rows."""
    if not isinstance(loader, DataLoader):
        return None
    batch_sampler = loader.batch_sampler
    if batch_sampler is None:
        return loader.sampler
    return getattr(batch_sampler, "sampler", None)


def is_random(sampler: Any) -> bool:
    """Whether a sampler draws another order each time; also one inside Lightning's distributed sampler.

    Example:
        >>> is_random(RandomSampler(range(3))), is_random(None)
        (True, False)
    """
    if isinstance(sampler, DistributedSampler):
        sampler = getattr(sampler.dataset, "_sampler", None)
    if isinstance(sampler, BatchSampler):
        sampler = sampler.sampler
    return isinstance(sampler, _RANDOM)


def _check_dealt(loader: Any, sampler: Any, rank: int, world_size: int) -> None:
    if not isinstance(sampler, DistributedSampler):
        raise ValueError(
            f"{world_size} processes read this data loader without a DistributedSampler, so which process sees which "
            "rows is unknown: use a data set with a length and leave use_distributed_sampler=True, or evaluate on one "
            "process"
        )
    if (sampler.num_replicas, sampler.rank) != (world_size, rank):
        raise ValueError(
            f"the DistributedSampler of process {rank} of {world_size} deals rows to process {sampler.rank} of "
            f"{sampler.num_replicas}"
        )
    if is_random(sampler):
        raise ValueError(
            f"each of the {world_size} processes would draw rows of its own through a "
            f"{type(getattr(sampler.dataset, '_sampler', None)).__name__}: evaluate data in a fixed order, such as a "
            "Subset"
        )
    if loader.batch_sampler is not None and type(loader.batch_sampler) is not BatchSampler:
        raise ValueError(
            f"which rows a {type(loader.batch_sampler).__name__} puts into a batch is unknown, so {world_size} "
            "processes cannot tell which rows they see: use batch_size, or evaluate on one process"
        )
