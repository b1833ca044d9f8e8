"""What the examples' findings are judged by: intervals over seeds, verdicts on them, and how an example ends.

Every finding has a rule that is written in the story's README before the run that it is judged on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import stats

from torchdisentangle.functional.jackknife import jackknife_replicates, replicate_interval

Verdict = Literal["PASS", "UNDECIDED", "FAIL"]
ORDER: tuple[Verdict, ...] = ("PASS", "UNDECIDED", "FAIL")  # the worst is last
LEVEL = 0.95


def verdict(low: float, high: float, above: float = 0.0) -> Verdict:
    """PASS if an interval lies wholly above a bound, FAIL if wholly below it, else UNDECIDED, as where it is NaN."""
    if low > above:
        return "PASS"
    return "FAIL" if high < above else "UNDECIDED"


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """The verdict on findings that must all hold."""
    return max(verdicts, key=ORDER.index)


class Interval(NamedTuple):
    """A value and both ends of its confidence interval."""

    value: float
    low: float
    high: float

    def above(self, bound: float = 0.0) -> Verdict:
        """Whether the value is above a bound."""
        return verdict(self.low, self.high, bound)

    def below(self, bound: float = 0.0) -> Verdict:
        """Whether the value is below a bound."""
        return verdict(-self.high, -self.low, -bound)

    def within(self, low: float, high: float) -> Verdict:
        """Whether the value is between two bounds."""
        return worst([self.above(low), self.below(high)])

    def direction(self) -> Interval:
        """The value alone, for a fast setting that judges only which way it points."""
        return Interval(self.value, self.value, self.value)

    def __str__(self) -> str:
        value, low, high = (f"{float(f'{number:.3g}'):g}" for number in self)  # 2370, not 2.37e+03
        return value if self.low == self.high else f"{value}, {low} to {high}"


def over_seeds(values: Sequence[float], level: float = LEVEL) -> Interval:
    """Student's interval of the mean of one value a seed; of differences, if two models share each seed.

    One seed, in a fast setting, shows a direction only: both ends are its value.
    """
    mean = float(np.mean(values))
    if len(values) < 2:
        return Interval(mean, mean, mean)
    reach = float(stats.t.ppf(0.5 + level / 2, len(values) - 1) * stats.sem(values))
    return Interval(mean, mean - reach, mean + reach)


def resampled(statistic: Callable[[NDArray[np.intp]], float], seeds: int, level: float = LEVEL) -> Interval:
    """The interval of a statistic of all seeds that is no mean, by the jackknife that leaves out a seed at a time.

    Args:
        statistic: of the runs of the seeds with these numbers, 0 to ``seeds - 1``. It must be smooth, unlike a median.
        seeds: how many there are. A seed is left out with all its runs, which may depend on each other.
        level: of confidence.
    """
    everything = np.arange(seeds)
    value = torch.tensor(statistic(everything), dtype=torch.float64)
    without = torch.tensor([statistic(np.delete(everything, seed)) for seed in everything], dtype=torch.float64)
    low, high = replicate_interval(*jackknife_replicates(value, without, correct_bias=False), level)
    return Interval(float(value), float(low), float(high))


def conclude(findings: Mapping[str, Verdict | bool]) -> None:
    """Print each finding with its verdict, and the worst of them in the last line; exit with 1 if that is FAIL.

    A bool is a check that needs no interval. UNDECIDED exits with 0: the run is in order, but cannot tell.
    """
    verdicts = {
        finding: ("PASS" if found else "FAIL") if isinstance(found, (bool, np.bool_)) else found
        for finding, found in findings.items()
    }
    print()
    for finding, found in verdicts.items():
        print(f"  {found:9}  {finding}")
    last = worst(verdicts.values())
    print(last)
    raise SystemExit(int(last == "FAIL"))
