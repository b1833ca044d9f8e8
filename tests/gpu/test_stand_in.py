"""The tests of GPUs on a stand-in for one, on any machine: everything stays on the device that it is given.

Values are the same, and no operation mixes tensors of two devices. What it costs a GPU cannot be seen here.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.contract.cases import CASES
from tests.contract.test_contract import assert_equal, readouts
from tests.gpu import test_evaluate
from tests.gpu.test_metrics import ROUNDING, moved, updated
from tests.stand_in import STAND_IN, StandIn
from torchdisentangle.evaluation import Evaluation
from torchdisentangle.statistics import Statistic

pytestmark = [
    pytest.mark.filterwarnings("ignore:.* leaves out factors"),
    pytest.mark.filterwarnings("ignore:.*the fingerprint has"),
]


@pytest.mark.parametrize("name", CASES)
def test_values_are_those_of_the_cpu(name: str) -> None:
    """Of ``compute`` and of every public read-out but intervals, which are read from more of the same."""

    def read(metric: Statistic) -> Any:
        values = {key: value() for key, value in readouts(metric, CASES[name]).items() if key != "interval"}
        return moved(values, "cpu")

    with StandIn():
        metric = updated(name, STAND_IN)
        assert {state.device.type for state in metric.metric_state.values()} == {STAND_IN}
        found = read(metric)
    assert_equal(found, read(updated(name, "cpu")), **ROUNDING)


@pytest.mark.parametrize("evaluation", test_evaluate.evaluations(), ids=lambda evaluation: evaluation.family)
def test_evaluations_are_those_of_the_cpu(evaluation: Evaluation) -> None:
    with StandIn():
        found = test_evaluate.report(STAND_IN, [evaluation])
    test_evaluate.assert_equal(found, test_evaluate.report("cpu", [evaluation]))
