"""Accuracy and sample efficiency of codes that know everything, nothing, or what takes many rows to learn."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from torchdisentangle import DownstreamAccuracy
from torchdisentangle.functional import relative_accuracy

GENERATOR = torch.Generator().manual_seed(0)
FACTORS = torch.stack([torch.randint(size, (600,), generator=GENERATOR) for size in (2, 4)], 1)
NOISE = torch.randn(600, 30, generator=GENERATOR).double()


def filled(metric: Any, codes: Tensor, factors: Tensor = FACTORS) -> Any:
    metric.update(codes.double(), factors, index=torch.arange(len(codes)))
    return metric


def values(metric: Any) -> list[float]:
    found = metric.compute()
    return [float(found["downstream_accuracy"]), float(found["downstream_efficiency"])]


def test_perfect_codes_and_their_rotation_take_few_rows() -> None:
    """Forty rows hold every value; a linear map undoes the rotation, and stumps of trees need the axes."""
    rotated = FACTORS / torch.tensor([1.0, 3.0]) @ torch.tensor([[1.0, -1.0], [1.0, 1.0]])
    for codes in (FACTORS * torch.tensor([-2.0, 1e3]), rotated):
        assert values(filled(DownstreamAccuracy(), codes)) == [1, pytest.approx(1, abs=0.05)]
    assert values(filled(DownstreamAccuracy("tree", few_rows=40), FACTORS))[0] == 1
    assert values(filled(DownstreamAccuracy("tree", few_rows=40), rotated))[1] < 0.95


def test_noise_is_efficient_and_knows_nothing() -> None:
    accuracy, efficiency = values(filled(DownstreamAccuracy(), NOISE[:, :2]))
    assert accuracy == pytest.approx((1 / 2 + 1 / 4) / 2, abs=0.08)  # 200 test rows
    assert efficiency == pytest.approx(1, abs=0.2)


def test_idle_codes_cost_rows() -> None:
    """Among as many codes of noise as there are few rows, the code that counts is not found."""
    codes = torch.cat([FACTORS + 0.1 * NOISE[:, :2], NOISE[:, 2:]], 1)
    accuracy, efficiency = values(filled(DownstreamAccuracy(few_rows=30), codes))
    assert accuracy > 0.9
    assert efficiency < 0.85


def test_accuracies_are_those_of_scikit_learn() -> None:
    metric = filled(DownstreamAccuracy(few_rows=20), FACTORS + 0.5 * NOISE[:, :2])
    rows, labels = metric._rows()
    train, test = metric._train_and_test(len(rows))
    standard = (rows - rows[train].mean(0)) / rows[train].std(0)
    found = metric.accuracies()
    assert found.num_rows.tolist() == [20, 400]
    for number, accuracies in zip(found.num_rows.tolist(), found.accuracy, strict=True):
        for f, accuracy in enumerate(accuracies.tolist()):
            fitted = LogisticRegression(C=100).fit(standard[train][:number], labels[train][:number, f])
            assert accuracy == pytest.approx(fitted.score(standard[test], labels[test, f]))
    many = found.accuracy[1]
    assert values(metric) == pytest.approx([float(many.mean()), float(found.accuracy[0].mean() / many.mean())])


def test_few_rows_and_what_cannot_be_scored() -> None:
    assert filled(DownstreamAccuracy(), FACTORS[:60], FACTORS[:60]).accuracies().num_rows.tolist() == [4, 40]
    constant = filled(DownstreamAccuracy(), FACTORS, torch.cat([FACTORS, torch.ones(600, 1, dtype=torch.int64)], 1))
    with pytest.warns(UserWarning, match="leaves out factors"):
        assert values(constant)[0] == 1
    assert constant.unscored_factors() == ["2"]
    with pytest.raises(ValueError, match="few_rows must be positive"):
        DownstreamAccuracy(few_rows=0)
    assert relative_accuracy(torch.zeros(2), torch.zeros(2)) == 1
