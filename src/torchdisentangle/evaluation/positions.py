"""Which rows of a data set a batch holds, so that none is counted twice on several processes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils.data import BatchSampler, DataLoader, DistributedSampler
from torchmetrics.utilities import rank_zero_warn


class RowPositions:
    """Positions of rows in the order of one process that reads all the data.

    A :class:`~torch.utils.data.DistributedSampler`, which Lightning puts into every data loader, gives row ``i`` of
    process ``r`` the position ``i * num_processes + r``, and repeats rows so that all processes get equally many; those
    repeated have positions beyond the data set's length and are left out.

    Args:
        loader: the data loader that the batches come from.
        rank: number of this process.
        world_size: number of processes.

    Example:
        >>> loader = DataLoader(torch.arange(5), batch_size=2)
        >>> positions = RowPositions(loader, rank=0, world_size=1)
        >>> positions.next(2), positions.next(2), positions.next(1)
        (tensor([0, 1]), tensor([2, 3]), tensor([4]))
    """

    def __init__(self, loader: Any, rank: int, world_size: int) -> None:
        self.rank, self.world_size = rank, world_size
        self.length: int | None = None
        self.seen = 0
        if world_size == 1:
            return
        sampler = sampler_of(loader)
        if isinstance(sampler, DistributedSampler):
            self.rank, self.world_size = sampler.rank, sampler.num_replicas
            self.length = len(sampler.dataset)  # type: ignore[arg-type]
        else:
            rank_zero_warn(
                "this data loader is not read through a DistributedSampler, so which process sees which rows is "
                "unknown: rows that several processes read are counted several times"
            )

    def next(self, num_rows: int) -> Tensor:
        """Positions of the next rows that this process reads; ``-1`` for padding.

        Args:
            num_rows: size of the batch.

        Returns:
            ``(num_rows,)`` integers.
        """
        positions = torch.arange(self.seen, self.seen + num_rows) * self.world_size + self.rank
        self.seen += num_rows
        return positions if self.length is None else positions.masked_fill(positions >= self.length, -1)


def sampler_of(loader: Any) -> Any:
    """The sampler of a data loader, ``None`` if it has none that lists rows."""
    if not isinstance(loader, DataLoader):
        return None
    batch_sampler = loader.batch_sampler
    if batch_sampler is None:
        return loader.sampler
    return batch_sampler.sampler if isinstance(batch_sampler, BatchSampler) else None
