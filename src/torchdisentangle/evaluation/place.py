"""Where an evaluation runs: on which device, and as which of several processes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist


@dataclass(frozen=True)
class Place:
    """A device, and this process's number among those that share an evaluation.

    Args:
        device: where metrics keep their states.
        rank: number of this process.
        world_size: number of processes.
        group: the process group of what they agree on here; ``None``: all processes.

    Example:
        >>> Place().share
        slice(0, None, 1)
    """

    device: torch.device = torch.device("cpu")  # noqa: RUF009
    rank: int = 0
    world_size: int = 1
    group: Any = None

    @classmethod
    def here(cls, device: torch.device | str = "cpu") -> Place:
        """This process among those of ``torch.distributed``, if it is initialised."""
        if not (dist.is_available() and dist.is_initialized()):
            return cls(torch.device(device))
        return cls(torch.device(device), dist.get_rank(), dist.get_world_size())

    @property
    def alone(self) -> Place:
        """The same device, without other processes."""
        return Place(self.device)

    @property
    def share(self) -> slice:
        """This process's share of anything that is dealt out in turn."""
        return slice(self.rank, None, self.world_size)

    def largest(self, value: float) -> float:
        """The largest value of all processes; a collective."""
        if self.world_size == 1:
            return value
        values = torch.tensor([value], dtype=torch.float64, device=self.device)
        dist.all_reduce(values, op=dist.ReduceOp.MAX, group=self.group)
        return float(values)

    def any(self, flag: bool) -> bool:
        """Whether the flag is set on any process; a collective."""
        return self.largest(float(flag)) > 0

    def same(self, value: int) -> bool:
        """Whether all processes that have a value have the same one; a collective.

        Args:
            value: not negative, or -1 if this process has none.
        """
        if self.world_size == 1:
            return True
        values = torch.tensor([value, -value if value >= 0 else -(2**62)], device=self.device)
        dist.all_reduce(values, op=dist.ReduceOp.MAX, group=self.group)
        largest, smallest = values.tolist()
        return largest < 0 or largest == -smallest
