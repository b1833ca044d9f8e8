"""Disentanglement and completeness of known matrices."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from torchdisentangle.functional.supervised.importance import (
    completeness_per_factor,
    dci_completeness,
    dci_disentanglement,
    disentanglement_per_code,
)

EYE = torch.eye(10).double()
TWO_OF_TEN = 1 - math.log(2) / math.log(10)  # half in each of two, out of ten
TWO_OF_TWENTY = 1 - math.log(2) / math.log(20)
PAIRS = EYE + EYE.roll(1, dims=1)


@pytest.mark.parametrize(
    ("importance", "disentanglement", "completeness"),
    [
        (5 * EYE, 1.0, 1.0),
        (torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]).double(), 1.0, 1.0),
        (torch.zeros(10, 10).double(), 0.0, 0.0),
        (torch.ones(4, 3).double(), 0.0, 0.0),
        (torch.cat([EYE, EYE]), 1.0, TWO_OF_TWENTY),
        (torch.cat([EYE, EYE], dim=1), TWO_OF_TWENTY, 1.0),
        (torch.cat([EYE[:5], EYE[:5]]), 1.0, TWO_OF_TEN),
        (PAIRS, TWO_OF_TEN, TWO_OF_TEN),
        (EYE[:2], 1.0, 1.0),
        (torch.tensor([[1.0], [3.0]]).double(), 1.0, 1 - (0.25 * math.log2(4) + 0.75 * math.log2(4 / 3))),
        (torch.tensor([[1.0, 3.0]]).double(), 1 - (0.25 * math.log2(4) + 0.75 * math.log2(4 / 3)), 1.0),
        (torch.zeros(1, 1).double(), 0.0, 0.0),
    ],
)
def test_known_matrices(importance: Tensor, disentanglement: float, completeness: float) -> None:
    assert dci_disentanglement(importance).item() == pytest.approx(disentanglement, abs=1e-12)
    assert dci_completeness(importance).item() == pytest.approx(completeness, abs=1e-12)


def test_weights() -> None:
    """A code counts by its share of the importance; a factor likewise, or like any other."""
    importance = torch.tensor([[3.0, 0.0], [0.5, 0.5]]).double()
    assert dci_disentanglement(importance).item() == pytest.approx(3 / 4)
    per_factor = completeness_per_factor(importance)
    assert per_factor[1] == 1
    assert dci_completeness(importance).item() == pytest.approx((3.5 * per_factor[0] + 0.5) / 4)
    assert dci_completeness(importance, "uniform").item() == pytest.approx((per_factor[0] + 1) / 2)


matrices = st.lists(st.lists(st.floats(0, 10), min_size=3, max_size=3), min_size=2, max_size=5).map(
    lambda rows: torch.tensor(rows).double()
)


@settings(max_examples=50)
@given(matrices, st.floats(0.01, 100))
def test_order_and_unit_do_not_matter(importance: Tensor, unit: float) -> None:
    rows = torch.arange(len(importance)).roll(1)
    for score in (dci_disentanglement, dci_completeness):
        value = score(importance)
        assert -1e-12 <= value <= 1 + 1e-12
        torch.testing.assert_close(score(unit * importance[rows][:, [2, 0, 1]]), value, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("bad", [torch.ones(3), -EYE, EYE / 0, torch.ones(0, 3)])
def test_bad_matrices_are_refused(bad: Tensor) -> None:
    with pytest.raises(ValueError, match="importances must"):
        disentanglement_per_code(bad)
