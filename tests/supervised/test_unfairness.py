"""Unfairness of predictions that are known, and the total variation against a count of a full grid."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from torchdisentangle import Unfairness
from torchdisentangle.functional import intervention_total_variation

GENERATOR = torch.Generator().manual_seed(0)
GRID = torch.cartesian_prod(torch.arange(2), torch.arange(3), torch.arange(4))
FACTORS = GRID.repeat(15, 1)
NOISE = torch.randn(len(FACTORS), 3, generator=GENERATOR).double()


def filled(metric: Any, codes: Tensor, factors: Tensor = FACTORS) -> Any:
    metric.update(codes.double(), factors, index=torch.arange(len(codes)))
    return metric


def test_total_variation_is_that_of_counts_on_a_grid() -> None:
    predictions = torch.randint(5, (len(FACTORS),), generator=GENERATOR)
    for j, size in enumerate((2, 3, 4)):
        moved = FACTORS[:, j].numpy()
        counts = np.array([np.bincount(predictions.numpy()[moved == c], minlength=5) for c in range(size)])
        shares = counts / counts.sum(1, keepdims=True)
        expected = 0.5 * np.abs(shares - shares.mean(0)).sum(1).mean()
        assert float(intervention_total_variation(predictions, FACTORS, j)) == pytest.approx(expected, abs=1e-12)


def test_known_total_variations() -> None:
    """A prediction that is the factor: each value's distribution is a point, and the mean is uniform."""
    for j, size in enumerate((2, 3, 4)):
        assert float(intervention_total_variation(GRID[:, j], GRID, j)) == pytest.approx(1 - 1 / size, abs=1e-12)
        assert intervention_total_variation(GRID[:, (j + 1) % 3], GRID, j) == 0
    some = torch.randperm(len(GRID), generator=GENERATOR)[:12]  # no longer a grid: other factors move with this one
    for j in range(3):
        assert intervention_total_variation(GRID[some, (j + 1) % 3], GRID[some], j).nan_to_num(0.0) == 0
    assert intervention_total_variation(GRID[:1, 0], GRID[:1], 0).isnan()


@pytest.mark.parametrize("predictor", ["logistic_regression", "tree"])
def test_perfect_codes_are_fair(predictor: Any) -> None:
    metric = filled(Unfairness(predictor), FACTORS.flip(1) * torch.tensor([-2.0, 1.0, 1e3]))
    assert metric.compute() == 0
    assert metric.pairs().isnan().tolist() == torch.eye(3).bool().tolist()


def test_a_factor_that_is_read_off_another() -> None:
    """The sum of two bits. A sum of 1 mostly is (0, 1), so the first bit is read as 0 unless both bits are 1, and the
    second as 1 unless both are 0: each moves with the other bit, by half of the rows."""
    bits = torch.tensor([[0, 0], [0, 1], [0, 1], [0, 1], [1, 0], [1, 1]]).repeat(30, 1)
    first = filled(Unfairness("tree"), torch.stack([bits[:, 0], bits.sum(1)], 1), bits)
    assert first.pairs().nan_to_num(0.0).tolist() == [[0, 0], [0, 0]]  # both bits are known
    mixed = filled(Unfairness("tree"), bits.sum(1, keepdim=True), bits)
    assert mixed.per_factor().tolist() == [0.25, 0.25]


def test_predictions_are_those_of_other_rows() -> None:
    metric = filled(Unfairness(), FACTORS + FACTORS.sum(1, keepdim=True) + NOISE)
    rows, labels = metric._rows()
    standard = ((rows - rows.mean(0)) / rows.std(0)).numpy()
    predictions, order = np.empty(len(rows), dtype=int), np.arange(len(rows))
    for test in np.array_split(order, 3):
        train = np.setdiff1d(order, test)
        fitted = LogisticRegression(C=100, max_iter=1000).fit(standard[train], labels[train, 2])
        predictions[test] = fitted.predict(standard[test])
    expected = intervention_total_variation(torch.as_tensor(predictions), labels.long(), 0)
    assert float(metric.pairs()[0, 2]) == pytest.approx(float(expected))
    assert 0.02 < float(expected) < 0.4
    assert float(metric.per_factor()[2]) == pytest.approx(float(metric.pairs()[:2, 2].mean()))


def test_what_cannot_be_scored() -> None:
    tied = torch.cat([FACTORS[:, :2], torch.ones(len(FACTORS), 1, dtype=torch.int64)], 1)
    metric = filled(Unfairness(), FACTORS, tied)
    with pytest.warns(UserWarning, match="too few values, or no two rows"):
        assert metric.compute() == 0
    assert metric.unscored_factors() == ["2"]
    with pytest.raises(ValueError, match="none of the factors"):
        filled(Unfairness(), FACTORS, FACTORS[:, :1]).compute()
