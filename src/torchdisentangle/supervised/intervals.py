"""Intervals of scores, and of the difference between two models."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from torchdisentangle.functional.jackknife import jackknife_interval

if TYPE_CHECKING:
    from torchdisentangle.supervised.base import SupervisedScore


class Interval(NamedTuple):
    """Ends of a confidence interval, each like the value of ``compute``: a tensor, or a dictionary of tensors."""

    low: Any
    high: Any


class Difference(NamedTuple):
    """A difference of two scores and its confidence interval, each like the value of ``compute``."""

    value: Any
    low: Any
    high: Any


def interval_of(value: Any, without: Sequence[Any], level: float) -> Interval:
    """The interval of a value, or of each value of a dictionary.

    Args:
        value: of all rows.
        without: the values without each group of rows.
        level: of confidence.
    """
    if isinstance(value, Mapping):
        each = {name: interval_of(value[name], [other[name] for other in without], level) for name in value}
        return Interval({name: one.low for name, one in each.items()}, {name: one.high for name, one in each.items()})
    if not without:
        raise ValueError("an interval needs at least two groups of rows, got 0")
    return Interval(*jackknife_interval(value, torch.stack(list(without)), level))


def quick_interval(score: SupervisedScore) -> Interval | None:
    """The 95 % interval for a figure; ``None`` if the score would be fitted again for it, or has too few rows for one.

    Args:
        score: of any rows.
    """
    if score.state.refits:
        return None
    try:
        return score.interval()
    except ValueError:
        return None


def values_without_groups(score: SupervisedScore) -> list[Any]:
    """The score without each of the groups that have rows.

    Raises:
        ValueError: if too few rows are left to compute it.
    """
    values = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what is left out was said of all rows
        for fewer in score._without_groups():
            try:
                values.append(fewer.compute())
            except ValueError as error:
                raise ValueError(f"{type(score).__name__} has too few rows for an interval: {error}") from error
    return values


def paired_difference(a: SupervisedScore, b: SupervisedScore, level: float = 0.95) -> Difference:
    r"""Difference of two models in a score, with a confidence interval that knows that the rows are the same.

    What both models find in the same rows cancels, so the interval is mostly narrower than those of the two scores
    suggest. It covers the choice of rows, not the models' seeds.

    Args:
        a: the score of one model.
        b: the score of the other: the same class and settings, updated with the same rows and their ``index``.
        level: of confidence.

    Returns:
        ``a - b`` and both ends of its interval, by the jackknife of
        :meth:`~torchdisentangle.supervised.SupervisedScore.interval`.

    Raises:
        TypeError: if the scores are of different classes.
        ValueError: if the rows came without an index, or are not the same.

    Example:
        >>> from torchdisentangle import SAP
        >>> factors = torch.randn(500, 2)
        >>> a, b = SAP(), SAP()
        >>> a.update(factors + 0.1 * torch.randn(500, 2), factors, index=torch.arange(500))
        >>> b.update(factors + 1.0 * torch.randn(500, 2), factors, index=torch.arange(500))
        >>> value, low, high = paired_difference(a, b)
        >>> bool(0 < low < high)
        True
    """
    if type(a) is not type(b):
        raise TypeError(f"both scores must be of one class, got {type(a).__name__} and {type(b).__name__}")
    with a.reduced(), b.reduced():
        if a.num_unnumbered or b.num_unnumbered:
            raise ValueError("a paired difference needs the rows' index in every update, to tell which rows are paired")
        if not torch.equal(a.state.group_sizes(a), b.state.group_sizes(b).to(a.device)):
            raise ValueError(f"both scores must be of the same rows; one has {a.sample_size()}, one {b.sample_size()}")
        without = zip(values_without_groups(a), values_without_groups(b), strict=True)
        value = _combined(torch.sub, a.compute(), b.compute())
        return Difference(value, *interval_of(value, [_combined(torch.sub, *pair) for pair in without], level))


def _combined(operation: Callable[..., Any], a: Any, b: Any) -> Any:
    """An operation on two values, or on the values of two dictionaries."""
    return {name: operation(a[name], b[name]) for name in a} if isinstance(a, Mapping) else operation(a, b)
