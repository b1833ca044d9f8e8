"""A metric's state as sums that merge exactly, over batches, objects and processes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torchmetrics import Metric

from torchdisentangle.statistics.reduction import reduce_states


class Statistic(Metric):
    """Base of all metrics whose state is a handful of sums.

    A statistic owns states and ``update``; a metric inherits it and defines ``compute``. Metrics of one statistic with
    the same configuration hold equal states, so a :class:`~torchmetrics.MetricCollection` makes them one compute group.

    Every state starts as the scalar zero and takes its shape in the first update; a scalar zero adds to anything, so
    a process without data, a fresh object and a loaded checkpoint merge like all others. States keep float64 (or
    int64) through ``.to(dtype)``, ``.half()`` and Lightning's true-half precision.

    Args:
        configuration: everything that changes what ``update`` adds. Statistics merge only if it is equal, and metrics
            that differ in it never share a compute group.
        kwargs: passed on to :class:`torchmetrics.Metric`.
    """

    full_state_update: bool = False
    configuration: Tensor

    def __init__(self, configuration: object = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._sum_names: list[str] = []
        self._reduced_with_others = False
        digest = hashlib.blake2b(repr(configuration).encode(), digest_size=8).digest()
        self.add_state("configuration", torch.tensor(list(digest)), dist_reduce_fx="max")

    def add_sum(self, name: str, dtype: torch.dtype = torch.float64) -> None:
        """Register a state that is a sum over samples, of a shape that the first update decides."""
        self.add_state(name, torch.zeros((), dtype=dtype), dist_reduce_fx="sum")
        self._sum_names.append(name)

    @property
    def state_names(self) -> list[str]:
        """Names of the states that hold data."""
        return [name for name in self._defaults if name != "configuration"]

    @property
    def sum_names(self) -> list[str]:
        """Names of the states that are sums."""
        return list(self._sum_names)

    def merge_others(self, incoming_state: dict[str, Any]) -> None:
        """Merge the states that are not sums, if there are any."""

    def reduce_others(self, group: Any | None) -> None:
        """Replace the states that are not sums by those over all processes; the sums have been reduced before."""

    def rank_and_world_size(self) -> tuple[int, int]:
        """Number of this process and how many there are, in the metric's process group."""
        if not (dist.is_available() and dist.is_initialized()):
            return 0, 1
        return dist.get_rank(self.process_group), dist.get_world_size(self.process_group)

    @property
    def is_reduced(self) -> bool:
        """Whether the states are, at the moment, those over all processes."""
        return self._is_synced or self._reduced_with_others

    @property
    def group_key(self) -> tuple:
        """Equal for metrics that hold equal states after equal updates."""
        return (*self.state_names, *self.configuration.tolist())

    def accumulate(self, **increments: Tensor) -> None:
        """Add to sums, by name; a first dimension that grew (a new class was seen) is filled up with zeros."""
        for name, increment in increments.items():
            total = getattr(self, name)
            setattr(self, name, add_growing(total, increment.to(dtype=total.dtype, device=total.device), name))

    def merge_state(self, incoming_state: dict[str, Any] | Metric) -> None:
        """Add another statistic's sums (or a dictionary of them) to this one's.

        Args:
            incoming_state: a metric of the same statistic and configuration, or its ``metric_state``.

        Raises:
            ValueError: if the statistics or their configurations differ.
        """
        states = incoming_state.metric_state if isinstance(incoming_state, Metric) else incoming_state
        if states.keys() != self._defaults.keys():
            raise ValueError(f"{type(self).__name__} has the states {list(self._defaults)}, got {list(states)}")
        self._reduce_states(states)
        self._computed = None
        self._update_count += incoming_state._update_count if isinstance(incoming_state, Metric) else 1

    def _reduce_states(self, incoming_state: dict[str, Any]) -> None:
        if not torch.equal(incoming_state["configuration"].to(self.device), self.configuration):
            raise ValueError(f"{type(self).__name__}: states of differently configured metrics cannot be merged")
        self.accumulate(**{name: incoming_state[name] for name in self.sum_names})
        self.merge_others(incoming_state)

    def _sync_dist(self, dist_sync_fn: Callable | None = None, process_group: Any | None = None) -> None:
        reduce_states([self], process_group or self.process_group)

    @contextmanager
    def reduced(self) -> Iterator[None]:
        """Inside this context the states are the sums over all processes, as they are inside ``compute``.

        Contexts, and ``compute``, may be nested: the outermost reduces, once.
        """
        with self.sync_context(
            dist_sync_fn=self.dist_sync_fn,
            should_sync=self._to_sync and not self._is_synced,
            should_unsync=self._should_unsync and not self._is_synced,
        ):
            outer = self._to_sync, self._should_unsync
            self._to_sync = self._should_unsync = False
            try:
                yield
            finally:
                self._to_sync, self._should_unsync = outer

    def _apply(self, fn: Callable, exclude_state: Any = "") -> Statistic:
        states = {name: getattr(self, name) for name in self._defaults}
        defaults = dict(self._defaults)
        super()._apply(fn, exclude_state)
        for name, state in states.items():  # follow a move to another device, refuse a change of precision
            setattr(self, name, state.to(getattr(self, name).device))
            self._defaults[name] = defaults[name]
        return self


def add_growing(a: Tensor, b: Tensor, name: str = "state") -> Tensor:
    """``a + b``, where a scalar adds to anything and the shorter first dimension is filled up with zeros.

    Args:
        a: a sum.
        b: another.
        name: what to call it in an error.

    Returns:
        The total, in the larger of the two shapes.

    Raises:
        ValueError: if the shapes differ beyond the first dimension.

    Example:
        >>> add_growing(torch.ones(1, 2), torch.ones(3, 2)).sum(1)
        tensor([4., 2., 2.])
    """
    if a.ndim and b.ndim and a.shape != b.shape:
        if a.shape[1:] != b.shape[1:]:
            raise ValueError(f"{name}: sums of shapes {tuple(a.shape)} and {tuple(b.shape)} do not belong together")
        length = max(len(a), len(b))
        a, b = (torch.cat([x, x.new_zeros(length - len(x), *x.shape[1:])]) for x in (a, b))
    return a + b
