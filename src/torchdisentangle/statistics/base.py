"""A metric's state as sums, and other parts that merge exactly, over batches, objects and processes."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypedDict

import torch
import torch.distributed as dist
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import rank_zero_warn
from typing_extensions import Self

from torchdisentangle.functional.device import float64_device
from torchdisentangle.settings import described, unknown_setting
from torchdisentangle.statistics.growing import add_growing
from torchdisentangle.statistics.reduction import agree_on_content, explained, sum_over_processes


class MetricSettings(TypedDict, total=False):
    """Settings of :class:`torchmetrics.Metric`, which every metric takes."""

    compute_on_cpu: bool
    dist_sync_on_step: bool
    process_group: Any
    dist_sync_fn: Callable[..., Any] | None
    distributed_available_fn: Callable[[], bool] | None
    sync_on_compute: bool
    compute_with_cache: bool


class MergedState(ABC):
    """States of a statistic that merge by a rule of their own, where addition does not do.

    An object holds settings and no data: the data are states of the statistic, under the names in ``names``.
    """

    names: tuple[str, ...]

    @abstractmethod
    def register(self, statistic: Statistic) -> None:
        """Add the states to a statistic."""

    @abstractmethod
    def merge(self, statistic: Statistic, incoming: Mapping[str, Tensor]) -> None:
        """Merge another statistic's states into this one's."""

    @abstractmethod
    def reduce(self, statistic: Statistic, group: Any | None) -> None:
        """Replace the states by those over all processes; the sums have been reduced before."""


class Statistic(Metric):
    """Base of all metrics: states that merge exactly.

    A metric adds its states in ``__init__`` (:meth:`add_sum`, :meth:`add_state_of`), defines ``update`` and
    ``compute``, and decorates every other method that returns a value to the user with
    :func:`~torchdisentangle.statistics.readout`. Metrics of equal configuration hold equal states after equal updates,
    so a :class:`~torchdisentangle.StatisticCollection` updates and reduces them once.

    A sum starts as the scalar zero and takes its shape in the first update; a scalar zero adds to anything, so a
    process without data, a fresh object and a loaded checkpoint merge like all others. States keep float64 (or int64)
    through ``.to(dtype)``, ``.half()`` and Lightning's true-half precision, and stay on the CPU where a device does not
    know float64.

    The state ``num_nonfinite`` counts the rows that were left out because they held NaN or infinity.

    Args:
        configuration: everything that changes what ``update`` adds. Statistics merge only if it is equal, and metrics
            that differ in it never share a compute group.
        kwargs: as for :class:`torchmetrics.Metric`.

    Raises:
        TypeError: for an unknown setting.
    """

    full_state_update: bool = False
    is_differentiable: bool | None = False
    higher_is_better: bool | None = None
    configuration: Tensor
    num_nonfinite: Tensor

    def __init__(self, configuration: object = None, **kwargs: Any) -> None:
        unknown = kwargs.keys() - MetricSettings.__annotations__.keys()
        if unknown:
            raise unknown_setting(type(self), sorted(unknown)[0], *MetricSettings.__annotations__)
        super().__init__(**kwargs)
        self._sum_names: list[str] = []
        self._merged_states: list[MergedState] = []
        self._reduced_with_others = False
        self._num_before = 0  # rows that were seen before the state was reset within forward
        digest = hashlib.blake2b(repr(configuration).encode(), digest_size=8).digest()
        self.add_state("configuration", torch.tensor(list(digest)), dist_reduce_fx="max")
        self.add_sum("num_nonfinite", dtype=torch.int64)

    def add_sum(self, name: str, dtype: torch.dtype = torch.float64) -> None:
        """Register a state that is a sum over samples, of a shape that the first update decides."""
        self.add_state(name, torch.zeros((), dtype=dtype), dist_reduce_fx="sum")
        self._sum_names.append(name)

    def add_state_of(self, merged_state: MergedState) -> None:
        """Register states that merge by a rule of their own."""
        merged_state.register(self)
        self._merged_states.append(merged_state)

    @property
    def state_names(self) -> list[str]:
        """Names of the states that hold data."""
        return [name for name in self._defaults if name != "configuration"]

    @property
    def group_key(self) -> tuple[object, ...]:
        """Equal for metrics that hold equal states after equal updates."""
        return (*self.state_names, *self.configuration.tolist())

    def accumulate(self, **increments: Tensor | int) -> None:
        """Add to sums, by name, to all or none; a first dimension that grew (a new class) is filled up with zeros."""
        totals = {}
        for name, increment in increments.items():
            total = getattr(self, name)
            increment = torch.as_tensor(increment).to(dtype=total.dtype, device=total.device)
            totals[name] = add_growing(total, increment, name)
        for name, total in totals.items():
            setattr(self, name, total)

    def copy_with(self, **states: Tensor) -> Self:
        """A copy that has computed nothing yet and holds other states; this statistic keeps its own."""
        twin = object.__new__(type(self))  # what copy.copy does, but that describes the metric first
        twin.__setstate__(self.__getstate__())
        twin._computed = None
        for name, value in states.items():
            setattr(twin, name, value)
        return twin

    def leave_out(self, num_rows: int, what: str) -> None:
        """Count rows that hold NaN or infinity, and warn of them."""
        if num_rows:
            self.accumulate(num_nonfinite=num_rows)
            rank_zero_warn(
                f"{what} with NaN or infinite values are left out; their number is in num_nonfinite "
                f"({num_rows} in this batch)",
                UserWarning,
            )

    def require_samples(self, count: int | Tensor, what: str, at_least: int = 1) -> None:
        """Raise a ValueError if there are too few samples to compute a value from."""
        if int(count) < at_least:
            lost = f" ({int(self.num_nonfinite)} were NaN or infinite)" if self.num_nonfinite else ""
            wanted = f"has no {what}" if at_least == 1 else f"needs at least {at_least} {what}, got {int(count)}"
            raise ValueError(f"{type(self).__name__} {wanted}{lost}")

    def rank_and_world_size(self) -> tuple[int, int]:
        """Number of this process and how many there are, in the metric's process group."""
        if not (dist.is_available() and dist.is_initialized()):
            return 0, 1
        return dist.get_rank(self.process_group), dist.get_world_size(self.process_group)

    @property
    def is_reduced(self) -> bool:
        """Whether the states are, at the moment, those over all processes."""
        return self._is_synced or self._reduced_with_others

    @contextmanager
    def reduced(self) -> Iterator[None]:
        """Inside this context the states are those over all processes, as they are inside ``compute``.

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

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Add a batch and return the value of this batch alone."""
        self._num_before = int(getattr(self, "num_seen", 0))  # the state is reset on the way, the numbering goes on
        try:
            return super().forward(*args, **kwargs)
        finally:
            self._num_before = 0

    def merge_state(self, incoming_state: dict[str, Any] | Metric) -> None:
        """Merge another statistic's states (or a dictionary of them) into this one's.

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
        self.accumulate(**{name: incoming_state[name] for name in self._sum_names})
        for merged_state in self._merged_states:
            merged_state.merge(self, {name: incoming_state[name] for name in merged_state.names})

    def _sync_dist(self, dist_sync_fn: Callable | None = None, process_group: Any | None = None) -> None:
        reduce_states([self], process_group or self.process_group)

    def _apply(self, fn: Callable, exclude_state: Any = "") -> Statistic:
        moved_to = fn(torch.zeros(1, device=self.device)).device
        home = float64_device(moved_to)
        if home != moved_to:
            self._computed = self._forward_cache = None  # values in float64 cannot follow
        super()._apply(fn, list(self._defaults))
        for name in self._defaults:  # follow a move to another device, refuse a change of precision
            setattr(self, name, getattr(self, name).to(home))
        self._device = home
        return self

    def __repr__(self) -> str:
        return described(self)


def reduce_states(statistics: Sequence[Statistic], group: Any | None = None) -> None:
    """Replace the states of statistics by those over all processes, or raise and leave them as they were.

    What crosses the network is a short header, one all-reduce for each dtype, and what the states that are no sums
    need, whatever the number of metrics.

    Args:
        statistics: the same list on every process.
        group: the process group; ``None``: all processes.

    Raises:
        ReductionError: on every process, if they hold different metrics or states of different shapes; and on the
            processes that are left, if one has failed, has not arrived within the group's time-out, or takes part in
            another communication instead.
    """
    before = [{name: getattr(statistic, name) for name in statistic.state_names} for statistic in statistics]
    device = statistics[0].device
    sums = [(statistic, name) for statistic in statistics for name in statistic._sum_names]
    described = repr([(type(s).__name__, s.state_names, s.configuration.tolist()) for s in statistics])
    try:
        with explained(", ".join(dict.fromkeys(type(statistic).__name__ for statistic in statistics)), group):
            signature = agree_on_content(described, device, group)
            totals = sum_over_processes([getattr(s, name) for s, name in sums], signature, device, group)
            for (statistic, name), total in zip(sums, totals, strict=True):
                setattr(statistic, name, total)
            for statistic in statistics:
                for merged_state in statistic._merged_states:
                    merged_state.reduce(statistic, group)
    except BaseException:
        for statistic, states in zip(statistics, before, strict=True):
            for name, state in states.items():
                setattr(statistic, name, state)
        raise
