"""Intervals of scores, and of the difference between two models."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from torchdisentangle.functional.jackknife import jackknife_replicates, replicate_interval

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


class ScoreReplicates(NamedTuple):
    """A score corrected for its bias, and the same without each group of rows."""

    estimate: Any
    """Like the value of ``compute``: a tensor, or a dictionary of tensors."""
    without: list[Any]
    """Likewise, without each group that has rows."""
    sizes: Tensor
    """Number of rows of each of these groups, ``(G,)``."""

    def interval(self, level: float) -> Interval:
        """The interval of the score, or of each value of a dictionary.

        Args:
            level: of confidence.
        """
        low, high = {}, {}
        for name, estimate in _named(self.estimate).items():
            without = torch.stack([_named(one)[name] for one in self.without])
            low[name], high[name] = replicate_interval(estimate, without, level, self.sizes)
        return Interval(low, high) if isinstance(self.estimate, Mapping) else Interval(low[""], high[""])


def replicates_of(score: SupervisedScore) -> ScoreReplicates:
    """Correct for its bias what a score is read from, and read the score from it, from all rows and without groups.

    Raises:
        ValueError: if too few rows are left to compute it.
    """
    with score.reduced(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what is left out was said of all rows
        sizes = score.state.group_sizes(score)
        sizes = sizes[sizes > 0]
        whole = score._estimates()
        try:
            fewer = [_named(one._estimates()) for one in score._without_groups()]
        except ValueError as error:
            raise ValueError(f"{type(score).__name__} has too few rows for an interval: {error}") from error
        quadratic, corrected = score._quadratic_variance(), {}
        for name, value in _named(whole).items():
            corrected[name] = jackknife_replicates(
                value.double(),
                torch.stack([one[name] for one in fewer]).double(),
                sizes,
                correct_bias=not score.state.refits,  # what is fitted again is not smooth
                quadratic=quadratic.get(name),
            )

        read, named = score._reader(), isinstance(whole, Mapping)

        def value_of(estimates: Mapping[str, Tensor]) -> Any:
            return read(estimates if named else estimates[""])

        estimate = value_of({name: one.estimate for name, one in corrected.items()})
        each = [{name: one.without[g] for name, one in corrected.items()} for g in range(len(sizes))]
        return ScoreReplicates(estimate, [value_of(one) for one in each], sizes)


def quick_interval(score: SupervisedScore) -> Interval | None:
    """The 95 % interval for a figure; ``None`` if the score would be fitted again for it, or has too few rows for one.

    Args:
        score: of any rows.
    """
    if not score.has_quick_interval:
        return None
    try:
        return score.interval()
    except ValueError:
        return None


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
        if not a.state.groups(a).of_same_rows(b.state.groups(b)):
            sizes = f"one has {a.sample_size()}, one {b.sample_size()}"
            raise ValueError(f"both scores must be of the same rows and factors; {sizes}")
        one, other = replicates_of(a), replicates_of(b)
        without = [_difference(*pair) for pair in zip(one.without, other.without, strict=True)]
        both = ScoreReplicates(_difference(one.estimate, other.estimate), without, one.sizes)
        return Difference(_difference(a.compute(), b.compute()), *both.interval(level))


def _difference(a: Any, b: Any) -> Any:
    """Of two values, or of the values of two dictionaries."""
    return {name: a[name] - b[name] for name in a} if isinstance(a, Mapping) else a - b


def _named(value: Any) -> Mapping[str, Tensor]:
    """A dictionary of the values, also where there is one value that has no name."""
    return value if isinstance(value, Mapping) else {"": value}
