"""Verdicts of the examples: intervals that cover, what they decide, and how a run ends."""

from __future__ import annotations

import importlib
import math
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="module")
def verdicts() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(EXAMPLES)
        yield importlib.import_module("verdicts")


@pytest.mark.parametrize(
    ("low", "high", "above", "below"),
    [
        (1.1, 2.0, "PASS", "FAIL"),
        (0.0, 0.9, "FAIL", "PASS"),
        (0.5, 1.5, "UNDECIDED", "UNDECIDED"),
        (1.0, 1.0, "UNDECIDED", "UNDECIDED"),
        (math.nan, math.nan, "UNDECIDED", "UNDECIDED"),
    ],
)
def test_an_interval_decides_if_the_bound_is_outside(
    verdicts: ModuleType, low: float, high: float, above: str, below: str
) -> None:
    interval = verdicts.Interval(1.0, low, high)
    assert interval.above(1.0) == verdicts.verdict(low, high, above=1.0) == above
    assert interval.below(1.0) == below
    assert str(verdicts.Interval(2367.0, 0.0123456, 3000.0)) == "2370, 0.0123 to 3000"
    assert interval.within(1.0, 3.0) == above
    assert interval.within(-1.0, 1.0) == below


def test_the_interval_of_a_mean_is_students(verdicts: ModuleType) -> None:
    # 0.25 +- t_3 sqrt(1.25 / 3), by hand: the variance is 1.25 * 4 / 3 of four values, its mean's a quarter of it
    value, low, high = verdicts.over_seeds([-1.25, -0.25, 0.75, 1.75])
    assert value == pytest.approx(0.25)
    assert (high - low) / 2 == pytest.approx(3.182446305 * math.sqrt(1.25 / 3))
    assert verdicts.over_seeds([0.5] * 3) == (0.5, 0.5, 0.5)
    assert verdicts.over_seeds([0.5]) == (0.5, 0.5, 0.5)


def test_leaving_seeds_out_gives_students_interval_for_a_mean(verdicts: ModuleType) -> None:
    values = np.random.default_rng(0).normal(size=7)
    resampled = verdicts.resampled(lambda seeds: float(values[seeds].mean()), 7)
    assert resampled == pytest.approx(verdicts.over_seeds(values))


def test_intervals_of_a_correlation_cover_it(verdicts: ModuleType) -> None:
    draws = np.random.default_rng(0).multivariate_normal([0, 0], [[1, 0.5], [0.5, 1]], size=(400, 20))
    found = [verdicts.resampled(lambda seeds, rows=rows: float(np.corrcoef(rows[seeds].T)[0, 1]), 20) for rows in draws]
    covered = np.mean([interval.low <= 0.5 <= interval.high for interval in found])
    assert covered == pytest.approx(0.95, abs=0.04)  # 400 draws tell 0.95 to within 0.02, the jackknife is not exact


@pytest.mark.parametrize(
    ("found", "worst", "code"),
    [
        (["PASS", True], "PASS", 0),
        (["UNDECIDED", "PASS"], "UNDECIDED", 0),
        (["UNDECIDED", "FAIL", "PASS"], "FAIL", 1),
        ([np.bool_(False), "UNDECIDED"], "FAIL", 1),
    ],
)
def test_a_run_ends_with_its_worst_verdict(
    verdicts: ModuleType, capsys: pytest.CaptureFixture[str], found: list[Any], worst: str, code: int
) -> None:
    with pytest.raises(SystemExit) as end:
        verdicts.conclude({f"finding {number}": one for number, one in enumerate(found)})
    assert end.value.code == code
    *lines, last = capsys.readouterr().out.split("\n")[1:-1]
    assert last == worst
    assert [line.split()[0] for line in lines] == [{True: "PASS", False: "FAIL"}.get(one, one) for one in found]
