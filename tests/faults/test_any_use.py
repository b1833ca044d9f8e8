"""After any sequence of calls a metric gives a value, NaN where it is not known, or an error that says what is wrong.

Hypothesis draws, for a metric of ``tests/contract/cases.py``, what its rows look like (dtype, layout, number, extreme
values) and what happens to it (update, merge, forward, reset, compute).
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
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

EXAMPLES = 40  # for each of about fifty metrics, of three calls on average
TEXT = ("must", "needs", "has no", "want", "cannot", "at least", "differ", "none of")


@dataclass(frozen=True)
class Look:
    """How the arguments of an update look."""

    rows: int
    dtype: torch.dtype | None
    layout: str
    extremes: list[tuple[int, int, float]] = field(default_factory=list)
    with_index: bool = True

    def of(self, case: Case) -> tuple[list[Any], dict[str, Any]]:
        positional, keywords = case.inputs()
        changed = [self.tensor(value, place) for place, value in enumerate(positional)]
        given = {name: value[: self.rows] for name, value in keywords.items() if name != "index" or self.with_index}
        return changed, given

    def tensor(self, value: Any, place: int) -> Any:
        value = value[: self.rows].clone()
        if not value.is_floating_point():
            return value
        value = value.to(self.dtype or value.dtype)
        for at, which, number in self.extremes:
            if which == place and value.numel():
                value.view(-1)[at % value.numel()] = torch.tensor(number, dtype=torch.float64).to(value.dtype)
        if self.layout == "transposed":
            return value.transpose(0, -1).contiguous().transpose(0, -1)
        if self.layout == "strided":
            return torch.stack([value, value], -1)[..., 0]
        if self.layout == "gradient" and value.is_floating_point():
            return value.requires_grad_()
        return value


EXTREMES = [0.0, -0.0, 1e-300, 1e-38, 88.0, 700.0, -1e38, 1e160, 1e308, -1e308, torch.inf, -torch.inf, torch.nan]
LOOKS = st.builds(
    Look,
    rows=st.sampled_from([0, 1, 2, 3, 7, NUM_ROWS]),
    dtype=st.sampled_from([None, torch.float64, torch.float16, torch.bfloat16, torch.float32]),
    layout=st.sampled_from(["plain", "transposed", "strided", "gradient"]),
    extremes=st.lists(st.tuples(st.integers(0, 200), st.integers(0, 1), st.sampled_from(EXTREMES)), max_size=3),
    with_index=st.booleans(),
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("update"), LOOKS),
        st.tuples(st.just("update"), LOOKS),
        st.tuples(st.just("merge"), LOOKS),
        st.tuples(st.just("forward"), LOOKS),
        st.tuples(st.sampled_from(["reset", "compute"]), st.none()),
    ),
    min_size=1,
    max_size=4,
)


def take(metric: Statistic, case: Case, step: str, look: Look | None) -> Any:
    if step == "reset":
        return metric.reset()
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


def assert_says_what_is_wrong(error: Exception) -> None:
    assert any(word in str(error) for word in TEXT), repr(error)


@pytest.mark.parametrize("name", CASES)
def test_any_sequence_of_calls(name: str) -> None:
    case = CASES[name]

    @hypothesis.settings(
        max_examples=EXAMPLES,
        derandomize=True,
        phases=[hypothesis.Phase.generate],  # shrinking would take minutes
        database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(STEPS)
    def use(steps: list[tuple[str, Look | None]]) -> None:
        metric = case.make()
        for step, look in [*steps, ("compute", None)]:
            before = states(metric)
            try:
                value = take(metric, case, step, look)
            except (ValueError, TypeError) as error:
                assert_says_what_is_wrong(error)
                if step in ("update", "merge"):
                    for state, tensor in states(metric).items():
                        assert torch.equal(tensor, before[state]), f"a refused {step} changed {state}"
                continue
            if step == "compute":
                assert all(tensor.isfinite().all() or tensor.isnan().any() for tensor in numbers(value)), value
            for state, tensor in states(metric).items():
                known = not tensor.is_floating_point() or tensor.isfinite().all() or state in ("low", "high")
                assert known, f"{step} left {state} not finite"

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        use()
