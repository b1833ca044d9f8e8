"""Every metric on a GPU has the values that it has on the CPU, and its states stay there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.contract.cases import CASES
from tests.contract.test_contract import assert_equal, chosen, read
from torchdisentangle.similarity import Fingerprint
from torchdisentangle.statistics import Statistic

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.filterwarnings("ignore:.* leaves out factors"),
    pytest.mark.filterwarnings("ignore:.*the fingerprint has"),
]

# All is done in float64. Sums come in another order and exponentials differ in the last bit: some hundred units of
# 2^-53, absolute for values that are differences of numbers near 1.
ROUNDING = {"rtol": 1e-12, "atol": 1e-12}
DEVICE = "cuda"


def moved(value: Any, device: str) -> Any:
    """What a metric takes or returns, with its tensors on a device."""
    if isinstance(value, Fingerprint):
        value = {"mean": value.mean, "log_variance": value.log_variance, "index": value.index}
    if isinstance(value, Mapping):
        return {name: moved(part, device) for name, part in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(moved(part, device) for part in value))
    if isinstance(value, (tuple, list)):
        return type(value)(moved(part, device) for part in value)
    return value.to(device) if isinstance(value, Tensor) else value


def updated(name: str, device: str) -> Statistic:
    """The metric after two updates, on a device."""
    metric = CASES[name].make().to(device)
    positional, keywords = CASES[name].inputs()
    for rows in (slice(None, 20), slice(20, None)):
        given = {key: moved(chosen(value, rows), device) for key, value in keywords.items()}
        metric.update(*(moved(chosen(value, rows), device) for value in positional), **given)
    return metric


@pytest.mark.parametrize("name", CASES)
def test_values_are_those_of_the_cpu(name: str) -> None:
    """Of ``compute`` and of every public read-out."""
    metric = updated(name, DEVICE)
    found = read(metric, CASES[name])
    assert {state.device.type for state in metric.metric_state.values()} == {DEVICE}
    assert_equal(moved(found, "cpu"), moved(read(updated(name, "cpu"), CASES[name]), "cpu"), **ROUNDING)


@pytest.mark.parametrize("name", CASES)
def test_a_metric_moves_with_what_it_holds(name: str) -> None:
    metric = updated(name, "cpu").to(DEVICE)
    assert_equal(moved(metric.compute(), "cpu"), moved(updated(name, "cpu").compute(), "cpu"), **ROUNDING)


def test_states_stay_in_float64() -> None:
    metric = updated("ManifoldEntropy", DEVICE).half()
    dtypes = {state.dtype for state in metric.metric_state.values() if state.is_floating_point()}
    assert dtypes == {torch.float64}
