"""What the scores that are fitted to rows, or find groups among them, have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar, NamedTuple, TypeVar

import torch
from matplotlib.axes import Axes
from torch import Tensor
from typing_extensions import Self, Unpack

from torchdisentangle.functional.supervised.intervention import above_chance
from torchdisentangle.plots.factors import plot_latents_against_factors
from torchdisentangle.plots.style import Plot
from torchdisentangle.statistics import readout
from torchdisentangle.statistics.checks import Continuous
from torchdisentangle.statistics.factors import value_labels
from torchdisentangle.statistics.groups import groups_of_keys
from torchdisentangle.statistics.rows import CodeFactorRows
from torchdisentangle.supervised.base import SupervisedScore, SupervisedSettings
from torchdisentangle.supervised.intervals import Interval

_FEWEST_ROWS = 4

Fit = TypeVar("Fit")


class Rows(NamedTuple):
    """Codes ``(n, D)`` with their factors ``(n, F)``."""

    codes: Tensor
    factors: Tensor


class Accuracy(NamedTuple):
    """How often the factor of a group of rows is guessed, and which factors that is about, ``(F,)`` booleans."""

    accuracy: Tensor
    scored: Tensor


class RowSettings(SupervisedSettings, total=False):
    """Settings of :class:`RowScore`."""

    test_fraction: float
    num_factor_bins: int
    continuous: Continuous
    max_rows: int
    seed: int


class RowScore(SupervisedScore):
    """Base of the scores that need rows of codes and factors: a bounded uniform sample of them.

    What is drawn or fitted at ``compute`` is seeded and uses the same rows on every process, so the value is the same
    on all of them. The rows come in a random order that depends on them alone, so any cut through them is a random
    split.

    Args:
        test_fraction: share of the rows that a fitted predictor or a learned vote is tested on.
        num_factor_bins: number of bins of a continuous factor, where values are needed: equally many rows in each.
        continuous: columns of the factors that are real numbers, not numbers of discrete values; ``True``: all.
        max_rows: how many rows to keep at most.
        seed: of the choice of rows, and of what is drawn or fitted.
        data_width: numbers to keep of each row's data, by scores that need them.
        settings: ``factor_names``, and those of :class:`torchmetrics.Metric`.
    """

    fits_parts: ClassVar[bool] = False
    """Whether ``_fit_parts`` finds the results of several parts of the rows at once, much sooner than one by one."""
    keys: Tensor

    def __init__(
        self,
        test_fraction: float = 1 / 3,
        num_factor_bins: int = 10,
        continuous: Continuous = False,
        max_rows: int = 10_000,
        seed: int = 0,
        *,
        data_width: int = 0,
        **settings: Unpack[SupervisedSettings],
    ) -> None:
        if not 0 < test_fraction < 1:
            raise ValueError(f"test_fraction must be between 0 and 1, got {test_fraction}")
        if num_factor_bins < 2:
            raise ValueError(f"num_factor_bins must be at least 2, got {num_factor_bins}")
        sample = CodeFactorRows(max_rows, continuous, seed, data_width=data_width)
        super().__init__(sample, **settings)
        self.sample = sample
        self.test_fraction = test_fraction
        self.num_factor_bins = num_factor_bins
        self.continuous: Continuous = continuous
        self.max_rows = max_rows
        self.seed = seed
        self._fits = object()  # under which this score's results are kept beside the rows

    def _rows(self) -> Rows:
        """The kept rows, on the CPU."""
        self.require_samples(len(self.keys), "rows", _FEWEST_ROWS)
        rows = self.sample.read(self)
        return Rows(rows.columns["codes"].cpu(), rows.columns["factors"].cpu())

    def _values(self, factors: Tensor) -> Tensor:
        """Values of the factors, or bins of continuous ones, numbered from 0, ``(n, F)``."""
        return value_labels(factors, self.continuous, self.num_factor_bins)

    def _train_and_test(self, num_rows: int) -> tuple[slice, slice]:
        """A random split of the rows, the same on every process, that leaves neither part empty."""
        tested = min(max(round(self.test_fraction * num_rows), 1), num_rows - 1)
        return slice(tested, None), slice(None, tested)

    def _once(self, fit: Callable[[], Fit]) -> Fit:
        """The result of this score's ``fit``, which is called once as long as the rows are the same."""
        self.require_samples(len(self.keys), "rows", _FEWEST_ROWS)
        results = self.sample.read(self).derived
        if self._fits not in results:
            results[self._fits] = fit()
        return results[self._fits]

    @property
    def has_quick_interval(self) -> bool:
        """Whether the results of all parts are found at once; not where factors are binned, by each part's rows."""
        return self.fits_parts and not self.continuous

    def _without_groups(self) -> Iterator[Self]:
        """Copies without each group of rows, which hold their results already where these are found at once."""
        if not self.has_quick_interval:
            yield from super()._without_groups()
            return
        rows = self.sample.read(self)
        groups = groups_of_keys(rows.keys).cpu()
        results = self._fit_parts(groups != groups.unique()[:, None])
        for fewer, result in zip(self.sample.without_groups(self, with_columns=False), results, strict=True):
            fewer.sample.read(fewer).derived[self._fits] = result
            yield fewer

    def _fit_parts(self, parts: Tensor) -> Sequence[Any]:
        """What ``_once`` is called for, in each of several parts of the rows, ``(P, n)`` booleans."""
        raise NotImplementedError(f"{type(self).__name__} must define _fit_parts if it declares fits_parts")

    def _guessed(self, guess: Callable[[], Accuracy], rescale: bool) -> Tensor:
        """The score that an accuracy is: as it is, or rescaled so that chance is 0."""
        accuracy, scored = self._once(guess)
        num_factors = int(self._require_scored(scored).sum())
        return above_chance(accuracy, num_factors) if rescale else accuracy

    def _scored(self) -> Tensor:
        """By default, factors with several values."""
        return self._values(self._rows().factors).amax(0) > 0

    def _generator(self) -> torch.Generator:
        """Random numbers for one computation."""
        return torch.Generator().manual_seed(self.seed)


class CodeFactorSample(RowScore):
    """The rows themselves: a uniform sample of codes with their factors, for figures and scores of one's own.

    It shares its rows with the scores that keep rows and have equal settings.

    As input to ``forward`` and ``update`` the metric accepts ``codes`` ``(n, D)``, ``factors`` ``(n, F)`` and ``index``
    ``(n,)``; ``compute`` returns codes ``(m, D)`` and factors ``(m, F)`` in float64, on the CPU.

    Args:
        settings: as for :class:`RowScore`.

    Example:
        >>> sample = CodeFactorSample(max_rows=10)
        >>> sample.update(torch.randn(100, 3), torch.arange(100)[:, None])
        >>> codes, factors = sample.compute()
        >>> codes.shape, factors.shape
        (torch.Size([10, 3]), torch.Size([10, 1]))
    """

    higher_is_better: bool | None = None

    def __init__(self, **settings: Unpack[RowSettings]) -> None:
        super().__init__(**settings)

    def compute(self) -> Rows:
        """The kept rows."""
        return self._rows()

    @readout
    def interval(self, level: float = 0.95) -> Interval:
        """Rows have no interval: always raises a ValueError."""
        raise ValueError(f"{type(self).__name__} is no score and has no interval")

    def plot(self, val: Any = None, ax: Axes | None = None) -> Plot:
        """Mean of each latent for every value of each factor, on axes of its own."""
        codes, factors = self.compute() if val is None else val
        return plot_latents_against_factors(codes, factors, self.factor_names)
