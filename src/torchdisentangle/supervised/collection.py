"""Collections of supervised scores, by their short names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torchmetrics import Metric, MetricCollection
from typing_extensions import Unpack

from torchdisentangle.plots import plot_scores
from torchdisentangle.settings import settings_of
from torchdisentangle.statistics import MetricSettings, StatisticCollection, readout
from torchdisentangle.statistics.bin_counter import Edges
from torchdisentangle.statistics.checks import Continuous
from torchdisentangle.statistics.groups import hashed_once
from torchdisentangle.supervised.base import SupervisedScore
from torchdisentangle.supervised.intervals import quick_interval
from torchdisentangle.supervised.registry import key_of, registered_scores


class SupervisedMetrics(StatisticCollection):
    """Supervised scores, from :func:`~torchdisentangle.supervised_metrics`.

    Args:
        args: as for :class:`~torchdisentangle.StatisticCollection`.
        kwargs: likewise.
    """

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Update every score, as for :class:`torchmetrics.MetricCollection`; rows without an index are hashed once.

        Args:
            args: of :meth:`~torchdisentangle.supervised.SupervisedScore.update`.
            kwargs: likewise.
        """
        with hashed_once():
            super().update(*args, **kwargs)

    def plot(self, val: Any = None, ax: Any = None, together: bool = False) -> Any:
        """Figures of all scores, over all processes.

        Args:
            val: as for :meth:`~torchdisentangle.StatisticCollection.plot`, like all others.
            ax: likewise.
            together: whether to draw all scores that are best at 1 into one figure, with their 95 % intervals (but for
                scores that would have to be fitted again).

        Returns:
            As for :meth:`~torchdisentangle.StatisticCollection.plot`.
        """
        return self._plot_scores(ax) if together and val is None else super().plot(val, ax, together)

    @readout
    def _plot_scores(self, ax: Any) -> Any:
        scores: dict[str, float] = {}
        intervals: dict[str, tuple[float, float]] = {}
        for name, metric in self.items(copy_state=False):
            if isinstance(metric, SupervisedScore) and metric.plot_upper_bound == 1:
                scores |= named_numbers(str(name), metric.compute())
                ends = quick_interval(metric)
                if ends is not None:
                    lows, highs = (named_numbers(str(name), end) for end in ends)
                    intervals |= {key: (lows[key], highs[key]) for key in lows}
        return plot_scores(scores, intervals, ax=ax)


def named_numbers(name: str, value: Any) -> dict[str, float]:
    """The single numbers of a value, by name.

    Args:
        name: of a value that is a number.
        value: a number, a matrix, or a dictionary of these.

    Example:
        >>> import torch
        >>> named_numbers("mig", torch.tensor(0.5)), named_numbers("mutual_information", torch.eye(2))
        ({'mig': 0.5}, {})
    """
    found = value if isinstance(value, Mapping) else {name: value}
    return {key: float(number) for key, number in found.items() if number.numel() == 1 and number.ndim < 2}


def supervised_metrics(
    names: Sequence[str | Metric] | None = None,
    *,
    max_rows: int = 10_000,
    continuous: Continuous = False,
    factor_names: Sequence[str] | None = None,
    num_bins: int | None = None,
    edges: Edges | None = None,
    seed: int = 0,
    **settings: Unpack[MetricSettings],
) -> SupervisedMetrics:
    """Supervised scores as a collection in which those of one state are updated and reduced once.

    Args:
        names: short names of scores, see :func:`~torchdisentangle.supervised.registered_scores`, and metrics, which
            join as they are; by default all scores that need no posteriors, but for those with ``by_default = False``.
        max_rows: how many rows are kept, by the scores that need rows and those that bin codes by their own range.
        continuous: columns of the factors that are real numbers; ``True``: all.
        factor_names: for messages and figures.
        num_bins: of a code, for the scores of counts; by default each score's own.
        edges: of the bins, as for :class:`~torchdisentangle.statistics.counts.JointCounts`; by default each score's
            own.
        seed: of the sample of rows, and of what is drawn or fitted.
        settings: further ones of all named scores, such as ``sync_on_compute``.

    Returns:
        A collection with the short names as members; the default scores are in two compute groups, rows and moments.

    Raises:
        ValueError: for an unknown name, or two metrics of one name.
        ImportError: if a score needs scikit-learn and it is missing.

    Example:
        >>> import torch
        >>> from torchdisentangle import IRS
        >>> metrics = supervised_metrics(["mig", "sap", IRS(quantile=1.0), "factor_vae"])
        >>> factors = torch.cartesian_prod(torch.arange(3), torch.arange(3)).repeat(20, 1)
        >>> metrics.update(1.0 * factors, factors)
        >>> {name: round(float(value), 3) for name, value in metrics.compute().items()}
        {'factor_vae': 1.0, 'irs': 1.0, 'mig': 1.0, 'sap': 1.0}
        >>> len(metrics.compute_groups)
        2
    """
    scores = registered_scores()
    if names is None:
        names = [name for name, entry in scores.items() if entry.by_default and "log_variance" not in entry.needs]
    common: dict[str, Any] = {
        "max_rows": max_rows,
        "continuous": continuous,
        "factor_names": factor_names,
        "seed": seed,
        **{name: value for name, value in {"num_bins": num_bins, "edges": edges}.items() if value is not None},
    }
    members: dict[str, Metric | MetricCollection] = {}
    for named in names:
        if isinstance(named, str) and named not in scores:
            raise ValueError(f"there is no score {named!r}; there are {', '.join(sorted(scores))}")
        key = named if isinstance(named, str) else key_of(named)
        if key in members:
            raise ValueError(f"two metrics would be called {key!r}")
        if isinstance(named, str):
            score: Any = scores[named].score  # each takes settings of its own
            own = scores[named].settings
            taken = {name: value for name, value in common.items() if name in settings_of(score)}
            members[key] = score(**{**own, **taken, **settings})
        else:
            members[key] = named
    return SupervisedMetrics(members)
