"""Scores of codes against known factors that are there already: two arrays, no model."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from torchdisentangle.evaluation.base import Say, silent
from torchdisentangle.evaluation.group_values import GroupValues
from torchdisentangle.evaluation.report import Report, draws
from torchdisentangle.plots import plot_scores
from torchdisentangle.statistics import StatisticCollection
from torchdisentangle.statistics.checks import Continuous, as_tensor, check_codes, check_factors
from torchdisentangle.supervised import (
    CodeFactorSample,
    SupervisedScore,
    default_scores,
    registered_scores,
    supervised_metrics,
)
from torchdisentangle.supervised.collection import named_numbers
from torchdisentangle.supervised.intervals import replicates_of

_AT_ONCE = 65_536  # rows in an update


def score(
    codes: Any,
    factors: Any,
    names: Sequence[str | Metric] | None = None,
    *,
    log_variance: Any = None,
    continuous: Continuous = False,
    factor_names: Sequence[str] | None = None,
    max_rows: int = 10_000,
    seed: int = 0,
    level: float | None = 0.95,
    say: Say = silent,
) -> Report:
    """Score codes against known factors.

    Args:
        codes: codes or posterior means, ``(n, d)`` floats; a tensor or a NumPy array.
        factors: ``(n, F)``, or ``(n,)`` for one; whole numbers but for the ``continuous`` columns.
        names: short names of scores, and metrics; by default the quick scores, with those of posteriors if
            ``log_variance`` is given. A score that cannot be computed is left out, with a warning.
        log_variance: logarithms of the posteriors' variances, ``(n, d)``.
        continuous: columns of the factors that are real numbers; ``True``: all.
        factor_names: for messages and figures.
        max_rows: how many rows the scores keep that need rows, a uniform sample.
        seed: of the sample, and of what is drawn or fitted.
        level: of the confidence intervals of the scores that have one; ``None``: no intervals.
        say: told of each score before it is computed.

    Returns:
        Values with intervals and ceilings, matrices, and figures to draw.

    Raises:
        TypeError: if an argument is of the wrong kind.
        ValueError: if shapes or values do not fit, or for an unknown name.

    Example:
        >>> factors = torch.cartesian_prod(torch.arange(3), torch.arange(3)).repeat(20, 1)
        >>> report = score(1.0 * factors, factors, ["mig", "sap"], level=None)
        >>> report
        Report of 2 values and 1 matrices, from 180 rows
        mig  1
        sap  1
    """
    codes = check_codes(codes)
    factors = check_factors(factors, len(codes), continuous)
    posterior = None if log_variance is None else as_tensor(log_variance, "log_variance")
    wanted = default_names(posterior is not None) if names is None else names
    settings: Any = {"max_rows": max_rows, "continuous": continuous, "factor_names": factor_names, "seed": seed}
    rows = CodeFactorSample(**settings)
    members = {str(name): one for name, one in supervised_metrics(wanted, **settings).items(copy_state=False)}
    collection = StatisticCollection({**members, "rows": rows})
    for index in torch.arange(len(codes)).split(_AT_ONCE):
        given = {} if posterior is None else {"log_variance": posterior[index]}
        collection.update(codes[index], factors[index], index=index, **given)
    reports = []
    with collection.reduced():
        for number, name in enumerate(members, 1):
            say(f"{name} ({number} of {len(members)})")
            reports.append(_read_or_warn(name, members[name], level))
        figures = draws({"latents_against_factors": partial(rows.plot, rows.compute())})
        num_rows = len(codes) - int(rows.num_nonfinite)
    return with_scores_figure(Report.joined(Report(figures=figures, num_rows=num_rows), *reports), members)


def default_names(with_posteriors: bool = False, slow: bool = False) -> list[str]:
    """Names of the scores that are computed of any data.

    Args:
        with_posteriors: also those of posteriors.
        slow: also those that take seconds to minutes.

    Example:
        >>> "dci" in default_names(), "dci" in default_names(slow=True), "posterior_mig" in default_names(True)
        (False, True, True)
    """
    scores = registered_scores().items()
    of_posteriors = [name for name, entry in scores if entry.by_default and "log_variance" in entry.needs]
    return [
        *default_scores("quick"),
        *(sorted(of_posteriors) if with_posteriors else ()),
        *(default_scores("slow") if slow else ()),
    ]


def read_score(name: str, metric: Any, level: float | None = None) -> Report:
    """What a metric says of its rows.

    Args:
        name: of its value.
        metric: a score, or any metric whose value is a number, a matrix, or a dictionary of them.
        level: of the confidence interval, if it has one; ``None``: no interval.
    """
    value = metric.compute()
    scalars = named_numbers(name, value)
    matrices: dict[str, Tensor] = {}
    matrix: Any = getattr(metric, "matrix", None)
    if isinstance(value, Tensor) and value.ndim == 2:
        matrices[name] = value
    elif getattr(metric, "matrix_label", "") and callable(matrix):
        matrices[f"{name}_matrix"] = matrix()
    figures: dict[str, Callable[[], Any]] = {key: partial(metric.plot, matrix) for key, matrix in matrices.items()}
    names = getattr(metric, "factor_names", None)
    intervals, groups = _intervals(name, metric, level) if scalars and level is not None else ({}, {})
    return Report(
        scalars,
        matrices,
        draws(figures),
        intervals=intervals,
        ceilings=_ceiling(name, metric) if scalars else {},
        groups=groups,
        columns={key: names for key, matrix in matrices.items() if names and matrix.shape[1] == len(names)},
    )


def with_scores_figure(report: Report, metrics: Mapping[str, Any]) -> Report:
    """The same report with a figure of all scores that are best at 1, if it has intervals of any.

    Args:
        report: of the metrics.
        metrics: by the names of their values.
    """
    comparable = {name for name, metric in metrics.items() if getattr(metric, "plot_upper_bound", None) == 1}
    chosen = {name: value for name, value in report.scalars.items() if _owner(name, metrics) in comparable}
    if not chosen or not report.intervals:
        return report
    figure = partial(plot_scores, chosen, report.intervals, report.ceilings)
    return replace(report, figures={**draws({"scores": figure}), **report.figures})


def _owner(name: str, metrics: Mapping[str, Any]) -> str:
    """The metric that a scalar is of, whose name it begins with."""
    return max((key for key in metrics if name == key or name.startswith(f"{key}_")), key=len, default="")


def _read_or_warn(name: str, metric: Any, level: float | None) -> Report:
    try:
        return read_score(name, metric, level)
    except Exception as error:  # one score that cannot be had must not take the others with it
        warnings.warn(f"{name} could not be computed: {error}", UserWarning, stacklevel=3)
        return Report()


def _intervals(name: str, metric: Any, level: float) -> tuple[dict[str, tuple[float, float]], dict[str, GroupValues]]:
    """Both ends by name, and the values without groups of rows that they were made of, if rows can be paired."""
    if not hasattr(metric, "interval"):
        return {}, {}
    by_groups = isinstance(metric, SupervisedScore) and type(metric).interval is SupervisedScore.interval
    try:
        replicates = replicates_of(metric) if by_groups else None
        low, high = metric.interval(level=level) if replicates is None else replicates.interval(level)
    except ValueError as error:
        warnings.warn(f"{name} has no interval: {error}", UserWarning, stacklevel=4)
        return {}, {}
    lows, highs = named_numbers(name, low), named_numbers(name, high)
    intervals = {key: (lows[key], highs[key]) for key in lows}
    if replicates is None or metric.num_unnumbered:
        return intervals, {}
    sizes, factors = (part.tolist() for part in metric.state.groups(metric))
    estimate = named_numbers(name, replicates.estimate)
    without = [named_numbers(name, one) for one in replicates.without]
    groups = {key: GroupValues(sizes, estimate[key], [one[key] for one in without], factors) for key in intervals}
    return intervals, groups


def _ceiling(name: str, metric: Any) -> dict[str, float]:
    if not hasattr(metric, "ceiling"):
        return {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what is left out was said with the value
        try:
            return named_numbers(name, metric.ceiling())
        except ValueError:  # of estimators that do not count
            return {}
