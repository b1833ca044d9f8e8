"""After any sequence of calls a metric gives a value, NaN that is counted, or an error that says what is wrong.

Hypothesis draws what rows look like (dtype, layout, number, values, order) and what happens to a metric (update, merge,
forward, reset, compute, interval): once, for all metrics of ``tests/contract/cases.py``.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import hypothesis
import pytest
import torch
from hypothesis import strategies as st
from torch import Tensor

from tests.contract.cases import CASES, NUM_ROWS, Case
from torchdisentangle.similarity import Fingerprint
from torchdisentangle.statistics import Statistic

pytestmark = pytest.mark.filterwarnings("ignore")

EACH, SLOW = 105, 30  # sequences of calls for each metric, and for one that fits predictors to rows
TEXT = ("must", "needs", "has no", "want", "cannot", "at least", "differ", "none of", "too few", "too many", "floating")
EXTREMES = [0.0, -0.0, 1e-300, 1e-38, 88.0, 700.0, -1e38, 1e75, 1e160, 1e308, -1e308, torch.inf, -torch.inf, torch.nan]
HUGE = 10**12

ROWS: dict[str, Callable[[Tensor], Tensor]] = {
    "as they are": lambda x: x,
    "all alike": lambda x: x[:1].expand_as(x),
    "zero": torch.zeros_like,
    "tiny": lambda x: x * 1e-30,
    "large": lambda x: x * 1e30,
    "copies of one column": lambda x: x[..., :1].expand_as(x),
}
FACTORS: dict[str, Callable[[Tensor], Tensor]] = {
    "as they are": lambda x: x,
    "one value": lambda x: x[:1].expand_as(x),
    "a value for each row": lambda x: torch.arange(len(x))[:, None].expand_as(x),
    "large numbers": lambda x: x * HUGE,
    "negative": lambda x: -x,
    "bytes": lambda x: x.to(torch.uint8),
    "floats": lambda x: x.to(torch.float32),
}
INDEX: dict[str, Callable[[Tensor], Tensor | None]] = {
    "in order": lambda x: x,
    "backwards, negative": lambda x: x.flip(0) - NUM_ROWS,
    "all alike": torch.zeros_like,
    "none": lambda x: None,
}
LAYOUTS: dict[str, Callable[[Tensor], Tensor]] = {
    "plain": lambda x: x,
    "transposed": lambda x: x.transpose(0, -1).contiguous().transpose(0, -1),
    "strided": lambda x: torch.stack([x, x], -1)[..., 0],
    "gradient": lambda x: x.clone().requires_grad_(),
}


@dataclass(frozen=True)
class Look:
    """How the arguments of an update look: by names of the tables above."""

    number: int = NUM_ROWS
    rows: str = "as they are"
    factors: str = "as they are"
    index: str = "in order"
    dtype: torch.dtype | None = None
    layout: str = "plain"
    extremes: list[tuple[int, int, float]] = field(default_factory=list)

    def of(self, case: Case) -> tuple[list[Any], dict[str, Any]]:
        positional, keywords = inputs(case)
        arguments = [self.tensor(value[: self.number], place) for place, value in enumerate(positional)]
        given = {name: value[: self.number] for name, value in keywords.items()}
        if "index" in given:
            given["index"] = INDEX[self.index](given["index"])
        return arguments, given

    def tensor(self, value: Tensor, place: int) -> Tensor:
        if not value.is_floating_point():
            return FACTORS[self.factors](value)
        value = (ROWS[self.rows](value) if place == 0 else value).to(self.dtype or value.dtype).clone()
        for at, which, number in self.extremes:
            if which == place and value.numel():
                value.view(-1)[at % value.numel()] = torch.tensor(number, dtype=torch.float64).to(value.dtype)
        return LAYOUTS[self.layout](value)


Step = tuple[str, Look | None]

LOOKS = st.builds(
    Look,
    number=st.sampled_from([NUM_ROWS, NUM_ROWS, 7, 3, 2, 1, 0]),
    rows=st.sampled_from(["as they are", *ROWS]),
    factors=st.sampled_from(["as they are", *FACTORS]),
    index=st.sampled_from(list(INDEX)),
    dtype=st.sampled_from([None, torch.float64, torch.float16, torch.bfloat16]),
    layout=st.sampled_from(list(LAYOUTS)),
    extremes=st.lists(st.tuples(st.integers(0, 200), st.integers(0, 1), st.sampled_from(EXTREMES)), max_size=3),
)
WITH_ROWS = ["update", "update", "merge", "forward"]
WITHOUT = ["compute", "interval", "reset"]
STEP = st.integers(0, 7).flatmap(
    lambda kind: (
        st.tuples(st.sampled_from(WITH_ROWS), LOOKS) if kind < 6 else st.tuples(st.sampled_from(WITHOUT), st.none())
    )
)
STEPS = st.lists(STEP, min_size=1, max_size=4)


@cache
def inputs(case: Case) -> tuple[tuple[Any, ...], dict[str, Any]]:
    return case.inputs()


@cache
def drawn() -> list[list[Step]]:
    """What Hypothesis draws: the same in every run. To draw takes as long as to use a metric, so all share it."""
    found: dict[str, list[Step]] = {}

    @hypothesis.settings(
        max_examples=2 * EACH,
        derandomize=True,
        phases=[hypothesis.Phase.generate],
        database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(STEPS)
    def draw(steps: list[Step]) -> None:
        found[repr(steps)] = steps

    draw()
    return list(found.values())


def sequences(case: Case) -> list[list[Step]]:
    slow = "scikit-learn" in getattr(case.make(), "needs", ())
    return drawn()[: SLOW if slow else EACH]


def take(metric: Statistic, case: Case, step: str, look: Look | None) -> Any:
    if step == "reset":
        return metric.reset()
    if step == "interval":
        return metric.interval() if hasattr(metric, "interval") else None
    if look is None:
        return metric.compute()
    arguments, keywords = look.of(case)
    if step == "forward":
        return metric(*arguments, **keywords)
    if step == "merge":
        other = case.make()
        other.update(*arguments, **keywords)
        return metric.merge_state(other)
    return metric.update(*arguments, **keywords)


def numbers(value: Any) -> list[Tensor]:
    """All tensors in what a metric returns."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, Fingerprint):
        return [value.mean, value.log_variance]
    if isinstance(value, Mapping):
        value = list(value.values())
    return [tensor for one in value for tensor in numbers(one)] if isinstance(value, (tuple, list)) else []


def states(metric: Statistic) -> dict[str, Tensor]:
    return {name: getattr(metric, name).clone() for name in metric.state_names}


def check_value(metric: Statistic, value: Any) -> None:
    """It is finite; where it is NaN, what was left out is counted or named, or the class says when it is NaN."""
    for tensor in numbers(value):
        if not tensor.isfinite().all():
            assert not tensor.isinf().any(), value
            assert explained(metric), f"{value} without a count"


def explained(metric: Statistic) -> bool:
    """Whether a metric says why it is NaN."""
    counts = [getattr(metric, name, None) for name in ("num_nonfinite", "num_undefined")]
    if any(count is not None and bool(count.sum()) for count in counts):
        return True
    named = getattr(metric, "unscored_factors", list)()
    return bool(named) or re.search(r"NaN\s+(if|with|where)", type(metric).__doc__ or "") is not None


def check_refusal(metric: Statistic, error: Exception, before: dict[str, Tensor]) -> None:
    assert any(word in str(error) for word in TEXT), repr(error)
    for name, tensor in before.items():
        assert torch.equal(getattr(metric, name), tensor), f"what was refused changed {name}"


def use(case: Case, steps: list[Step]) -> None:
    metric = case.make()
    for step, look in [*steps, ("compute", None)]:
        before = states(metric) if step in ("update", "merge") else {}
        try:
            value = take(metric, case, step, look)
        except (ValueError, TypeError) as error:
            check_refusal(metric, error, before)
            continue
        if step in ("compute", "interval"):
            check_value(metric, value)
    for name, tensor in states(metric).items():
        known = not tensor.is_floating_point() or name in ("low", "high") or tensor.isfinite().all()
        assert known, f"{name} is not finite"


def test_number_of_sequences() -> None:
    """Together at least 5,000, no two of a metric alike, with everything in them that is to be tried."""
    assert sum(len(sequences(case)) for case in CASES.values()) >= 5000
    assert min(len(sequences(case)) for case in CASES.values()) >= SLOW
    steps = [step for steps in drawn()[:EACH] for step in steps]
    looks = [look for _, look in steps if look is not None]
    assert {step for step, _ in steps} == {*WITH_ROWS, *WITHOUT}
    assert {look.rows for look in looks} == set(ROWS)
    assert {look.factors for look in looks} == set(FACTORS)
    assert {look.index for look in looks} == set(INDEX)
    assert {look.layout for look in looks} == set(LAYOUTS)
    assert {look.dtype for look in looks} >= {torch.float64, torch.float16, torch.bfloat16}
    assert {look.number for look in looks} >= {0, 1, 2, NUM_ROWS}
    assert {number for look in looks for *_, number in look.extremes if number == number} >= {1e308, -1e38, torch.inf}


@pytest.mark.parametrize("name", CASES)
def test_any_sequence_of_calls(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for number, steps in enumerate(sequences(CASES[name])):
            try:
                use(CASES[name], steps)
            except Exception as error:
                raise AssertionError(f"sequence {number} of {name}: {steps}") from error
