"""Findings of several seeds, each judged by a rule that was written before the runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from verdicts import Verdict, over_seeds

Seed = TypeVar("Seed")  # all that was found with one seed
Run = TypeVar("Run")


@dataclass(frozen=True)
class Rule(Generic[Seed]):
    """A quantity of a seed whose mean over seeds must be above a bound, or below it."""

    finding: str
    quantity: Callable[[Seed], float]
    bound: float
    of_large: float | None = None  # the bound for images of 28x28 pixels, if it is another
    below: bool = False

    def judge(self, seeds: Sequence[Seed], size: str = "8x8") -> tuple[str, Verdict | bool]:
        """The finding in numbers, and whether it holds: by Student's interval; of one seed, by its value alone."""
        bound = self.bound if size == "8x8" or self.of_large is None else self.of_large
        values = [self.quantity(seed) for seed in seeds]
        interval = over_seeds(values)
        verdict = interval.below(bound) if self.below else interval.above(bound)
        text = f"{self.finding}: {interval}; {'below' if self.below else 'above'} {bound:.3g}"
        return text, verdict if len(values) > 1 else verdict == "PASS"


def of_seeds(columns: Mapping[str, Sequence[Run]]) -> list[dict[str, Run]]:
    """What each seed has found by column, of columns that have a run of each seed."""
    return [dict(zip(columns, runs, strict=True)) for runs in zip(*columns.values(), strict=True)]


def judged(rules: Iterable[Rule[Seed]], seeds: Sequence[Seed], size: str = "8x8") -> dict[str, Verdict | bool]:
    """The verdict of each rule."""
    return dict(rule.judge(seeds, size) for rule in rules)
