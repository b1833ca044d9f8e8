"""A collection of metrics that is reduced across processes once, not once for each metric."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from matplotlib.figure import Figure
from torch import Tensor
from torchmetrics import Metric, MetricCollection
from torchmetrics.utilities.plot import plot_single_or_multi_val

from torchdisentangle.statistics.base import Statistic, reduce_states


class StatisticCollection(MetricCollection):
    """:class:`torchmetrics.MetricCollection` whose compute groups cross the network together.

    torchmetrics synchronises every state of every member; here the sums of all compute groups are packed and reduced
    once per ``compute``. Groups are formed at once, from the metrics' configurations, not from the first batch: so a
    process that never sees a batch has the same groups as the others. The values are the same.

    Args:
        args: as for :class:`torchmetrics.MetricCollection`.
        kwargs: likewise.

    Example:
        >>> import torch
        >>> from torchdisentangle import ManifoldEntropySpectrum, ManifoldTotalCorrelation
        >>> metrics = StatisticCollection([ManifoldEntropySpectrum(), ManifoldTotalCorrelation()])
        >>> metrics.update(torch.eye(2).expand(5, 2, 2))
        >>> len(metrics.compute_groups)
        1
        >>> metrics.compute()["ManifoldEntropySpectrum"]
        tensor([1.4189, 1.4189], dtype=torch.float64)
    """

    def _init_compute_groups(self) -> None:
        if self._enable_compute_groups is True:
            groups: dict[object, list[str]] = {}
            for name, metric in self.items(keep_base=True, copy_state=False):
                key = metric.group_key if isinstance(metric, Statistic) else name
                groups.setdefault(key, []).append(str(name))
            self._groups = dict(enumerate(groups.values()))
            self._groups_checked = True
            self._share_states()
        else:
            super()._init_compute_groups()

    def compute(self) -> dict[str, Any]:
        """Values of all metrics over all processes, after one reduction."""
        with self.reduced():
            return super().compute()

    def standard_errors(self) -> dict[str, Tensor]:
        """Standard errors of the metrics that have one, over all processes, after one reduction.

        Their names are those of the values: a metric of several values gives each of its standard errors by itself.
        """
        errors: dict[str, Tensor] = {}
        with self.reduced():
            for name, metric in self.items(copy_state=False):
                standard_error: Any = getattr(metric, "standard_error", None)
                if callable(standard_error):
                    error = standard_error()
                    errors |= error if isinstance(error, dict) else {str(name): error}
        return errors

    def plot(self, val: Any = None, ax: Any = None, together: bool = False) -> Any:
        """Figures of all metrics, over all processes.

        Args:
            val: what :meth:`compute` returned, or a list of that over steps, of which matrices are those of the last;
                by default what the metrics hold, which shows most: matrices that scores are read from, and intervals.
            ax: where to draw: axes for each metric, or one with ``together``; ``None``: new figures.
            together: whether to draw all single numbers into one figure.

        Returns:
            For each metric the figure and its axes, in a list; or those of the one figure.

        Raises:
            ValueError: if there are not as many axes as metrics.
        """
        if together:
            steps = [dict(one) for one in ([val] if isinstance(val, Mapping) else val or [self.compute()])]
            singles = [{name: x for name, x in step.items() if x.numel() == 1} for step in steps]
            return _plot_numbers(singles, ax)
        members = list(self.items(copy_state=False))
        places = [None] * len(members) if ax is None else list(ax)
        if len(places) != len(members):
            raise ValueError(f"plot needs axes for each of {len(members)} metrics, got {len(places)}")
        with self.reduced():
            return [
                metric.plot(ax=place) if val is None else self._plot_given(str(name), metric, val, place)
                for (name, metric), place in zip(members, places, strict=True)
            ]

    def _plot_given(self, name: str, metric: Any, val: Any, ax: Any) -> Any:
        """Plot what belongs to a metric, whose dictionary was merged with the others' values."""
        steps = [val] if isinstance(val, Mapping) else list(val)
        if name in steps[0]:
            values = [step[name] for step in steps]
        else:
            names = [key for key in metric.compute() if key in steps[0]]
            values = [{key: step[key] for key in names} for step in steps]
            if len(values) > 1 and all(value.numel() == 1 for value in values[0].values()):
                return _plot_numbers(values, ax)
        curve = len(values) > 1 and isinstance(values[0], Tensor) and values[0].numel() == 1
        return metric.plot(values if curve else values[-1], ax=ax)

    @contextmanager
    def reduced(self) -> Iterator[None]:
        """Inside this context all metrics hold the sums over all processes; nested contexts reduce once."""
        leaders = [self._leader(names) for names in self.compute_groups.values()]
        statistics = [metric for metric in leaders if isinstance(metric, Statistic) and metric._to_sync]
        available = statistics and statistics[0].distributed_available_fn
        if not available or not available():
            self._share_states()
            yield
            return
        local = [{name: getattr(metric, name) for name in metric.state_names} for metric in statistics]
        members = [metric for metric in self.values(copy_state=False) if isinstance(metric, Statistic)]
        reduce_states(statistics, statistics[0].process_group)
        self._share_states()
        for metric in members:
            metric._to_sync, metric._reduced_with_others = False, True
        with ExitStack() as stack:
            stack.callback(self._restore, statistics, local, members)
            yield

    def _restore(self, statistics: list[Statistic], local: list[dict[str, Tensor]], members: list[Statistic]) -> None:
        for metric, states in zip(statistics, local, strict=True):
            for name, state in states.items():
                setattr(metric, name, state)
        self._share_states()
        for metric in members:
            metric._to_sync, metric._reduced_with_others = metric.sync_on_compute, False

    def _leader(self, names: list[str]) -> Metric:
        return getattr(self, names[0])

    def _share_states(self) -> None:
        """Members of a compute group see their leader's states."""
        self._state_is_copy = False
        if self._groups_checked:
            self._compute_groups_create_state_ref()


def _plot_numbers(steps: Sequence[Mapping[str, Tensor]], ax: Any) -> Any:
    """Single numbers by name, as dots, or as curves over several steps."""
    size = (4.2, 0.8 + 0.22 * max(len(steps[0]), 3))
    where = Figure(figsize=size, layout="constrained").subplots() if ax is None else ax
    if len(steps) > 1:
        numbers = [{name: value.detach().cpu() for name, value in step.items()} for step in steps]
        plot_single_or_multi_val(numbers, ax=where)
    else:
        where.plot([float(value) for value in steps[0].values()], range(len(steps[0])), "o", ms=4)
        where.set_yticks(range(len(steps[0])), list(steps[0]))
        where.set_xlabel("value, in the unit of each")
        where.grid(axis="x", color="#DDDDDD", lw=0.5)
        where.invert_yaxis()
    where.spines[["top", "right"]].set_visible(False)
    where.tick_params(labelsize=8)
    return where.get_figure(), where
