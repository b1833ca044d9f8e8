"""SAP's gaps, squared correlations, and areas under ROC curves, against numpy and scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from torchdisentangle.functional.supervised.predictability import (
    one_vs_rest_auc,
    predictability_gap,
    squared_correlation,
)

GENERATOR = torch.Generator().manual_seed(0)


def test_squared_correlation() -> None:
    rows = torch.randn(50, 5, generator=GENERATOR).double() @ torch.randn(5, 5, generator=GENERATOR).double()
    expected = np.corrcoef(rows.numpy().T)[:3, 3:] ** 2
    found = squared_correlation(rows.mean(0), rows.T.cov(), num_codes=3)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_constants() -> None:
    covariance = torch.eye(4).double()
    covariance[0, 0] = covariance[3, 3] = 0.0
    found = squared_correlation(torch.ones(4).double(), covariance, num_codes=2)
    assert found[:, 0].tolist() == [0.0, 0.0]
    assert found[:, 1].isnan().all()


def test_gap() -> None:
    scores = torch.tensor([[0.9, 0.2, torch.nan], [0.4, 0.7, torch.nan], [0.1, 0.7, torch.nan]])
    torch.testing.assert_close(predictability_gap(scores), torch.tensor([0.5, 0.0, torch.nan]), equal_nan=True)
    assert predictability_gap(scores[:1, :2]).tolist() == scores[0, :2].tolist()
    with pytest.raises(ValueError, match=r"shape \(D, F\)"):
        predictability_gap(torch.zeros(0, 2))


def test_auc_is_scikit_learns() -> None:
    labels = torch.randint(4, (200,), generator=GENERATOR)
    scores = torch.randn(200, 4, generator=GENERATOR).double() + torch.nn.functional.one_hot(labels, 4)
    scores = scores.round(decimals=1)  # with ties
    expected = [roc_auc_score(labels == value, scores[:, value]) for value in range(4)]
    np.testing.assert_allclose(one_vs_rest_auc(scores, labels), expected, rtol=1e-12)


def test_auc_of_a_class_without_rows_is_nan() -> None:
    areas = one_vs_rest_auc(torch.tensor([[1.0, 2.0], [3.0, 1.0]]), torch.tensor([0, 0]))
    assert areas.isnan().all()
