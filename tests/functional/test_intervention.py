"""Votes and robustness, against plain loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from torchdisentangle.functional.supervised.intervention import (
    above_chance,
    interventional_robustness,
    irs_score,
    majority_vote_accuracy,
    maximal_deviation,
)

GENERATOR = torch.Generator().manual_seed(0)
CODES = torch.randn(120, 3, generator=GENERATOR).double()
LABELS = torch.randint(4, (120, 2), generator=GENERATOR)


def test_votes() -> None:
    votes = torch.tensor([[5, 0, 1], [2, 7, 1]])
    assert majority_vote_accuracy(votes) == pytest.approx((5 + 7 + 1) / 16)
    assert majority_vote_accuracy(votes, torch.tensor([[1, 1, 0], [1, 1, 4]])) == pytest.approx((1 + 1 + 0) / 8)
    assert majority_vote_accuracy(torch.zeros(2, 3)) == 0


def test_above_chance() -> None:
    assert above_chance(torch.tensor(0.25), 4) == 0
    assert above_chance(torch.tensor(0.7), 1) == pytest.approx(0.7)


@pytest.mark.parametrize("consistent", [True, False])
@pytest.mark.parametrize("quantile", [1.0, 0.9])
def test_robustness_by_loops(quantile: float, consistent: bool) -> None:
    z, y = CODES.numpy(), LABELS.numpy()
    found = interventional_robustness(CODES, LABELS, quantile, consistent)
    for d in range(3):
        whole = np.quantile(np.abs(z[:, d] - z[:, d].mean()), quantile if consistent else 1.0)
        for f in range(2):
            groups = [z[y[:, f] == v, d] for v in range(4)]
            inside = np.mean([np.quantile(np.abs(group - group.mean()), quantile) for group in groups])
            assert found[d, f].item() == pytest.approx(1 - inside / whole, rel=1e-12)


def test_robustness_of_extremes() -> None:
    codes = torch.stack([LABELS[:, 0], 0 * LABELS[:, 0] + 0.1], dim=1).double()
    matrix = interventional_robustness(codes, torch.cat([LABELS, 0 * LABELS[:, :1]], dim=1))
    assert matrix[0, 0] == 1
    assert matrix[1, :2].tolist() == [0, 0]
    assert matrix[:, 2].isnan().all()
    assert irs_score(matrix, maximal_deviation(codes)) == 1
    assert irs_score(matrix[1:], maximal_deviation(codes)[1:]) == 0


def test_lonely_values_are_left_out() -> None:
    """A value with one row would look perfectly robust."""
    labels = LABELS.clone()
    labels[0] = 9
    kept = LABELS.clone()
    expected = interventional_robustness(CODES, labels)
    groups = [CODES[1:][kept[1:, 0] == v] for v in range(4)]
    inside = torch.stack([maximal_deviation(group) for group in groups]).mean(0)
    torch.testing.assert_close(expected[:, 0], 1 - inside / maximal_deviation(CODES))


@settings(max_examples=50)
@given(st.floats(0.1, 10), st.floats(-5, 5), st.permutations(range(3)))
def test_robustness_does_not_mind_unit_and_origin(unit: float, origin: float, order: list[int]) -> None:
    expected = interventional_robustness(CODES, LABELS, 0.9)[order]
    found = interventional_robustness((unit * CODES + origin)[:, order], LABELS, 0.9)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
